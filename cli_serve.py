"""Chat in the terminal, in a pipe or over HTTP: argv -> model and catalogs -> messages in, answers out."""

import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, redirect_stdout
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# Read when torch is imported. PyTorch and oneDNN each keep kernels for 1024 shapes, some 300 MB in a server, whose
# batches have ever new shapes.
os.environ.setdefault("LRU_CACHE_CAPACITY", "32")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads sleep: HTTP needs the cores, too

from transformers.utils import logging

from train_utils.command import run_cli
from train_utils.conversation.limits.category_words import Encoder
from train_utils.decoding.completions_endpoint import TIMEOUT_S
from train_utils.decoding.support import decoding_support
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.models.item_vectors import sentence_encoder
from train_utils.options import parse
from train_utils.param.chat import ChatOptions
from train_utils.recommender import Recommender
from train_utils.serving.access import Keys
from train_utils.serving.chat_session import ChatSession, Quit
from train_utils.serving.domains import NO_DOMAIN, TeacherOf, dataset_folders, first_domain
from train_utils.serving.impressions import ImpressionLog, open_impressions
from train_utils.serving.living_domains import LivingDomains
from train_utils.serving.remote_scheduler import RemoteScheduler
from train_utils.serving.scheduler import Scheduler, SchedulerLimits
from train_utils.serving.service import Service
from train_utils.serving.terminal import Screen, spun, typed_lines
from train_utils.serving.variants import Variants
from train_utils.teacher.open import WHILE_USERS_WAIT_S, open_teacher
from train_utils.teacher.protocol import Teacher

CHECKOUT = Path(__file__).resolve().parent
# Where scripts/unirec_train.sh writes its runs, in a folder per dataset.
TEACHER_RUNS = "unirec/output"


def default_path(path: str) -> Path:
    """Return a default path: in the working directory, or else in this checkout.

    An assistant starts the program in a folder of its own, where lists would silently do without the teacher.
    """
    return Path(path) if Path(path).exists() else CHECKOUT / path


def recommender_of(options: ChatOptions) -> Recommender:
    """Return the recommender, without a catalog: of a model in this process, or of one at a server."""
    if options.url:
        check_served(options)
        timeout = options.deadline_s if options.serve or options.mcp else TIMEOUT_S
        return ServedRecommender.at(options.url, options.model_name, options.trust_remote_code, timeout=timeout)
    return Recommender.load(
        options.model_name,
        device=options.gpu,
        dtype=options.dtype,
        attention=options.FA2,
        backbone=options.backbone,
        trust_remote_code=options.trust_remote_code,
    )


def check_served(options: ChatOptions) -> None:
    """Refuse options that a model at a server cannot keep.

    Raises:
        ValueError: there is one.
    """
    for name in ("gpu", "dtype", "FA2", "backbone", "explore", "catalogue_journal"):
        if options.names(name):
            raise ValueError(f"`{name}` needs the model in this process, and `url` has it elsewhere; leave one out")
    if options.decoding == "best":
        raise ValueError("`decoding` best searches titles where the model is; at a server, take rank or greedy")
    if options.reader != "rules":
        raise ValueError(f"`reader` {options.reader} needs the model in this process; take rules")


def load_domains(options: ChatOptions) -> tuple[LivingDomains, str]:
    """Return the domains, and the name of the one to start with, which is loaded."""
    if options.names("data_root") and not Path(options.data_root).is_dir():
        raise ValueError(f"--data_root {options.data_root!r} does not exist; it is the folder of the dataset folders")
    folders = dataset_folders(options.data_root if options.names("data_root") else default_path(options.data_root))
    start_domain = first_domain(folders, options.domain)
    logging.disable_progress_bar()
    if sys.stderr.isatty():
        print(f"loading {options.model_name} ...", end="\r", file=sys.stderr, flush=True)
    begun = time.perf_counter()
    recommender = recommender_of(options)
    encoder = meaning_encoder(options)
    domains = LivingDomains(
        recommender,
        folders,
        encoder,
        teachers(options, start_domain),
        options.trie_cache,
        options.reader,
        journals=options.catalogue_journal,
    )
    domains.load_changed()
    start = domains.load(start_domain)
    for note in load_notes(options, start.recommender, start_domain, folders):
        print(f"note: {note}", file=sys.stderr, flush=True)
    help_line = "" if options.serve or options.mcp else "; /help for commands"
    trained = ", not trained to recommend" if recommender.untrained else ""
    print(
        f"loaded {options.model_name} in {time.perf_counter() - begun:.1f} s "
        f"({options.url or recommender.model.device}, domain {start_domain}{trained}){help_line}",
        file=sys.stderr,
        flush=True,
    )
    return domains, start_domain


def load_notes(
    options: ChatOptions, recommender: Recommender, domain: str, folders: Mapping[str, Path]
) -> Iterator[str]:
    """Yield what a user should hear of a model that is loaded.

    Args:
        options: the options.
        recommender: the recommender of the domain to start with.
        domain: that domain.
        folders: dataset folder of each domain.
    """
    if domain == NO_DOMAIN and not recommender.untrained:
        there = (
            f"domains: {', '.join(folders)}; pick one by /domain NAME or --domain"
            if folders
            else f"no dataset folder is in {options.data_root}; name their folder by --data_root"
        )
        yield f"the model was trained to recommend, and no catalog is in force: it can recommend nothing. {there}"
    if not options.url and not recommender.engine.searches:
        spelled = "" if options.decoding == "greedy" else ", and titles are spelled greedily"
        problem = decoding_support(recommender.model).problem
        yield f"{problem}: it is decoded by transformers' generate, one token per pass{spelled}"


def load_session(options: ChatOptions) -> ChatSession:
    domains, start = load_domains(options)
    session = ChatSession(domains, options, start)
    if options.user:
        session.set_user(options.user)
    return session


def serve(options: ChatOptions) -> None:
    """Serve the page and the APIs until the process is told to end."""
    with needed_packages("serve"):
        from train_utils.serving.http_app import build_app
        from train_utils.serving.listener import reserve
        from train_utils.serving.server import run_server
    if options.mcp:
        with needed_packages("mcp"):
            import train_utils.serving.mcp_server  # noqa: F401  # refused before the model is loaded
    keys = Keys.read(options.api_keys) if options.api_keys else None
    listener = reserve(options.host, options.port)  # refused before the model is loaded
    with listener, loaded_service(options) as service:
        cors = tuple(origin.strip() for origin in options.cors.split(",") if origin.strip())
        service.domains.load_in_background()
        app = build_app(
            service, keys, max_new_tokens=options.max_new_tokens, cors=cors, host=options.host, mcp=bool(options.mcp)
        )
        run_server(app, listener, options.host, options.port)


def serve_tools(options: ChatOptions) -> None:
    """Serve the tools of assistants over stdio until the client closes it."""
    with needed_packages("mcp"):
        from train_utils.serving.mcp_server import serve_stdio
    with ExitStack() as stack:
        with redirect_stdout(sys.stderr):  # the output belongs to the protocol
            service = stack.enter_context(loaded_service(options))
        serve_stdio(service)


@contextmanager
def needed_packages(extra: str) -> Iterator[None]:
    """Name the extra of the package where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ValueError(f"package {error.name} is missing; pip install '.[{extra}]' in the project's folder") from None


@contextmanager
def loaded_service(options: ChatOptions) -> Iterator[Service]:
    """Load the model and the first domain, and yield the service, whose log is closed at the end."""
    if options.reader != "rules":
        raise ValueError(f"`reader` {options.reader} is for the terminal; the server reads by rules: leave it out")
    variants = Variants.read(options.variants) if options.variants else None
    with impressions_of(options) as impressions:
        domains, start = load_domains(options)
        limits = SchedulerLimits(rows=options.rows, waiting=options.waiting, deadline_s=options.deadline_s)
        scheduler = RemoteScheduler(limits) if options.url else Scheduler(limits)
        try:
            yield Service(
                domains,
                start,
                scheduler,
                max_context=options.max_context,
                impressions=impressions,
                variants=variants,
                explore=options.explore,
            )
        finally:
            domains.close()


def impressions_of(options: ChatOptions) -> AbstractContextManager[ImpressionLog | None]:
    """Return the log of impressions, which is opened and closed with the block; None where none is kept."""
    if not options.impressions:
        return nullcontext()
    return open_impressions(
        options.impressions, with_history=options.impressions_history, most_bytes=options.impressions_mib << 20
    )


def meaning_encoder(options: ChatOptions) -> Encoder | None:
    """Return the encoder for words that mean a category; None where there is none.

    It is loaded on first use, by a server at the start.

    Raises:
        ValueError: the user named an encoder that does not exist, or its package is missing.
    """
    if not options.embedding_model:
        return None
    named = options.names("embedding_model")
    encoder = options.embedding_model if named else str(default_path(options.embedding_model))
    remedy = "" if Path(encoder).is_dir() else "scripts/fetch_defaults.py --with_minilm brings the encoder"
    if not find_spec("sentence_transformers"):
        remedy = "package sentence_transformers is missing; pip install '.[ret]' in the project's folder"
        if named:
            raise ValueError(f"`embedding_model` {encoder!r} cannot be loaded: {remedy}")
    if remedy and not named:
        print(
            "note: of words that mean a category without naming it, only a short list is read (such as funny); "
            f"{remedy}",
            file=sys.stderr,
            flush=True,
        )
        return None
    loaded = cache(lambda: sentence_encoder(encoder, "cpu"))
    if options.serve or not Path(encoder).is_dir():
        loaded()  # so that no user waits for it; and a name that cannot be loaded is refused
    return lambda texts: loaded()(texts)


def teachers(options: ChatOptions, start_domain: str) -> TeacherOf:
    """Return the function that opens the teacher of a domain.

    A teacher that was named is that of the first domain, whose items it has: of another catalog it would refuse every
    history. Its errors are the user's; those of the newest run are one note, and the chat continues without.
    """

    def opened(domain: str) -> Teacher | None:
        if options.teacher == "none":
            return None
        if options.teacher != "auto" and start_domain in (domain, NO_DOMAIN):
            return open_teacher(options.teacher, WHILE_USERS_WAIT_S)
        runs = default_path(f"{TEACHER_RUNS}/{domain}")
        if not runs.is_dir():
            return None
        try:
            return open_teacher(f"local:{runs}")
        except ValueError as error:
            print(f"note: no teacher moves the lists of {domain}: {error}", file=sys.stderr, flush=True)
            return None

    return opened


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
    styled = sys.stdout.isatty()
    screen = Screen(session.categories, styled, separate=not (interactive and styled))
    for line in typed_lines(session, session.options.input_history) if interactive else sys.stdin:
        if session.options.echo and not interactive:
            print(f"> {line.strip()}", flush=True)
        with stopped_by_interrupt() as stop:
            events = session.handle(line, stop)
            for event in spun(events, sys.stderr) if interactive and styled else events:
                if isinstance(event, Quit):
                    return
                screen.show(event)


def main() -> None:
    options = parse(ChatOptions)
    if options.mcp and options.serve != (options.mcp == "http"):
        raise ValueError(
            f"`mcp` is {options.mcp}, which {'needs' if options.mcp == 'http' else 'excludes'} --serve; stdio is for a "
            "client that starts this program, http for one that reaches its port"
        )
    if options.serve:
        serve(options)
    elif options.mcp:
        serve_tools(options)
    else:
        talk(load_session(options))


if __name__ == "__main__":
    run_cli(main)
