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


def load_exchanges(path: str | Path, chat: Chat, max_segment: int, limit: int = 2000) -> list[tuple[Message, Message]]:
    """The first question and answer of each conversation whose turns fit `max_segment` tokens, at most `limit`.

    Exchanges that do not fit are left out rather than cut: an answer that stops in mid-sentence teaches just that.

    Raises:
        ValueError: the file is missing or holds no such exchange.
    """
    found: list[tuple[Message, Message]] = []
    # A token has at least one byte and on average about four; far longer texts need no counting.
    longest = max_segment * 8
    for record in read_records(path):
        turns = record.get("conversations") or []
        pair = [t.get("value") for t in turns[:2] if isinstance(t, dict)]
        roles = [_ROLES.get(t.get("from")) for t in turns[:2] if isinstance(t, dict)]
        if roles != ["user", "assistant"] or not all(isinstance(v, str) and v.strip() for v in pair):
            continue
        if max(map(len, pair)) > longest or any(len(chat.encode(v)) > max_segment for v in pair):
            continue
        found.append((message("user", pair[0].strip()), message("assistant", pair[1].strip())))
        if len(found) == limit:
            break
    if not found:
        raise ValueError(f"{str(path)!r} holds no exchange whose turns fit {max_segment} tokens; raise --max_segment")
    return found
