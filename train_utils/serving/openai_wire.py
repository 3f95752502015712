"""Events of an answer in the forms of OpenAI's chat completions and responses APIs."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from train_utils.decoding.events import TextDelta
from train_utils.dialogue.answers import Notice
from train_utils.serving.exchange import Finished, Listed, ServiceEvent, Understood

Json = dict[str, object]


@dataclass
class Answer:
    """What was seen of an answer.

    Attributes:
        text: the visible text, titles included.
        items: the items, as JSON objects.
        notices: lines that are no part of the answer.
        understood: what was understood, in words.
        own: the answer's name in feedback, and the user's variant where there are variants.
        end: how it ended; None until then.
    """

    text: str = ""
    items: list[Json] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    understood: str = ""
    own: Json = field(default_factory=dict)
    end: Finished | None = None

    def add(self, event: ServiceEvent) -> str:
        """Take an event and return the text that it adds."""
        added = ""
        match event:
            case TextDelta(words):
                added = words
            case Listed(card):
                added = str(card["title"])
                self.items.append(dict(card))
            case Notice(line):
                self.notices.append(line)
            case Understood(text, _, recommendation_id, variant):
                self.understood = text
                self.own["recommendation_id"] = recommendation_id
                if variant:
                    self.own["variant"] = variant
            case Finished():
                self.end = event
        self.text += added
        return added

    @property
    def annotations(self) -> list[Json]:
        """The items as citations, with their places in the text."""
        return [{"type": "url_citation", "url_citation": citation(card)} for card in self.items]

    @property
    def reclm(self) -> Json:
        """This server's own part of the answer."""
        own: Json = {"understood": self.understood, "notices": self.notices, **self.own}
        return own | ({"preferences": self.end.preferences.model_dump()} if self.end else {})

    @property
    def finish_reason(self) -> str:
        return "length" if self.end and self.end.finish == "length" else "stop"

    @property
    def status(self) -> str:
        """How the answer ended, in the responses API."""
        return "incomplete" if self.finish_reason == "length" else "completed"

    @property
    def usage(self) -> Json:
        read, written = (self.end.prompt_tokens, self.end.completion_tokens) if self.end else (0, 0)
        return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def citation(card: Mapping[str, object]) -> Json:
    """Return an item as a citation: its place in the text, title and address."""
    span = card["span"]
    assert isinstance(span, Sequence)
    return {"start_index": span[0], "end_index": span[1], "title": card["title"], "url": card["url"]}


def completion(events: Iterable[ServiceEvent], model: str) -> Json:
    """Return a whole answer in the form of a chat completion."""
    answer = Answer()
    for event in events:
        answer.add(event)
    message = {
        "role": "assistant",
        "content": answer.text,
        "refusal": None,
        "annotations": answer.annotations,
        "items": answer.items,
    }
    choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
    return {
        **_head("chat.completion", model),
        "choices": [choice],
        "usage": answer.usage,
        "reclm": answer.reclm,
    }


def completion_chunks(events: Iterable[ServiceEvent], model: str, usage: bool = False) -> Iterator[str]:
    """Yield an answer as server-sent events of chat completion chunks.

    Args:
        events: the events of the answer.
        model: name of the model.
        usage: whether a last chunk gives the numbers of tokens.
    """
    head, answer = _head("chat.completion.chunk", model), Answer()

    def chunk(delta: Json, finish: str | None = None, **more: object) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return sent_line({**head, "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    for event in events:
        words = answer.add(event)
        match event:
            case Understood():
                yield chunk(
                    {},
                    reclm=answer.own | {"understood": answer.understood, "preferences": event.preferences.model_dump()},
                )
            case Notice(line):
                yield chunk({}, reclm={"notice": line})
            case Listed():
                yield chunk({"content": words, "annotations": answer.annotations[-1:], "items": answer.items[-1:]})
            case TextDelta() if words:
                yield chunk({"content": words})
    yield chunk({}, answer.finish_reason, reclm=answer.reclm)
    if usage:
        yield sent_line({**head, "choices": [], "usage": answer.usage})
    yield "data: [DONE]\n\n"


def response(events: Iterable[ServiceEvent], model: str) -> Json:
    """Return a whole answer in the form of the responses API."""
    answer = Answer()
    for event in events:
        answer.add(event)
    head = _response_head(model)
    return _response(head, answer.status, [_output(_message_id(head), answer)], answer)


def response_events(events: Iterable[ServiceEvent], model: str) -> Iterator[str]:
    """Yield an answer as the typed server-sent events of the responses API."""
    head, answer = _response_head(model), Answer()
    message_id, number = _message_id(head), 0

    def sent(kind: str, **content: object) -> str:
        nonlocal number
        number += 1
        return f"event: {kind}\n" + sent_line({"type": kind, "sequence_number": number - 1, **content})

    place: Json = {"item_id": message_id, "output_index": 0, "content_index": 0}
    yield sent("response.created", response=_response(head, "in_progress", [], answer))
    yield sent("response.in_progress", response=_response(head, "in_progress", [], answer))
    begun = {**_output(message_id, answer), "status": "in_progress", "content": []}
    yield sent("response.output_item.added", output_index=0, item=begun)
    yield sent("response.content_part.added", **place, part=_part(answer))
    for event in events:
        if words := answer.add(event):
            yield sent("response.output_text.delta", **place, delta=words, logprobs=[])
        if isinstance(event, Listed):
            annotation = {"type": "url_citation", **citation(event.card)}
            yield sent(
                "response.output_text.annotation.added",
                **place,
                annotation_index=len(answer.items) - 1,
                annotation=annotation,
                item=answer.items[-1],
            )
    yield sent("response.output_text.done", **place, text=answer.text, logprobs=[])
    yield sent("response.content_part.done", **place, part=_part(answer))
    output = _output(message_id, answer)
    yield sent("response.output_item.done", output_index=0, item=output)
    yield sent(f"response.{answer.status}", response=_response(head, answer.status, [output], answer))


def _head(kind: str, model: str) -> Json:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _response_head(model: str) -> Json:
    return {"id": f"resp_{uuid4().hex}", "object": "response", "created_at": int(time.time()), "model": model}


def _message_id(head: Json) -> str:
    return f"msg_{str(head['id']).removeprefix('resp_')}"


def _part(answer: Answer) -> Json:
    annotations = [{"type": "url_citation", **citation(card)} for card in answer.items]
    return {
        "type": "output_text",
        "text": answer.text,
        "annotations": annotations,
        "items": answer.items,
        "logprobs": [],
    }


def _output(message_id: str, answer: Answer) -> Json:
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "status": answer.status,
        "content": [_part(answer)],
    }


def _response(head: Json, status: str, output: list[Json], answer: Answer) -> Json:
    usage = answer.usage
    return {
        **head,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "output": output,
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
        "temperature": None,
        "top_p": None,
        "usage": None
        if status == "in_progress"
        else {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        },
        "reclm": answer.reclm,
    }


def sent_line(content: Json) -> str:
    """Return a server-sent event of a JSON object."""
    return f"data: {json.dumps(content, ensure_ascii=False, separators=(',', ':'))}\n\n"
