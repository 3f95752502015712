"""The terminal of the chat: a prompt with completion, a spinner, and answers in color."""

import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from train_utils.catalog import Catalog
from train_utils.command import with_flags
from train_utils.decoding.events import Done, TextDelta
from train_utils.dialogue.answers import Notice
from train_utils.printable import one_line, printable
from train_utils.recommender import Recommendation
from train_utils.serving.chat_session import COMMANDS, ChatSession, Event

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PERIOD = 0.1  # seconds of a frame
_OFFERED = 30  # completions shown
_OF_TITLES = ("like", "dislike", "seen", "history")
_BOLD, _DIM, _END = "\x1b[1m", "\x1b[2m", "\x1b[0m"


class Screen:
    """Printer of events: answers on stdout, notices on stderr.

    Args:
        categories: item id -> its categories, which a terminal shows.
        styled: whether stdout is a terminal: titles are bold, categories are shown, and the answer is made printable.
            Titles and notices are printable everywhere.
        separate: whether a blank line separates answers.
    """

    def __init__(self, categories: Callable[[str], Sequence[str]], styled: bool, separate: bool):
        self.categories = categories
        self.styled = styled
        self.separate = separate
        self.answers = 0
        self.written = ""

    def show(self, event: Event) -> None:
        """Print an event."""
        match event:
            case TextDelta(text):
                self._write(printable(text) if self.styled else text)
            case Recommendation(item_id, title):
                self._write(self._item(item_id, one_line(title)))
            case Done():
                self._write("" if self.written.endswith("\n") else "\n")
                self.written = ""
                self.answers += 1
            case Notice(text):
                print(self._dim(printable(with_flags(text))), file=sys.stderr, flush=True)

    def _item(self, item_id: str, title: str) -> str:
        if not self.styled:
            return f"{title} [{one_line(item_id)}]"
        details = f"[{one_line(item_id)}] {one_line(', '.join(self.categories(item_id)))}".rstrip()
        return f"{_BOLD}{title}{_END} {_DIM}{details}{_END}"

    def _dim(self, text: str) -> str:
        return f"{_DIM}{text}{_END}" if self.styled and sys.stderr.isatty() else text

    def _write(self, text: str) -> None:
        if not text:
            return
        if not self.written and self.separate and self.answers:
            print()
        print(text, end="", flush=True)
        self.written = text


@contextmanager
def spinner(stream: TextIO) -> Iterator[None]:
    """Turn a wheel on a terminal until the block ends.

    Args:
        stream: where the wheel turns; nothing is written where it is no terminal.
    """
    over = threading.Event()

    def turn() -> None:
        for frame in itertools.cycle(_FRAMES):
            if over.wait(_PERIOD):
                break
            print(f"\r{frame}", end="", file=stream, flush=True)
        print("\r \r", end="", file=stream, flush=True)

    thread = threading.Thread(target=turn, daemon=True) if stream.isatty() else None
    if thread:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if thread:
            thread.join()


def spun(events: Iterable[Event], stream: TextIO) -> Iterator[Event]:
    """Yield events; a wheel turns on `stream` until the answer begins, also behind notices."""
    iterator = iter(events)
    answering = False
    while not answering:
        with spinner(stream):
            event = next(iterator, None)
        if event is None:
            return
        answering = not isinstance(event, Notice)
        yield event
    yield from iterator


def completions(line: str, session: ChatSession) -> tuple[int, list[str]]:
    """Return what could stand at the end of a typed line.

    Args:
        line: the line up to the cursor.
        session: the session, whose catalog has the names.

    Returns:
        (number of characters at the end of the line that are replaced, the names that fit).
    """
    if not line.startswith("/"):
        return 0, []
    command, blank, argument = line[1:].partition(" ")
    if not blank:
        return len(line), [f"/{name}" for name in COMMANDS if name.startswith(command)]
    many = command in ("only", "without", *_OF_TITLES)
    last = argument.rpartition(",")[2].lstrip() if many else argument
    return len(last), _fitting(last, _names(command, session))


def _names(command: str, session: ChatSession) -> Sequence[str]:
    if command == "domain":
        return [*session.domains.folders, "none"]
    catalog: Catalog | None = session.domain.catalog
    if catalog is None:
        return []
    if command in ("only", "without"):
        return list(catalog.categories)
    if command in _OF_TITLES:
        return catalog.titles
    if command == "where":
        return [f"{name}>=" for name in catalog.numeric_attributes]
    return list(catalog.sequences) if command == "user" else []


def _fitting(text: str, names: Iterable[str]) -> list[str]:
    """Return names that begin with a text, then names with a word that does, in any case."""
    wanted = text.lower()
    begin: list[str] = []
    inside: list[str] = []
    for name in names:
        lower = name.lower()
        if lower.startswith(wanted):
            begin.append(name)
        elif wanted and f" {wanted}" in lower:
            inside.append(name)
    return [*begin, *inside][:_OFFERED]


def typed_lines(session: ChatSession, input_history: str) -> Iterator[str]:
    """Yield lines typed at a prompt; Tab completes, Ctrl-C clears the line, Ctrl-D ends.

    Args:
        session: the session, for completion.
        input_history: file that keeps the lines; "" for none.
    """
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.output import create_output

    class Names(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            replaced, names = completions(document.text_before_cursor, session)
            for name in names:
                about = COMMANDS[name[1:]][1] if name.startswith("/") and name[1:] in COMMANDS else ""
                yield Completion(one_line(name), start_position=-replaced, display_meta=about)

    # When stdout is redirected to a file, the prompt goes to the terminal of stderr.
    prompt: PromptSession[str] = PromptSession(
        output=create_output(always_prefer_tty=True),
        history=FileHistory(str(Path(input_history).expanduser())) if input_history else InMemoryHistory(),
        completer=Names(),
        complete_while_typing=False,
    )
    while True:
        try:
            line = prompt.prompt("\n> ")
        except KeyboardInterrupt:
            if not prompt.default_buffer.text:
                print("Ctrl-D or /quit ends the chat", file=sys.stderr)
            continue
        except EOFError:
            return
        yield line
