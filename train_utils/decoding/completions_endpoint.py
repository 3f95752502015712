"""Client of a server with OpenAI's completions API that constrains decoding by llguidance.

Prompts are sent as token ids: a chat API would apply its own template, and would take the text of a control token in a
message for the token.
"""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx

from train_utils.files.json_files import json_value
from train_utils.printable import one_line

# How each server takes a Lark grammar, and how it is asked for token ids and for special tokens in the text.
_TOKENS = {"skip_special_tokens": False, "return_token_ids": True}
SERVERS: Mapping[str, Callable[[str], dict[str, object]]] = {
    "vllm": lambda grammar: {"structured_outputs": {"grammar": grammar}, **_TOKENS},
    "sglang": lambda grammar: {"ebnf": grammar, **_TOKENS},
    "tensorrt_llm": lambda grammar: {
        "response_format": {"type": "ebnf", "ebnf": grammar},
        "skip_special_tokens": False,
    },
    "llamacpp": lambda grammar: {"grammar": f"%llguidance {{}}\n{grammar}"},
}
# What makes a server apply the grammar, for the errors.
STARTED_WITH = {
    "vllm": """--structured-outputs-config '{"backend": "guidance"}'""",
    "sglang": "--grammar-backend llguidance",
    "tensorrt_llm": "guided_decoding_backend: llguidance",
    "llamacpp": "--special, built with LLAMA_LLGUIDANCE=ON",
}
_MOST_BYTES = 1 << 24  # of an answer: that of a list has some 10,000
_CONNECT_S = 10.0  # an address without a server is reported soon
TIMEOUT_S = 600.0  # without a byte of an answer
_ATTEMPTS, _PAUSE_S, _LONGEST_PAUSE_S = 4, 0.5, 8.0
_TOKEN_ID = "token_id:"  # how vLLM writes a token with `return_tokens_as_token_ids`
_BUSY = (429, 502, 503, 504)
_REASON_LENGTH = 300


class EndpointError(ValueError):
    """The server does not answer, refuses the request, or its answer has another form."""


@dataclass(frozen=True)
class Written:
    """Answer of a server.

    Attributes:
        text: the text.
        ids: its tokens, as far as the server reports them; () if it does not.
        log_probabilities: of each token, as far as the server reports them; () if it does not.
        finish: why it ended, in OpenAI's words: "stop" or "length"; "" for a piece of a stream that continues.
        first: log-probabilities of tokens that could be first, as far as the request asked for them by their ids.
    """

    text: str
    ids: tuple[int, ...] = ()
    log_probabilities: tuple[float, ...] = ()
    finish: str = "stop"
    first: Mapping[int, float] = field(default_factory=dict)


def request_body(server: str, model: str, prompt: Sequence[int], grammar: str, max_tokens: int) -> dict[str, object]:
    """Return the body of `POST /v1/completions` that asks a server for a greedy answer under a grammar.

    Args:
        server: one of `SERVERS`.
        model: name under which the server serves the model; "" leaves it to the server.
        prompt: token ids.
        grammar: in the Lark syntax of llguidance.
        max_tokens: tokens of the answer at most.
    """
    body = {"prompt": list(prompt), "max_tokens": max_tokens, "temperature": 0.0, "logprobs": 1}
    return ({"model": model} if model else {}) | body | SERVERS[server](grammar)


@dataclass
class CompletionsEndpoint:
    """Server of one model; usable from several threads.

    Args:
        url: address of the server, with or without `/v1`.
        model: name under which it serves the model; "" takes the first one that it lists.
        server: which server it is, one of `SERVERS`; "auto" reads it from its list of models.
        api_key: sent as a bearer token; "" for none.
        timeout: seconds without a byte of an answer.
        remedy: what a server is started with that takes the grammars; "" for those of llguidance.

    Raises:
        ValueError: the address is no HTTP address, or the server is unknown.
    """

    url: str
    model: str = ""
    server: str = "auto"
    api_key: str = field(default="", repr=False)
    timeout: float = TIMEOUT_S
    remedy: str = ""

    def __post_init__(self):
        try:
            parts = urlsplit(self.url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # no number, or a bracket too many
            is_address = False
        if not is_address:
            raise ValueError(f"`url` is {self.url!r}, wanted an address such as http://127.0.0.1:8000")
        if self.server not in ("auto", *SERVERS):
            raise ValueError(f"`server` is {self.server!r}, wanted auto, {', '.join(SERVERS)}")
        self.url = self.url.rstrip("/").removesuffix("/v1")

    @cached_property
    def _client(self) -> httpx.Client:
        headers = {"Accept-Encoding": "identity"}  # a packed answer could be of any size
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(self.timeout, connect=min(_CONNECT_S, self.timeout)),
            limits=httpx.Limits(max_connections=None),  # the callers limit the requests at a time
            headers=headers,
        )

    @cached_property
    def served(self) -> tuple[str, str]:
        """Name of the model, and which server it is.

        Raises:
            EndpointError: the server does not answer, lists no model, or is none of `SERVERS`.
        """
        if self.model and self.server != "auto":
            return self.model, self.server
        models = self._models
        model = self.model or next(iter(models))
        if model not in models and self.server == "auto":
            raise EndpointError(f"{self.url} serves {one_line(', '.join(models), _REASON_LENGTH)}, and not {model!r}")
        owner = str(models.get(model, {}).get("owned_by", ""))
        server = owner.lower().replace("-", "_") if self.server == "auto" else self.server
        if server not in SERVERS:
            raise EndpointError(f"{self.url} is a server {server!r}; give `server`, one of {', '.join(SERVERS)}")
        return model, server

    @cached_property
    def context(self) -> int | None:
        """Tokens of prompt and answer at most; None where the server does not report them.

        Raises:
            EndpointError: the server does not answer, or lists no model.
        """
        tokens = self._models.get(self.served[0], {}).get("max_model_len")
        return tokens if isinstance(tokens, int) and tokens > 0 else None

    @cached_property
    def _models(self) -> Mapping[str, Mapping[str, object]]:
        """What the server lists of its models, by name; there is one at least."""
        answer = self._answer("GET", "/v1/models", None)
        models = answer.get("data") if isinstance(answer, dict) else None
        entries = [entry for entry in models if isinstance(entry, dict)] if isinstance(models, list) else []
        if not (by_name := {str(entry["id"]): entry for entry in entries if "id" in entry}):
            raise EndpointError(f"{self.url}/v1/models lists no model; is it a server of OpenAI's API?")
        return by_name

    def complete(
        self, prompt: Sequence[int], grammar: str, max_tokens: int, more: Mapping[str, object] = MappingProxyType({})
    ) -> Written:
        """Return the server's answer under a grammar, which the caller must check.

        Args:
            prompt: token ids.
            grammar: in the Lark syntax of llguidance, or that of a plugin of the server.
            max_tokens: tokens of the answer at most.
            more: further parameters of the request, such as "temperature"; without it the answer is greedy.

        Raises:
            EndpointError: see the class.
        """
        model, server = self.served
        body = request_body(server, model, prompt, grammar, max_tokens) | dict(more)
        return written_of(self._answer("POST", "/v1/completions", body))

    def stream(
        self, prompt: Sequence[int], grammar: str, max_tokens: int, more: Mapping[str, object] = MappingProxyType({})
    ) -> Generator[Written, None, None]:
        """Yield the pieces of the server's answer as they are written; arguments and errors as of `complete`.

        To stop the answer, close the iterator: the server ends a request whose connection is closed.
        """
        model, server = self.served
        body = request_body(server, model, prompt, grammar, max_tokens) | dict(more) | {"stream": True}
        n_bytes, begun = 0, False
        try:
            with self._client.stream("POST", "/v1/completions", json=body) as response:
                if response.status_code != 200:
                    self._check_status(response.status_code, response.read().decode("utf-8", "replace"))
                for line in response.iter_lines():
                    n_bytes += len(line)
                    if n_bytes > _MOST_BYTES:
                        raise EndpointError(
                            f"{self.url} answers with more than {_MOST_BYTES} bytes; is it the right one?"
                        )
                    if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
                        piece = self._json(data)
                        if isinstance(piece, dict) and "error" in piece:
                            raise EndpointError(f"{self.url} breaks the answer off: {_reason(data)}")
                        begun = True
                        yield written_of(piece)
        except httpx.RequestError as error:
            reason = one_line(str(error) or type(error).__name__, _REASON_LENGTH)
            happens = "breaks the answer off" if begun else "does not answer"
            raise EndpointError(f"{self.url} {happens}: {reason}; is the server started?") from None

    def _answer(self, method: str, path: str, body: object) -> Any:
        """Return the decoded answer to a request, which is repeated while the server is busy or away."""
        pause = _PAUSE_S
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                status, content = self._read(method, path, body)
            except httpx.ReadTimeout:  # asked again, a slow server would have twice the work
                waited = f"{self.url} sent nothing for {self.timeout:g} s"
                raise EndpointError(f"{waited}; ask for fewer lists at a time") from None
            except httpx.RequestError as error:
                status, content = 0, (str(error) or type(error).__name__).encode()
            if attempt == _ATTEMPTS or (status and status not in _BUSY):
                break
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        text = content.decode("utf-8", "replace")
        if not status:
            raise EndpointError(f"{self.url} does not answer: {one_line(text, _REASON_LENGTH)}; is the server started?")
        self._check_status(status, text)
        return self._json(text)

    def _check_status(self, status: int, text: str) -> None:
        if status != 200:
            raise EndpointError(f"{self.url} refuses the request ({status}): {_reason(text)}{self._remedy(status)}")

    def _json(self, text: str) -> Any:
        try:
            return json_value(text)
        except ValueError:
            raise EndpointError(f"{self.url} answers no JSON: {one_line(text, _REASON_LENGTH)}") from None

    def _read(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        content = bytearray()
        with self._client.stream(method, path, json=body) as response:
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > _MOST_BYTES:
                    raise EndpointError(f"{self.url} answers with more than {_MOST_BYTES} bytes; is it the right one?")
        return response.status_code, bytes(content)

    def _remedy(self, status: int) -> str:
        if status != 400 or self.remedy:
            return f"; {self.remedy}" if status == 400 else ""
        started = STARTED_WITH.get(vars(self).get("served", ("", self.server))[1])
        return f"; a server that reads llguidance's grammars is started with {started}" if started else ""


def written_of(answer: Any) -> Written:
    """Return the first choice of a decoded answer of the completions API.

    Raises:
        EndpointError: the answer has another form.
    """
    try:
        choice = answer["choices"][0]
        logprobs = choice.get("logprobs") or {}
        values = logprobs.get("token_logprobs") or ()
        tops: Sequence[Any] = logprobs.get("top_logprobs") or ({},)
        if not isinstance(choice["text"], str):
            raise TypeError
        return Written(
            choice["text"],
            tuple(map(int, choice.get("token_ids") or ())),
            tuple(math.nan if value is None else float(value) for value in values),
            str(choice.get("finish_reason") or ""),
            {
                int(token.removeprefix(_TOKEN_ID)): float(value)
                for token, value in (tops[0] or {}).items()
                if token.startswith(_TOKEN_ID)
            },
        )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError):
        shown = one_line(str(answer), _REASON_LENGTH)
        raise EndpointError(f"the server answers, but not like OpenAI's completions API: {shown}") from None


def _reason(text: str) -> str:
    """Return the message of an error, which servers wrap in one of several ways."""
    try:
        answer = json_value(text)
    except ValueError:
        return one_line(text, _REASON_LENGTH)
    for key in ("error", "message", "detail"):
        if isinstance(answer, dict) and key in answer:
            answer = answer[key]
    return one_line(str(answer), _REASON_LENGTH)
