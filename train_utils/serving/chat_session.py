"""Chat session without a terminal: lines in, events out.

It handles commands, catalogs, and what is shown of a conversation.
"""

import re
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from train_utils.catalog import Catalog
from train_utils.conversation.category_words import Encoder
from train_utils.conversation.corrections import CORRECTIONS, correction, titles_of
from train_utils.conversation.numerals import MOST
from train_utils.conversation.reader import Reader
from train_utils.conversation.why import asked_about
from train_utils.dataset_folder import is_dataset
from train_utils.decoding.events import Done, TextDelta
from train_utils.dialogue.dialogue import Dialogue, Heard, Plan
from train_utils.dialogue.expectations import Expectations
from train_utils.dialogue.readers import make_reader
from train_utils.dialogue.reasons import reasons
from train_utils.dialogue.weights import read_weights
from train_utils.param import ChatOptions
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.prompts.named_titles import spoken_title
from train_utils.recommender import Recommendation, Recommender
from train_utils.serving.saved_chat import check_replaceable, read_chat, resume, save_chat
from train_utils.teacher.protocol import Teacher

NO_DOMAIN = "none"
COMMANDS = {
    "domain": ("NAME", "recommend from the catalog NAME; none for plain talk; without NAME: list them"),
    "history": ("TITLES", "what you watched or bought, oldest first, with commas between; none: forget it"),
    "user": ("ID", "take the history of a user of the dataset"),
    "wish": ("", "what was understood so far"),
    "only": ("NAMES", "categories to keep to, with commas between; none lifts this, as in the next five"),
    "without": ("NAMES", "categories to leave out"),
    "like": ("TITLES", "titles that you like"),
    "dislike": ("TITLES", "titles that you do not like"),
    "seen": ("TITLES", "titles that you know already"),
    "where": ("year>=1990", "a range of an attribute, by >=, <= or ="),
    "more": ("N", "further items"),
    "why": ("N", "why the Nth item was listed; without N: all of them"),
    "save": ("FILE", "write the conversation to a file"),
    "load": ("FILE", "go on with a conversation from a file"),
    "new": ("", "forget the conversation; the history stays"),
    "help": ("", "these lines"),
    "quit": ("", "end (or Ctrl-D); Ctrl-C stops an answer"),
}
HELP = "\n".join(f"{f'/{name} {argument}':20} {text}" for name, (argument, text) in COMMANDS.items())
_CUT_SHORT = {"length": "the answer reached `max_new_tokens`", "stopped": "stopped"}
_SHOWN = 6  # titles of a history that are shown
# A small model can fall into a loop, which would go on to the length limit.
_LOOP = re.compile(r"(.{1,24}?)\1{7,}$", re.DOTALL)
_REREAD = 8 * 24 + 24  # characters in which a loop shows

# name of a domain -> its teacher; None for none
TeacherOf = Callable[[str], Teacher | None]


@dataclass(frozen=True)
class Notice:
    """Line for the user that is not part of the conversation.

    Attributes:
        text: the line.
    """

    text: str


@dataclass(frozen=True)
class Quit:
    pass


Event = TextDelta | Recommendation | Done | Notice | Quit


@dataclass(frozen=True)
class Command:
    name: str
    argument: str


def parse_line(line: str) -> Command | str | None:
    """Parse a typed line.

    Returns:
        A command ("/name argument"), the text of a message, or None for an empty line.
    """
    line = line.strip()
    if not line.startswith("/"):
        return line or None
    name, _, argument = line[1:].partition(" ")
    return Command(name, argument.strip())


@dataclass(frozen=True)
class Domain:
    """Source of the recommendations; without a catalog no item can be opened.

    Attributes:
        name: the domain's name.
        recommender: model and catalog.
        reader: reads what messages ask of the catalog; None without a catalog.
        expectations: what is expected of a user; None without a catalog.
    """

    name: str
    recommender: Recommender
    reader: Reader | None = None
    expectations: Expectations | None = None

    @property
    def catalog(self) -> Catalog | None:
        return self.recommender.catalog


def dataset_folders(data_root: str | Path) -> dict[str, Path]:
    """Return the dataset folders in `data_root`, by name; empty when `data_root` does not exist."""
    root = Path(data_root)
    folders = [path for path in root.iterdir() if is_dataset(path)] if root.is_dir() else []
    return {path.name: path for path in sorted(folders)}


def first_domain(folders: Mapping[str, Path], requested: str) -> str:
    """Return the name of the domain to start with.

    Args:
        folders: dataset folders by domain name.
        requested: the requested domain; "" takes the only folder, or no domain.

    Raises:
        ValueError: the requested domain is unknown.
    """
    if not requested:
        return next(iter(folders)) if len(folders) == 1 else NO_DOMAIN
    return _known(folders, requested)


def _known(folders: Mapping[str, Path], name: str) -> str:
    if name != NO_DOMAIN and name not in folders:
        raise ValueError(f"domain {name!r} is unknown; there are: {', '.join([*folders, NO_DOMAIN])}")
    return name


class ChatSession:
    """Conversation of one user.

    Args:
        recommender: a chat model that has the control tokens, without a catalog.
        folders: dataset folders by domain name; each is loaded when it is first selected.
        options: length limit and kind of constraint.
        start: the domain to start with.
        encoder: encodes texts, for words that mean a category without naming it; None reads names only.
        teacher_of: opens the teacher of a domain; None for no teacher.

    Attributes:
        dialogue: the conversation.
        domain: the current domain.

    Raises:
        ValueError: a dataset or its teacher cannot be loaded, or the length limit leaves no room in the context.
    """

    def __init__(
        self,
        recommender: Recommender,
        folders: Mapping[str, Path],
        options: ChatOptions,
        start: str = NO_DOMAIN,
        encoder: Encoder | None = None,
        teacher_of: TeacherOf | None = None,
    ):
        context = min(recommender.context or options.max_context, options.max_context)
        if not 0 < options.max_new_tokens < context:
            raise ValueError(
                f"`max_new_tokens` is {options.max_new_tokens}, wanted 1 or more and less than the {context} tokens "
                "of `max_context` and of the model's context"
            )
        self.recommender = recommender
        self.folders = folders
        self.options = options
        self._encoder = encoder
        self._teacher_of = teacher_of or (lambda name: None)
        self._loaded: dict[str, Domain] = {}
        self._enter(self._load(start))

    # -- commands ------------------------------------------------------------------------------------------------

    def handle(self, line: str, stop: threading.Event | None = None) -> Iterator[Event]:
        """Handle a typed line and yield its events.

        Args:
            line: the line.
            stop: set to stop a running answer.
        """
        match parse_line(line):
            case None:
                pass
            case str(text):
                yield from self.reply(text, stop)
            case Command("more", number) if not number or number.isdecimal() and 1 <= int(number[:9]) <= MOST:
                yield from self.reply(f"{number} more".strip(), stop)
            case Command("quit"):
                yield Quit()
            case Command(name, argument):
                try:
                    yield Notice(self._command(name, argument))
                except OSError as error:
                    yield Notice(f"/{name} {argument[:80]!r}: {error.strerror or 'it cannot be opened'}")
                except ValueError as error:
                    yield Notice(str(error))

    def _command(self, name: str, argument: str) -> str:
        """Carry out a command and return what it says.

        Raises:
            ValueError, OSError: it cannot be carried out.
        """
        match name, argument:
            case "domain", "":
                return f"domains: {', '.join([*self.folders, NO_DOMAIN])}; now: {self.domain.name}"
            case "domain", _:
                return self._switch(argument)
            case "new", _:
                self.dialogue.begin()
                return "a new conversation starts"
            case "help", _:
                return HELP
            case "wish", _:
                return self._understood() or "nothing was asked so far"
            case (("history" | "user"), _):
                return self._set_history(name, argument)
            case "why", _:
                return self._reasons(self._ranked(argument))
            case (("save" | "load"), ""):
                raise ValueError(f"/{name} needs a file, such as /{name} chat.json")
            case "save", _:
                check_replaceable(argument)
                save_chat(argument, self.dialogue, self.domain.name)
                return f"saved to {argument}"
            case "load", _:
                return self._resume(argument)
            case "more", _:
                raise ValueError(f"/more is {argument[:80]!r}, wanted a number of items from 1 to {MOST}, or nothing")
            case _ if name in CORRECTIONS and argument.lower() == "none":
                self._catalog(name)
                self.dialogue.preferences = self.dialogue.preferences.lifted(name)
                return self._understood() or "no restriction is left"
            case _ if name in CORRECTIONS:
                change = correction(name, argument, self._catalog(name), self.domain.recommender.named_titles)
                self.dialogue.preferences = self.dialogue.preferences.after(change)
                return self._understood() or "no restriction is left"
        raise ValueError(f"unknown command /{name}; /help lists the commands")

    def _catalog(self, command: str) -> Catalog:
        if self.domain.catalog is None:
            raise ValueError(f"/{command} needs a catalog; pick one by /domain NAME")
        return self.domain.catalog

    def set_user(self, user: str) -> None:
        """Take the history of a user of the dataset as the profile.

        Raises:
            ValueError: there is no such user.
        """
        catalog = self._catalog("user")
        if user not in catalog.sequences:
            some = ", ".join(list(catalog.sequences)[:5])
            there_are = f"such as {some}" if catalog.sequences else "it has none; /history TITLES gives a history"
            raise ValueError(f"{user[:80]!r} is no user of {catalog.name}; {there_are}")
        self.dialogue.profile = catalog.sequences[user]

    def _set_history(self, name: str, argument: str) -> str:
        catalog = self._catalog(name)
        if name == "user":
            if not argument:
                raise ValueError(f"/user needs an id, such as /user {next(iter(catalog.sequences), '1')}")
            self.set_user(argument)
        elif argument.lower() == "none":
            self.dialogue.profile = ()
        elif argument:
            titles = titles_of(name, argument, catalog, self.domain.recommender.named_titles)
            self.dialogue.profile = tuple(dict.fromkeys(self.dialogue.chosen(titles)))
        profile = self.dialogue.profile
        if not profile:
            return "no history"
        newest = ", ".join(spoken_title(catalog.items[item].title) for item in profile[-_SHOWN:])
        return f"history of {_count(len(profile), 'item')}: {'..., ' if len(profile) > _SHOWN else ''}{newest}"

    def _resume(self, path: str) -> str:
        saved = read_chat(path)
        domain = self._load(saved.domain)
        dialogue = self._new_dialogue(domain)
        resume(saved, dialogue)
        self.domain, self.dialogue = domain, dialogue
        asked = self._understood()
        return f"{_count(len(saved.exchanges), 'exchange')} in domain {domain.name}" + (f"; {asked}" if asked else "")

    # -- reasons -------------------------------------------------------------------------------------------------

    def _ranked(self, argument: str) -> list[int]:
        last = self.dialogue.last.items
        if not last:
            raise ValueError("/why asks about the last list, and nothing was listed so far")
        if not argument:
            return list(last)
        if not argument.isdecimal() or not 1 <= int(argument[:9]) <= len(last):
            raise ValueError(
                f"/why is {argument[:80]!r}, wanted a number from 1 to {len(last)}, the items of the last list"
            )
        return [last[int(argument) - 1]]

    def _reasons(self, items: Sequence[int]) -> str:
        catalog, expectations = self.domain.catalog, self.domain.expectations
        assert catalog is not None
        assert expectations is not None
        found = reasons(expectations, self.dialogue.last, items, catalog)
        return "\n".join(reason.text(catalog) for reason in found)

    def categories(self, item_id: str) -> tuple[str, ...]:
        """Return the categories of an item of the current catalog."""
        catalog = self._catalog("list")
        return catalog.items[catalog.index[item_id]].categories

    # -- answers -------------------------------------------------------------------------------------------------

    def reply(self, text: str, stop: threading.Event | None = None) -> Iterator[Event]:
        """Answer a message and yield the answer's events.

        The part of the answer that was shown is kept, also when the answer is stopped or the caller stops iterating.

        Args:
            text: the user's message.
            stop: set to stop the answer.
        """
        dialogue = self.dialogue
        if asked := asked_about(text, dialogue.last.items, self.domain.recommender.named_titles):
            yield from self._said(message("user", text), self._reasons(asked))
            return
        heard = dialogue.hear(text)
        if heard is None:
            yield Notice(
                f"the message is too long and was not sent: with `max_new_tokens` "
                f"{self.options.max_new_tokens} it does not fit the context of {dialogue.context} tokens"
            )
            return
        if heard.forgotten:
            yield Notice(
                f"the model reads {dialogue.context} tokens: the oldest {_count(heard.forgotten, 'exchange')} are "
                "left out; what they asked stays in force"
            )
        plan = yield from self._planned(heard)
        if plan.problem:
            return
        if answer := dialogue.known_answer(heard):
            yield from self._said(heard.user, answer)
            return
        yield from self._answered(heard, plan, stop)

    def _planned(self, heard: Heard) -> Generator[Notice, None, Plan]:
        """Yield what was understood and what stands against it; return the plan."""
        understood = self._understood()
        if understood and not heard.change.is_empty:
            yield Notice(understood)
        if heard.change.unknown:
            yield Notice(f"not in {self.domain.name}: {', '.join(heard.change.unknown)}")
        expectations = self.domain.expectations if heard.change.asks else None
        prior = expectations.priors([self.dialogue.taste])[0] if expectations else None
        if expectations and (problem := expectations.take_problem()):
            yield Notice(f"the teacher is left out: {problem}")
        plan = self.dialogue.plan(heard, prior)
        if plan.problem:
            yield Notice(plan.problem)
        if plan.fewer:
            yield Notice(
                f"only {_count(plan.n_items, 'item')} of {self.domain.name} {'fits' if plan.n_items == 1 else 'fit'}"
            )
        return plan

    def _said(self, user: Message, answer: str) -> Iterator[Event]:
        """Yield an answer that is known, and record it."""
        self.dialogue.record(user, [answer])
        yield TextDelta(answer)
        yield Done("end")

    def _answered(self, heard: Heard, plan: Plan, stop: threading.Event | None) -> Iterator[Event]:
        parts: list[Part] = []
        finish = written = ""
        stop = stop or threading.Event()
        try:
            for event in self.domain.recommender.events(self.dialogue.request(heard, plan), stop):
                match event:
                    case TextDelta(words):
                        parts.append(words)
                        written = (written + words)[-_REREAD:]
                        if repeats_itself(written):
                            stop.set()
                    case Recommendation(item_id):
                        parts.append(ItemPart(self._catalog("list").index[item_id]))
                    case Done(finish):
                        pass
                yield event
        finally:
            self.dialogue.record(heard.user, parts)
        if finish in _CUT_SHORT:
            yield Notice("stopped: the answer repeats itself" if repeats_itself(written) else _CUT_SHORT[finish])

    def _understood(self) -> str:
        """Return what was understood so far; "" for nothing."""
        text = self.dialogue.preferences.describe(self.domain.catalog) if self.domain.catalog else ""
        return f"understood: {text}" if text else ""

    # -- domains -------------------------------------------------------------------------------------------------

    def _switch(self, name: str) -> str:
        try:
            self._enter(self._load(name))
        except (ValueError, OSError) as error:
            raise ValueError(f"still in domain {self.domain.name}: {error}") from None
        catalog = self.domain.catalog
        offered = f"{_count(len(catalog.items), 'title')} can be recommended" if catalog else "plain talk"
        return f"domain {name}: {offered}; a new conversation starts"

    def _enter(self, domain: Domain) -> None:
        self.domain, self.dialogue = domain, self._new_dialogue(domain)

    def _new_dialogue(self, domain: Domain) -> Dialogue:
        return Dialogue(
            domain.recommender,
            domain.reader,
            max_new_tokens=self.options.max_new_tokens,
            max_context=self.options.max_context,
            decoding=self.options.decoding,
            distinct=self.options.CBS_type == 2,
        )

    def _load(self, name: str) -> Domain:
        if _known(self.folders, name) not in self._loaded:
            if name == NO_DOMAIN:
                domain = Domain(name, self.recommender)
            else:
                recommender = self.recommender.with_catalog(self.folders[name], self.options.trie_cache)
                _ = recommender.engine  # raises here where the catalog cannot be decoded
                catalog = recommender.catalog
                assert catalog is not None
                reader = make_reader(self.options.reader, recommender, self._encoder)
                weights = read_weights(recommender.source, name)
                expectations = Expectations.of(recommender, catalog, self._teacher_of(name), weights)
                domain = Domain(name, recommender, reader, expectations)
            self._loaded[name] = domain
        return self._loaded[name]


def repeats_itself(text: str) -> bool:
    """Return whether a text ends with at least eight repetitions of up to 24 characters."""
    return bool(_LOOP.search(text[-_REREAD:]))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + "s" * (n != 1)
