"""Chat exchanges from a file in the form of ShareGPT or OpenAI, read record by record.

A warning counts and names the unreadable records. Of a truncated file, the records before its end are read.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import dropwhile
from pathlib import Path

from train_utils.characters import whole_characters
from train_utils.files.text_files import text_chunks
from train_utils.prompts.json_stream import BROKEN_VALUE, CUT_OFF, GIVEN_UP, json_values
from train_utils.prompts.messages import Message, message
from train_utils.prompts.renderer import Chat

logger = logging.getLogger(__name__)

# Keys of a record's turns, of a turn's speaker and text, and names of speakers.
_TURNS = ("conversations", "messages", "conversation", "turns", "dialog", "dialogue", "items")
_SPEAKER, _TEXT = ("from", "role"), ("value", "content", "text")
_ROLES = dict.fromkeys(("human", "user", "prompter"), "user") | dict.fromkeys(
    ("gpt", "assistant", "chatgpt", "bing", "bard", "claude", "model", "ai", "bot", "chatbot"), "assistant"
)
_USUAL = ("human", "user", "gpt", "assistant")
_SYSTEM = ("system", "developer")
_DEEPEST = 4  # levels of objects and lists around records
NO_TURNS = f"no list of turns under {', '.join(map(repr, _TURNS))}, left out"
NO_TEXT = "a first turn without a text, or of another role than user and assistant, left out"
DAMAGED_END = "a damaged end of the gzip file"
_WHOLE_FILE = (CUT_OFF, DAMAGED_END, GIVEN_UP)
HALF_CHARACTER = "half a character (a lone surrogate), read as U+FFFD"


def read_records(path: str | Path, unreadable: Counter[str] | None = None) -> Iterator[dict]:
    """Yield the records of a JSON array, of JSON lines, or of lists in objects such as {"data": [...]}.

    After a broken record, reading continues with the next one.

    Args:
        path: the file.
        unreadable: counts the unreadable records, by reason.

    Raises:
        ValueError: the file does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"conversations {str(path)!r} do not exist; fetch them or pass `share_chat_gpt` ''")
    unreadable = Counter() if unreadable is None else unreadable
    inside = False  # in a broken record or an object around records, other values are not counted again
    for value in json_values(_chunks(path, unreadable), unreadable, lambda value: any(_records_in(value))):
        if value is BROKEN_VALUE:
            inside = True
            continue
        records = list(_records_in(value))
        yield from records
        if records:
            continue
        if isinstance(value, dict) and not inside:
            yield value
        elif not inside:
            unreadable["a value that is no object"] += 1


def _chunks(path: Path, unreadable: Counter[str]) -> Iterator[str]:
    try:
        yield from text_chunks(path)
    except ValueError:  # a truncated gzip file
        unreadable[DAMAGED_END] += 1


def _records_in(value: object, depth: int = 0) -> Iterator[dict]:
    """Yield the records in a value: itself, a list of turns as one record, or the ones nested in it."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        if any(_may_be_turns(value.get(key)) for key in _TURNS):
            yield value
        else:
            for inner in value.values():
                yield from _records_in(inner, depth + 1)
    elif isinstance(value, list):
        if value and all(isinstance(turn, dict) and _first(turn, _SPEAKER) is not None for turn in value):
            yield {_TURNS[0]: value}
        else:
            for inner in value:
                yield from _records_in(inner, depth + 1)


def _may_be_turns(value: object) -> bool:
    """Return whether a value is a list, but not of records, which a file may also keep under "items"."""
    return (
        isinstance(value, list)
        and bool(value)
        and not any(isinstance(turn, dict) and any(isinstance(turn.get(key), list) for key in _TURNS) for turn in value)
    )


def _first(fields: Mapping[str, object], keys: tuple[str, ...]) -> object:
    """Return the first value that is not null under one of several keys."""
    return next((fields[key] for key in keys if fields.get(key) is not None), None)


def load_exchanges(
    path: str | Path, chat: Chat, max_segment: int, limit: int = 2000, rounds: int = 3
) -> list[tuple[Message, ...]]:
    """Load the first rounds (a question and its answer) of each conversation.

    A conversation ends before the first round with a turn of more than `max_segment` tokens. Turns are not truncated,
    because an answer that stops in mid-sentence teaches the model to stop there. Conversations with unusual speaker
    names, or of ShareGPT's form with an instruction at the start, come last, so that draws from files with none of
    them, or with enough others, do not depend on them.

    Args:
        path: the file.
        chat: renderer that counts tokens.
        max_segment: tokens per turn at most.
        limit: number of conversations at most.
        rounds: rounds per conversation at most.

    Returns:
        The messages of each conversation.

    Raises:
        ValueError: the file is missing, holds no readable conversation, or none with a round that fits.
    """
    usual: list[tuple[Message, ...]] = []
    unusual: list[tuple[Message, ...]] = []
    unreadable: Counter[str] = Counter()
    records = readable = 0
    for record in read_records(path, unreadable):
        records += 1
        if turns := _turns(record, unreadable):
            readable += 1
            if exchange := tuple(_rounds(turns, chat, max_segment, rounds)):
                kept = usual if _is_usual(record) else unusual
                kept += [exchange][: limit - len(kept)]
        if len(usual) == limit:
            break
    usual += unusual[: limit - len(usual)]
    summary = "; ".join(reason if reason in _WHOLE_FILE else f"{n} with {reason}" for reason, n in unreadable.items())
    if not readable:
        raise ValueError(
            f"{str(path)!r} holds no conversation that can be read, in {records} records"
            f"{summary and f' ({summary})'}; wanted a list of {{'conversations': [{{'from', 'value'}}]}} "
            "(ShareGPT) or {'messages': [{'role', 'content'}]} (OpenAI)"
        )
    if summary:
        logger.warning("conversations of %s: %d records read; %s", path, records, summary)
    if not usual:
        raise ValueError(f"{str(path)!r} holds no exchange whose turns fit {max_segment} tokens; raise `max_segment`")
    return usual


def _turns(record: Mapping[str, object], unreadable: Counter[str]) -> list[tuple[str, str]]:
    """Return (role, text) of the turns of a record up to the first unreadable one; [] for none."""
    listed = [turn for turn in _listed(record) if isinstance(turn, Mapping)]
    # Files of OpenAI's form usually start with a system message; the samples have their own.
    listed = list(dropwhile(lambda turn: _speaker(turn).lower() in _SYSTEM, listed))
    if not listed:
        unreadable[NO_TURNS] += 1
        return []
    turns: list[tuple[str, str]] = []
    for turn in listed:
        if len(turns) > 1 and _speaker(turn) not in _USUAL:
            break
        role, text = _ROLES.get(_speaker(turn).lower()), _text_of(_first(turn, _TEXT))
        if role is None or text is None:
            if not turns:  # otherwise the turns before the unreadable one are used
                unreadable[NO_TEXT] += 1
            break
        whole = whole_characters(text)
        if whole != text:
            unreadable[HALF_CHARACTER] += 1
        turns.append((role, whole))
    return turns


def _is_usual(record: Mapping[str, object]) -> bool:
    """Return whether the first two turns, after OpenAI's instruction, have usual names of user and assistant."""
    turns = [turn for turn in _listed(record) if isinstance(turn, Mapping)]
    turns = turns[bool(turns and turns[0].get("role") == "system") :]
    return all(_speaker(turn) in _USUAL for turn in turns[:2])


def _speaker(turn: Mapping[str, object]) -> str:
    """Return the name of a turn's speaker; "" where it is no text."""
    name = _first(turn, _SPEAKER)
    return name if isinstance(name, str) else ""


def _listed(record: Mapping[str, object]) -> list[object]:
    return next((value for key in _TURNS if isinstance(value := record.get(key), list) and value), [])


def _text_of(content: object) -> str | None:
    """Return the text of a content: a text, or the joined texts of a list of parts; None for no text.

    Parts are texts, or objects with a text; other kinds are ignored.
    """
    if isinstance(content, Mapping):
        content = _first(content, ("text", "parts", "content"))
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        parts = [text for text in texts if isinstance(text, str)]
        content = "".join(parts) if parts else None
    return content if isinstance(content, str) else None


def _rounds(turns: list[tuple[str, str]], chat: Chat, max_segment: int, rounds: int) -> Iterator[Message]:
    """Yield the messages of the first rounds of a conversation that fit."""
    for at in range(0, min(len(turns) - 1, 2 * rounds), 2):
        (asker, question), (answerer, answer) = turns[at : at + 2]
        if (asker, answerer) != ("user", "assistant") or not question.strip() or not answer.strip():
            return
        # A token has at least one byte, on average about four; far longer texts need no tokenization.
        if max(len(question), len(answer)) > max_segment * 8 or any(
            len(chat.encode(text)) > max_segment for text in (question, answer)
        ):
            return
        yield message("user", question.strip())
        yield message("assistant", answer.strip())
