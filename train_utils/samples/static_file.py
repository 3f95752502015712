"""Samples in a file: a JSON list of epochs, each a list of {input_text, output_text, task, input_field_data}.

An item is written `<SOI>title<EOI>`. `input_field_data` holds the rest of a drawn sample, so an exported file trains
exactly as the samples that it was made from: `history` (item ids), `teacher` and `beginnings` (the teacher's rankings,
for soft labels; `teachers_before` for answers before the last one), `before` and `after` (chat messages around the
request, as [role, text]), `plain` (a pure chat: control tokens in its texts are ordinary characters), `typed` (the same
of the user's messages alone: every answer may have items).
"""

import json
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from tqdm import tqdm

from train_utils.catalog import Catalog
from train_utils.files.atomic import replacing
from train_utils.files.json_files import read_json
from train_utils.prompts.control_tokens import EOI, SOI
from train_utils.prompts.messages import ControlPart, ItemPart, Message, Part, TitlePart, message
from train_utils.prompts.renderer import Chat
from train_utils.prompts.templates import SYSTEM
from train_utils.samples.conversation import Conversation, not_rendered, render_sample
from train_utils.samples.plan import SampleConfig
from train_utils.samples.sources import DrawnSamples, shuffled
from train_utils.teacher.protocol import TeacherList, check_ranking

_MARK = re.compile(f"({re.escape(SOI)}|{re.escape(EOI)})")
_ROLES = ("user", "assistant")


def export_samples(source: DrawnSamples, epochs: int, path: str | Path) -> int:
    """Write the drawn samples of `epochs` epochs to `path`, atomically.

    Returns:
        The number of samples written.
    """
    n = len(source.users)
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8") as file,
        tqdm(total=n * epochs, desc="export", unit="sample", mininterval=5) as bar,
    ):
        file.write("[")
        for epoch in range(epochs):
            file.write(",\n[" if epoch else "[")
            for start in range(0, n, _CHUNK):
                users = range(start, min(n, start + _CHUNK))
                talks = source.talks_of(source.plans_of(epoch, users))
                file.write(
                    ",\n" * (start > 0)
                    + ",\n".join(json.dumps(record_of(talk, source.catalog), ensure_ascii=False) for talk in talks)
                )
                bar.update(len(users))
            file.write("]")
        file.write("]\n")
    return n * epochs


_CHUNK = 256


def record_of(talk: Conversation, catalog: Catalog) -> dict[str, object]:
    """Convert a conversation to a record of the file."""
    spoken = [m for m in talk.messages if m.role != "system"]
    rounds = [(m.role, _to_text(m.parts, catalog)) for m in spoken]
    request = next(
        (i for i in range(0, len(spoken), 2) if any(isinstance(p, ItemPart) for p in spoken[i + 1].parts)), 0
    )
    fields: dict[str, object] = dict(talk.about)
    if request:
        fields["before"] = rounds[:request]
    if rounds[request + 2 :]:
        fields["after"] = rounds[request + 2 :]
    if not any(isinstance(part, (ItemPart, ControlPart)) for m in talk.messages for part in m.parts):
        fields["plain"] = True
    elif all(isinstance(part, str) for m in spoken if m.role == "user" for part in m.parts):
        fields["typed"] = True
    if talk.ranked is not None:
        fields["teacher"] = _ranking_record(talk.ranked, catalog)
    if talk.ranked_before:
        fields["teachers_before"] = [_ranking_record(ranking, catalog) for ranking in talk.ranked_before]
    if talk.beginnings:
        fields["beginnings"] = {str(n): _ranking_record(ranking, catalog) for n, ranking in talk.beginnings.items()}
    return {
        "input_text": rounds[request][1],
        "output_text": rounds[request + 1][1],
        "task": talk.task,
        "input_field_data": fields,
    }


def _ranking_record(ranked: TeacherList, catalog: Catalog) -> dict[str, object]:
    return {"items": catalog.ids(ranked.items), "scores": ranked.scores}


def _to_text(parts: Sequence[Part], catalog: Catalog) -> str:
    def text_of(part: Part) -> str:
        match part:
            case ItemPart(item):
                return f"{SOI}{catalog.items[item].title}{EOI}"
            case TitlePart(item):
                return f" {catalog.items[item].title}"
            case ControlPart(which):
                return SOI if which == "soi" else EOI
        return part

    return "".join(map(text_of, parts))


class StaticSamples:
    """Conversations of a file, repeated if it holds fewer epochs than the training run.

    Raises:
        ValueError: the file is missing, malformed, or has an item that is not in the catalog; the error gives the
            sample.
    """

    def __init__(self, path: str | Path, catalog: Catalog, chat: Chat, config: SampleConfig):
        self.path, self.catalog, self.chat, self.config = Path(path), catalog, chat, config
        self.by_title = {item.title: i for i, item in enumerate(catalog.items)}
        self.epochs = [
            [self._parsed(epoch, index, record) for index, record in enumerate(records)]
            for epoch, records in enumerate(self._read())
        ]
        self._ends = list(accumulate(map(len, self.epochs)))

    def samples(self, epochs: int) -> int:
        return sum(len(self.epochs[epoch % len(self.epochs)]) for epoch in range(epochs))

    def talks(self, numbers: Sequence[int]) -> list[Conversation]:
        talks = []
        for number in numbers:
            cycle, rest = divmod(number, self._ends[-1])
            part = bisect_right(self._ends, rest)
            order = shuffled(self.config.seed, cycle * len(self.epochs) + part, len(self.epochs[part]))
            index = order[rest - self._ends[part]]  # a negative index counts from the end of the epoch
            talks.append(self._rendered(self.epochs[part][index], part, index))
        return talks

    def tasks(self) -> list[str]:
        return sorted({talk.task.partition("-")[0] for talks in self.epochs for talk in talks})

    def check(self, epochs: int) -> None:
        """Render every sample and measure it; see `Source.check`.

        Raises:
            ValueError: a sample is too long; the error gives the first one.
        """
        for epoch, talks in enumerate(self.epochs[:epochs]):
            bar = tqdm(talks, desc=f"lengths of epoch {epoch}", unit="sample", mininterval=5, leave=False)
            for index, talk in enumerate(bar):
                self._rendered(talk, epoch, index)

    def _rendered(self, talk: Conversation, epoch: int, index: int) -> Conversation:
        rendered = render_sample(talk.messages, self.chat, self.config)
        if len(rendered.ids) > self.config.max_token_length:
            raise ValueError(
                f"sample {index} of epoch {epoch} in {self.path} has {len(rendered.ids)} tokens, "
                f"`max_token_length` allows {self.config.max_token_length}; raise it, or shorten the "
                "sample"
            )
        return replace(talk, rendered=rendered)

    def ask_ahead(self, numbers: Sequence[int]) -> None:
        """Do nothing: the file holds the teacher's rankings."""

    def _read(self) -> list[list[dict]]:
        if not self.path.is_file():
            raise ValueError(f"`train_data_file` {str(self.path)!r} does not exist; `train_stage` SFT_Export makes one")
        epochs = read_json(self.path, "make it again by `train_stage` SFT_Export")
        if (
            not isinstance(epochs, list)
            or not epochs
            or not all(isinstance(records, list) and records for records in epochs)
        ):
            raise ValueError(f"{self.path} has to be a list of epochs, each a list of samples")
        return epochs

    def _parsed(self, epoch: int, index: int, record: Mapping) -> Conversation:
        try:
            return self._talk(record)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(f"sample {index} of epoch {epoch} in {self.path} cannot be used: {error}") from None

    def _talk(self, record: Mapping) -> Conversation:
        for name in ("input_text", "output_text"):
            if not isinstance(record, dict) or not isinstance(record.get(name), str):
                raise ValueError(f"it has no text under {name!r}")
        known = record.get("input_field_data") or {}
        if not record["output_text"]:
            raise ValueError("its output_text is empty")
        plain, typed = (known.get(name) is True for name in ("plain", "typed"))
        request, answer = (
            message(role, *([text] if is_plain else self._to_parts(text, strict=role == "assistant")))
            for role, text, is_plain in (
                ("user", record["input_text"], plain or typed),
                ("assistant", record["output_text"], plain),
            )
        )
        history = self.catalog.indices(known.get("history", ()))
        shown = [part.item for part in request.parts if isinstance(part, ItemPart)]
        return Conversation(
            str(record.get("task") or "static"),
            (
                message("system", SYSTEM),
                *self._turns(known.get("before", ()), typed),
                request,
                answer,
                *self._turns(known.get("after", ()), typed),
            ),
            not_rendered(),
            len(history) if shown[: len(history)] == history else 0,
            self._ranking(known["teacher"]) if "teacher" in known else None,
            {int(n): self._ranking(ranking) for n, ranking in known.get("beginnings", {}).items()},
            known,
            ranked_before=tuple(self._ranking(ranking) for ranking in known.get("teachers_before", ())),
        )

    def _turns(self, turns: Sequence, with_items: bool) -> tuple[Message, ...]:
        """Convert [role, text] pairs to chat messages; the assistant's have items if `with_items`."""
        messages = []
        for role, text in turns:
            if role not in _ROLES or not isinstance(text, str):
                raise ValueError(f"a chat message is [{role!r}, ...], wanted the role user or assistant, and a text")
            has_items = with_items and role == "assistant"
            messages.append(message(role, *(self._to_parts(text, strict=True) if has_items else [text])))
        return tuple(messages)

    def _ranking(self, entry: Mapping) -> TeacherList:
        scores = tuple(map(float, entry["scores"]))
        if len(entry["items"]) != len(scores):
            raise ValueError(f"a ranking has {len(entry['items'])} items and {len(scores)} scores")
        check_ranking(entry["items"], scores, len(self.catalog.items))
        return TeacherList(tuple(self.catalog.indices(entry["items"])), scores)

    def _to_parts(self, text: str, strict: bool) -> list[Part]:
        """Split a text into parts. In a request (not `strict`) a control token may occur without a title.

        Raises:
            ValueError: `strict`, and a control token is not part of `<SOI>title<EOI>` with a title of the catalog.
        """
        pieces = _MARK.split(text)
        parts: list[Part] = []
        at = 0
        while at < len(pieces):
            piece = pieces[at]
            closed = pieces[at : at + 3 : 2] == [SOI, EOI]
            if closed and (item := self.by_title.get(pieces[at + 1].strip())) is not None:
                parts.append(ItemPart(item))
                at += 3
                continue
            if piece in (SOI, EOI):
                if strict:
                    raise ValueError(
                        f"its output_text has {piece} without a title of the catalog "
                        f"{self.catalog.name!r} in {SOI}title{EOI}"
                    )
                parts.append(ControlPart("soi" if piece == SOI else "eoi"))
            elif piece:
                parts.append(piece)
            at += 1
        return parts
