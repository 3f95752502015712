"""Chat in the terminal or in a pipe: argv -> model and catalogs -> typed lines in, answers out."""

import io
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from transformers.utils import logging

from train_utils.command import run_cli, with_flags
from train_utils.conversation.category_words import Encoder
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.support import decoding_support
from train_utils.models.item_vectors import sentence_encoder
from train_utils.param import ChatOptions, parse
from train_utils.printable import one_line, printable
from train_utils.recommender import Recommendation, Recommender
from train_utils.serving.chat_session import (
    NO_DOMAIN,
    ChatSession,
    Event,
    Notice,
    Quit,
    dataset_folders,
    first_domain,
)


class Screen:
    """Printer of events: answers on stdout, notices on stderr.

    Args:
        styled: whether stdout is a terminal: titles are bold, and the answer is made printable. Titles and notices are
            printable everywhere.
        separate: whether a blank line separates answers.
    """

    def __init__(self, styled: bool, separate: bool):
        self.styled = styled
        self.separate = separate
        self.answers = 0
        self.written = ""

    def show(self, event: Event) -> None:
        match event:
            case TextDelta(text):
                self._write(printable(text) if self.styled else text)
            case Recommendation(item_id, title):
                bold, end = ("\x1b[1m", "\x1b[0m") if self.styled else ("", "")
                self._write(f"{bold}{one_line(title)}{end} [{one_line(item_id)}]")
            case Done():
                self._write("" if self.written.endswith("\n") else "\n")
                self.written = ""
                self.answers += 1
            case Notice(text):
                print(printable(with_flags(text)), file=sys.stderr, flush=True)

    def _write(self, text: str) -> None:
        if not text:
            return
        if not self.written and self.separate and self.answers:
            print()
        print(text, end="", flush=True)
        self.written = text


def load_session(options: ChatOptions) -> ChatSession:
    if options.names("data_root") and not Path(options.data_root).is_dir():
        raise ValueError(f"--data_root {options.data_root!r} does not exist; it is the folder of the dataset folders")
    folders = dataset_folders(options.data_root)
    start_domain = first_domain(folders, options.domain)
    logging.disable_progress_bar()
    if sys.stderr.isatty():
        print(f"loading {options.model_name} ...", end="\r", file=sys.stderr, flush=True)
    begun = time.perf_counter()
    recommender = Recommender.load(
        options.model_name,
        device=options.gpu,
        dtype=options.dtype,
        attention=options.FA2,
        backbone=options.backbone,
        trust_remote_code=options.trust_remote_code,
    )
    session = ChatSession(recommender, folders, options, start_domain, meaning_encoder(options))
    if start_domain == NO_DOMAIN and not recommender.untrained:
        there = (
            f"domains: {', '.join(folders)}; pick one by /domain NAME or --domain"
            if folders
            else (f"no dataset folder is in {options.data_root}; name their folder by --data_root")
        )
        print(
            f"note: the model was trained to recommend, and no catalog is in force: it can recommend nothing. {there}",
            file=sys.stderr,
            flush=True,
        )
    if not session.domain.recommender.engine.searches:
        spelled = "" if options.decoding == "greedy" else ", and titles are spelled greedily"
        print(
            f"note: {decoding_support(recommender.model).problem}: it is decoded by transformers' generate, one token "
            f"per pass{spelled}",
            file=sys.stderr,
            flush=True,
        )
    trained = ", not trained to recommend" if recommender.untrained else ""
    print(
        f"loaded {options.model_name} in {time.perf_counter() - begun:.1f} s "
        f"({recommender.model.device}, domain {start_domain}{trained}); /help for commands",
        file=sys.stderr,
        flush=True,
    )
    return session


def meaning_encoder(options: ChatOptions) -> Encoder | None:
    """Return the encoder for words that mean a category, loaded on first use; None where there is none.

    Raises:
        ValueError: the user named an encoder that does not exist.
    """
    if not options.embedding_model:
        return None
    if not Path(options.embedding_model).is_dir() and not options.names("embedding_model"):
        print(
            "note: words that mean a category without naming it (funny for Comedy) are not read; "
            "scripts/fetch_defaults.py --with_minilm brings the encoder",
            file=sys.stderr,
            flush=True,
        )
        return None
    loaded = cache(lambda: sentence_encoder(options.embedding_model, "cpu"))
    return lambda texts: loaded()(texts)


def typed_lines() -> Iterator[str]:
    """Yield lines typed at a prompt with history and arrow keys; Ctrl-C clears the line, Ctrl-D ends."""
    from prompt_toolkit import PromptSession
    from prompt_toolkit.output import create_output

    # When stdout is redirected to a file, the prompt goes to the terminal of stderr.
    prompt: PromptSession[str] = PromptSession(output=create_output(always_prefer_tty=True))
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


@contextmanager
def stopped_by_interrupt() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets, instead of ending the program."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def talk(session: ChatSession) -> None:
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    interactive = sys.stdin.isatty()
    screen = Screen(styled=sys.stdout.isatty(), separate=not (interactive and sys.stdout.isatty()))
    for line in typed_lines() if interactive else sys.stdin:
        if session.options.echo and not interactive:
            print(f"> {line.strip()}", flush=True)
        with stopped_by_interrupt() as stop:
            for event in session.handle(line, stop):
                if isinstance(event, Quit):
                    return
                screen.show(event)


def main() -> None:
    options = parse(ChatOptions)
    talk(load_session(options))


if __name__ == "__main__":
    run_cli(main)
