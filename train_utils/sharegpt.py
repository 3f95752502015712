"""ShareGPT-form conversations: read record by record, so that a cut-off file gives what it holds."""

import json
from collections.abc import Iterator
from pathlib import Path

from train_utils.chat import Chat, Message, message

_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
_CHUNK = 1 << 20


def read_records(path: str | Path) -> Iterator[dict]:
    """The objects of a JSON array or of JSON lines, streamed; ends silently where a cut-off file ends.

    Raises:
        ValueError: the file does not exist.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"conversations {str(path)!r} do not exist; fetch them or pass --share_chat_gpt ''")
    decoder, buffer = json.JSONDecoder(), ""
    with path.open(encoding="utf-8", errors="replace") as file:
        while chunk := file.read(_CHUNK):
            buffer += chunk
            while buffer := buffer.lstrip("[], \n\r\t"):
                try:
                    record, end = decoder.raw_decode(buffer)
                except json.JSONDecodeError:
                    break
                if isinstance(record, dict):
                    yield record
                buffer = buffer[end:]


def load_exchanges(path: str | Path, chat: Chat, max_segment: int, limit: int = 2000, rounds: int = 3
                   ) -> list[tuple[Message, ...]]:
    """The first rounds (a question and its answer) of each conversation, at most `rounds` of `limit` conversations.

    A conversation ends before the first round with a turn of more than `max_segment` tokens: nothing is cut, because
    an answer that stops in mid-sentence teaches just that.

    Raises:
        ValueError: the file is missing or holds no round that fits.
    """
    found: list[tuple[Message, ...]] = []
    for record in read_records(path):
        if exchange := tuple(_rounds(record, chat, max_segment, rounds)):
            found.append(exchange)
        if len(found) == limit:
            break
    if not found:
        raise ValueError(f"{str(path)!r} holds no exchange whose turns fit {max_segment} tokens; raise --max_segment")
    return found


def _rounds(record: dict, chat: Chat, max_segment: int, rounds: int) -> Iterator[Message]:
    """Messages of the rounds at the beginning of a conversation that fit."""
    turns = record.get("conversations")
    turns = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    for at in range(0, min(len(turns) - 1, 2 * rounds), 2):
        pair = [turn.get("value") for turn in turns[at:at + 2]]
        roles = [_ROLES.get(str(turn.get("from"))) for turn in turns[at:at + 2]]
        if roles != ["user", "assistant"] or not all(isinstance(text, str) and text.strip() for text in pair):
            return
        # A token has at least one byte and on average about four; far longer texts need no counting.
        if max(map(len, pair)) > max_segment * 8 or any(len(chat.encode(text)) > max_segment for text in pair):
            return
        yield message("user", pair[0].strip())
        yield message("assistant", pair[1].strip())
