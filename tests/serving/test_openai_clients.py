"""Official clients of OpenAI's APIs, and the `llm` command, get along with the server."""

import json
from typing import get_args

import anyio
import llm
import openai
import pytest
from chat_world import TITLES
from openai.types.responses import ResponseStreamEvent

LIST = "Recommend 3 titles"
SAMPLING = {
    "temperature": 0.7, "top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": 0.1, "seed": 1, "n": 1,
    "stop": ["zzz"], "user": "someone", "logprobs": False, "tools": [], "parallel_tool_calls": False,
    "response_format": {"type": "text"}, "metadata": {"a": "b"}, "store": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def client(url):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def chat(client, *messages, own=None, **more):
    """Return (text, items, answer) of a chat completion."""
    body = {"reclm": own} if own else {}
    answer = client.chat.completions.create(model="any", messages=list(messages), extra_body=body, **more)
    message = answer.choices[0].message
    return message.content, message.model_extra["items"], answer


def spans_are_titles(text: str, items: list[dict]) -> bool:
    spans = [text[slice(*item["span"])] for item in items]
    return bool(items) and spans == [item["title"] for item in items] == [TITLES[item["item_id"]] for item in items]


def test_a_chat_completion_has_its_items_as_annotations_and_as_objects(client):
    text, items, answer = chat(client, user(LIST), **SAMPLING)
    assert spans_are_titles(text, items) and len(items) == 3
    for item, annotation in zip(items, answer.choices[0].message.annotations, strict=True):
        cited = annotation.url_citation
        assert [cited.start_index, cited.end_index] == item["span"]
        assert (cited.title, cited.url) == (item["title"], item["url"])
    assert answer.choices[0].finish_reason == "stop" and answer.model_extra["reclm"]["understood"]
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_streamed_chat_completion_equals_the_whole_one(client):
    whole, items, _ = chat(client, user(LIST))
    text, streamed, ends, usage, head = "", [], [], None, set()
    stream = client.chat.completions.create(
        model="any", messages=[user(LIST)], stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        head.add((chunk.id, chunk.model, chunk.created))
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            streamed += (choice.delta.model_extra or {}).get("items", [])
            ends += [choice.finish_reason] if choice.finish_reason else []
    assert text == whole and spans_are_titles(text, streamed) and ends == ["stop"] and len(head) == 1
    own = ("recommendation_id",)
    assert [{k: v for k, v in item.items() if k not in own} for item in streamed] == [
        {k: v for k, v in item.items() if k not in own} for item in items
    ]
    assert usage.total_tokens > 0


def test_the_options_of_the_server_are_taken_from_extra_body(client):
    _, items, _ = chat(client, user("Recommend titles"), own={"k": 2, "rules": {"deny": ["10", "11"]}})
    assert len(items) == 2 and not {"10", "11"} & {item["item_id"] for item in items}
    _, items, _ = chat(client, user(LIST), own={"history": ["red moon", "12"]})
    assert not {"10", "12"} & {item["item_id"] for item in items}
    assert chat(client, user(LIST), own={"seed": 1})[0] == chat(client, user(LIST), own={"seed": 2})[0]
    _, items, _ = chat(client, user("Recommend 1 title"), own={"domain": "books"})
    assert [item["domain"] for item in items] == ["books"]
    text, _, answer = chat(client, user("Recommend 7 titles"), own={"notices": "data"})
    assert answer.model_extra["reclm"]["notices"] and "fit" not in text


def test_a_response_and_its_events_are_of_the_typed_forms(client):
    whole = client.responses.create(model="any", input=LIST, instructions="Be brief", temperature=0.5, store=False)
    part = whole.output[0].content[0]
    assert whole.output_text == part.text and spans_are_titles(part.text, part.model_extra["items"])
    assert [annotation.type for annotation in part.annotations] == ["url_citation"] * 3
    assert whole.status == "completed" and whole.usage.output_tokens > 0

    types = get_args(get_args(ResponseStreamEvent)[0])
    text, last, numbers = "", None, []
    for event in client.responses.create(model="any", input=[user(LIST)], instructions="Be brief", stream=True):
        assert isinstance(event, types), event
        type(event).model_validate(event.model_dump())  # the client itself does not insist
        numbers.append(event.sequence_number)
        text += event.delta if event.type == "response.output_text.delta" else ""
        last = event
    assert text == part.text and numbers == list(range(len(numbers)))
    assert last.type == "response.completed" and last.response.output_text == text
    assert [a.title for a in last.response.output[0].content[0].annotations] == [a.title for a in part.annotations]


def test_a_response_that_reaches_its_limit_is_incomplete_and_says_why(client):
    body = {"model": "any", "input": "Hi", "max_output_tokens": 3, "extra_body": {"reclm": {"domain": "none"}}}
    whole = client.responses.create(**body)
    *_, last = client.responses.create(**body, stream=True)
    assert last.type == "response.incomplete"
    for response in (whole, last.response):
        assert response.status == response.output[0].status == "incomplete"
        assert response.incomplete_details.reason == "max_output_tokens" and response.usage.output_tokens == 3


def test_a_conversation_may_end_with_the_answers_of_tools(client):
    call = {"id": "1", "type": "function", "function": {"name": "seen", "arguments": "{}"}}
    around = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "<SOI>blue river<EOI>"},
    ]
    assert chat(client, user(LIST), *around)[0] == chat(client, user(LIST))[0]


def test_the_output_of_a_response_can_be_sent_back_as_input(client):
    first = client.responses.create(model="any", input=[user(LIST)])
    back = [
        user(LIST),
        *[item.model_dump() for item in first.output],
        {"type": "reasoning", "summary": []},
        user("more"),
    ]
    second = client.responses.create(model="any", input=back)
    listed = [{a.title for a in answer.output[0].content[0].annotations} for answer in (first, second)]
    assert listed[1] and not listed[0] & listed[1]


def test_a_response_that_would_be_continued_from_memory_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model="any", input="more", previous_response_id="resp_1")


def test_models_are_listed_and_found(client, service):
    assert [model.id for model in client.models.list()] == [service.model]
    assert client.models.retrieve(service.model).object == "model"
    with pytest.raises(openai.NotFoundError, match="no model 'other'"):
        client.models.retrieve("other")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", ["chat", "responses"])
def test_refusals_have_their_status_before_the_stream_begins(client, form, stream):
    def ask(**own):
        if form == "chat":
            client.chat.completions.create(model="any", messages=[user("Hi")], stream=stream, extra_body={"reclm": own})
        else:
            client.responses.create(model="any", input="Hi", stream=stream, extra_body={"reclm": own})

    with pytest.raises(openai.BadRequestError) as refused:
        ask(rules={"nonsense": 1})
    assert refused.value.body["type"] == "invalid_request_error" and "nonsense" in refused.value.body["message"]
    with pytest.raises(openai.NotFoundError):
        ask(domain="nowhere")
    with pytest.raises(openai.UnprocessableEntityError):
        ask(nonsense=1)


# -- conversations ---------------------------------------------------------------------------------------------------


def test_what_was_listed_is_not_listed_again_when_only_text_is_sent_back(client):
    first, listed, _ = chat(client, user(LIST))
    _, more, _ = chat(client, user(LIST), {"role": "assistant", "content": first}, user("3 more"))
    ids = [item["item_id"] for item in (*listed, *more)]
    assert sorted(ids) == sorted(TITLES)


def test_preferences_that_are_sent_back_replace_the_reading_of_the_messages(client):
    said = [user("I liked red moon"), {"role": "assistant", "content": "Noted."}, user(LIST)]
    _, _, answer = chat(client, *said[:1])
    own = answer.model_extra["reclm"]["preferences"]
    assert own["liked"] == [["10"]]
    _, read, one = chat(client, *said)
    _, kept, two = chat(
        client, user("zzz"), {"role": "assistant", "content": "Noted."}, said[-1], own={"preferences": own}
    )
    assert one.model_extra["reclm"]["understood"] == two.model_extra["reclm"]["understood"]
    assert "10" not in {item["item_id"] for item in (*read, *kept)}
    other = own | {"liked": [["12"]], "mentioned": [["12"]]}
    _, _, three = chat(client, *said, own={"preferences": other})
    assert "like blue river" in three.model_extra["reclm"]["understood"]
    assert "red moon" not in three.model_extra["reclm"]["understood"]


def test_conversations_at_the_same_time_do_not_mix(url):
    async def talk(client, liked):
        said, ids = [user(f"I liked {TITLES[liked]}. Recommend 2 titles")], [liked]
        for _ in range(2):
            answer = await client.chat.completions.create(model="any", messages=said)
            message = answer.choices[0].message
            assert TITLES[liked] in answer.model_extra["reclm"]["understood"]
            ids += [item["item_id"] for item in message.model_extra["items"]]
            said += [{"role": "assistant", "content": message.content}, user("2 more")]
        assert len(ids) == len(set(ids)) == 5

    async def main():
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client,
            anyio.create_task_group() as group,
        ):
            for liked in TITLES:
                group.start_soon(talk, client, liked)

    anyio.run(main)


# -- the llm package -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_the_llm_package_talks_with_the_server(url, tmp_path, monkeypatch, stream):
    entry = {"model_id": "reclm", "model_name": "reclm", "api_base": f"{url}/v1", "api_key_name": "reclm"}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([entry]))
    (tmp_path / "keys.json").write_text(json.dumps({"reclm": "any"}))
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    conversation = llm.get_model("reclm").conversation()
    first, second = (conversation.prompt(text, stream=stream).text() for text in (LIST, "3 more"))
    listed = [line.split(". ", 1)[1] for answer in (first, second) for line in answer.splitlines()]
    assert sorted(listed) == sorted(TITLES.values())
