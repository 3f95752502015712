"""Conversations to mix in, from a file: ShareGPT's form or OpenAI's, read record by record.

What cannot be read is counted and named, in a warning; a file that is cut off gives the records before its end.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from train_utils.chat import Chat, Message, message
from train_utils.text_files import sniff_encoding, whole_characters

logger = logging.getLogger(__name__)

# Keys under which a record may hold its turns, and names of who speaks.
_TURNS = ("conversations", "messages", "conversation")
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
_OPENS_LIST = re.compile(r'\s*\{\s*"(\w+)"\s*:\s*\[')
_CHUNK = 1 << 20
CUT_OFF = "the file ends inside a record"
NO_TURNS = f"no list of turns under {', '.join(map(repr, _TURNS))}, left out"
NO_TEXT = "a first turn without a text, or of another role than user and assistant, left out"
HALF_CHARACTER = "half a character (a lone surrogate), read as U+FFFD"


def read_records(path: str | Path, unreadable: Counter[str] | None = None) -> Iterator[dict]:
    """Yield the objects of a JSON array, of JSON lines, or of the array in an object such as {"data": [...]}.

    Args:
        path: the file.
        unreadable: counts what is not read, by reason.

    Raises:
        ValueError: the file does not exist.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"conversations {str(path)!r} do not exist; fetch them or pass --share_chat_gpt ''")
    unreadable = Counter() if unreadable is None else unreadable
    decoder, buffer, tried, opened = json.JSONDecoder(), "", 0, False
    with path.open(encoding=sniff_encoding(path), errors="replace") as file:
        while chunk := file.read(_CHUNK):
            buffer += chunk
            if not opened:
                opened, wrapped = True, _OPENS_LIST.match(buffer)
                if wrapped and wrapped[1] not in _TURNS:
                    buffer = buffer[wrapped.end():]
            # A record that is longer than what is there is tried again when there is twice as much.
            while len(buffer) >= 2 * tried and (buffer := buffer.lstrip("[], \n\r\t")):
                try:
                    record, end = decoder.raw_decode(buffer)
                except (json.JSONDecodeError, RecursionError):
                    tried = len(buffer)
                    break
                buffer, tried = buffer[end:], 0
                yield from _records_of(record, unreadable)
        while buffer := buffer.lstrip("[]}, \n\r\t"):
            try:
                record, end = decoder.raw_decode(buffer)
            except (json.JSONDecodeError, RecursionError):
                unreadable[CUT_OFF] += 1
                return
            buffer = buffer[end:]
            yield from _records_of(record, unreadable)


def _records_of(record: object, unreadable: Counter[str]) -> Iterator[dict]:
    """Yield a record, or the records that an object without turns of its own holds in a list."""
    if not isinstance(record, dict):
        unreadable["a value that is no object"] += 1
    elif any(key in record for key in _TURNS):
        yield record
    elif inner := next((value for value in record.values() if isinstance(value, list) and value
                        and all(isinstance(one, dict) for one in value)), None):
        yield from inner
    else:
        yield record


def load_exchanges(path: str | Path, chat: Chat, max_segment: int, limit: int = 2000, rounds: int = 3
                   ) -> list[tuple[Message, ...]]:
    """The first rounds (a question and its answer) of each conversation, at most `rounds` of `limit` conversations.

    A conversation ends before the first round with a turn of more than `max_segment` tokens: nothing is cut, because
    an answer that stops in mid-sentence teaches just that.

    Raises:
        ValueError: the file is missing, holds no conversation, or none with a round that fits.
    """
    found: list[tuple[Message, ...]] = []
    unreadable: Counter[str] = Counter()
    records = readable = 0
    for record in read_records(path, unreadable):
        records += 1
        if turns := _turns(record, unreadable):
            readable += 1
            if exchange := tuple(_rounds(turns, chat, max_segment, rounds)):
                found.append(exchange)
        if len(found) == limit:
            break
    summary = "; ".join(f"{n} with {reason}" if reason != CUT_OFF else reason for reason, n in unreadable.items())
    if not readable:
        raise ValueError(f"{str(path)!r} holds no conversation that can be read, in {records} records"
                         f"{summary and f' ({summary})'}; wanted a list of {{'conversations': [{{'from', 'value'}}]}} "
                         "(ShareGPT) or {'messages': [{'role', 'content'}]} (OpenAI)")
    if summary:
        logger.warning("conversations of %s: %d records read; %s", path, records, summary)
    if not found:
        raise ValueError(f"{str(path)!r} holds no exchange whose turns fit {max_segment} tokens; raise --max_segment")
    return found


def _turns(record: Mapping[str, object], unreadable: Counter[str]) -> list[tuple[str | None, str]]:
    """(role or None, text) of each turn of a record up to the first that cannot be read; [] for a record of none."""
    listed = next((record[key] for key in _TURNS if isinstance(record.get(key), list)), None)
    if not listed or not all(isinstance(turn, Mapping) for turn in listed):
        unreadable[NO_TURNS] += 1
        return []
    # OpenAI's files open with a system message as a rule; the samples bring their own.
    if listed[0].get("role") == "system":
        listed = listed[1:]
    found = []
    for turn in listed:
        role, text = _ROLES.get(str(turn.get("from", turn.get("role")))), _text(turn)
        if role is None or text is None:
            if not found:  # else a conversation is used up to the turn that cannot be read
                unreadable[NO_TEXT] += 1
            break
        whole = whole_characters(text)
        if whole != text:
            unreadable[HALF_CHARACTER] += 1
        found.append((role, whole))
    return found


def _text(turn: Mapping[str, object]) -> str | None:
    """The text of a turn: under "value" or "content", there also as a list of parts of the type text."""
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
        content = "".join(parts) if parts and all(isinstance(part, str) for part in parts) else None
    return content if isinstance(content, str) else None


def _rounds(turns: list[tuple[str | None, str]], chat: Chat, max_segment: int, rounds: int) -> Iterator[Message]:
    """Messages of the rounds at the beginning of a conversation that fit."""
    for at in range(0, min(len(turns) - 1, 2 * rounds), 2):
        (asker, question), (answerer, answer) = turns[at:at + 2]
        if (asker, answerer) != ("user", "assistant") or not question.strip() or not answer.strip():
            return
        # A token has at least one byte and on average about four; far longer texts need no counting.
        if max(len(question), len(answer)) > max_segment * 8 or any(
                len(chat.encode(text)) > max_segment for text in (question, answer)):
            return
        yield message("user", question.strip())
        yield message("assistant", answer.strip())
