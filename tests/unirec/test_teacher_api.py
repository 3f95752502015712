"""The server keeps to its own OpenAPI document: it names every status and every body that is sent."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from teacher_running import running, trained

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with running([trained(tmp_path_factory.mktemp("teacher"))]) as url:
        yield url


@pytest.fixture(scope="module")
def api(url):
    return schemathesis.openapi.from_url(url + "/openapi.json")


@pytest.mark.parametrize(
    ("path", "method", "mode"),
    [
        ("/inference", "post", GenerationMode.POSITIVE),
        ("/inference", "post", GenerationMode.NEGATIVE),
        ("/ranking", "post", GenerationMode.POSITIVE),
        ("/ranking", "post", GenerationMode.NEGATIVE),
        ("/health/ready", "get", GenerationMode.POSITIVE),
        ("/health/live", "get", GenerationMode.POSITIVE),
        ("/metrics", "get", GenerationMode.POSITIVE),
    ],
)
def test_whatever_is_sent_the_answer_is_a_documented_one(api, path, method, mode):
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=30, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def answers_as_documented(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    answers_as_documented()


def test_every_field_is_described_and_every_refusal_has_a_schema(url):
    document = httpx.get(url + "/openapi.json", trust_env=False).json()
    assert set(document["paths"]) == {
        "/inference", "/ranking", "/health", "/health/ready", "/health/live", "/metrics",
    }  # fmt: skip
    for path in ("/inference", "/ranking"):
        operation = document["paths"][path]["post"]
        assert set(operation["responses"]) == {"200", "413", "422", "503", "504"}
        for status, response in operation["responses"].items():
            assert response["description"]
            reference = response["content"]["application/json"]["schema"]["$ref"]
            assert (reference == "#/components/schemas/Problem") == (status != "200")
        assert "Retry-After" in operation["responses"]["503"]["headers"]
        (sent,) = operation["requestBody"]["content"].values()
        assert sent["schema"]["$ref"] in {
            "#/components/schemas/InferenceRequest",
            "#/components/schemas/RankingRequest",
        }
    for name in ("InferenceRequest", "RankingRequest", "InferenceAnswer", "RankingAnswer"):
        model = document["components"]["schemas"][name]
        assert model["description"] and model["examples"]
        assert all(field.get("description") for field in model["properties"].values())


def test_the_documentation_page_is_there(url):
    page = httpx.get(url + "/docs", trust_env=False)
    assert page.status_code == 200 and "/openapi.json" in page.text
