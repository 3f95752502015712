"""Chat session without a terminal: lines in, events out.

It handles commands, the history, catalogs, and prompts that must fit the model's context.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.item_rules import compile_rules
from train_utils.conversation.category_words import Encoder
from train_utils.conversation.corrections import CORRECTIONS, correction
from train_utils.conversation.preferences import Change, Preferences
from train_utils.conversation.reader import RequestReader
from train_utils.dataset_folder import is_dataset
from train_utils.decoding.events import Done, TextDelta
from train_utils.param import ChatOptions
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.prompts.templates import SYSTEM
from train_utils.recommender import Recommendation, Recommender

NO_DOMAIN = "none"
LIST_LENGTH = 5  # items of a list where the message asks for recommendations and names no number
HELP = """/domain NAME  recommend from the catalog NAME; none for plain talk; without NAME: list them
/wish         what was understood so far
/only NAMES, /without NAMES    categories, with commas between; /only alone allows all
/like TITLES, /dislike TITLES  titles, with commas between
/where year>=1990              a range of an attribute
/more [N]     further items
/new          forget the conversation
/help         these lines
/quit         end (or Ctrl-D); Ctrl-C stops an answer"""
_CUT_SHORT = {"length": "the answer reached `max_new_tokens`", "stopped": "stopped"}


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
    """

    name: str
    recommender: Recommender
    reader: RequestReader | None = None


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

    Attributes:
        context: tokens that the model's context holds; None for no limit.
        history: the exchanges so far, as (user message, answer).
        preferences: what the user has asked for, also in exchanges that were dropped since.
        domain: the current domain.

    Raises:
        ValueError: a dataset cannot be loaded, or the length limit leaves no room in the model's context.
    """

    def __init__(
        self,
        recommender: Recommender,
        folders: Mapping[str, Path],
        options: ChatOptions,
        start: str = NO_DOMAIN,
        encoder: Encoder | None = None,
    ):
        self.context = recommender.context
        if not 0 < options.max_new_tokens < (self.context or options.max_new_tokens + 1):
            raise ValueError(
                f"`max_new_tokens` is {options.max_new_tokens}, wanted 1 or more and less than the "
                f"model's context of {self.context} tokens"
            )
        self.recommender = recommender
        self.folders = folders
        self.options = options
        self._encoder = encoder
        self._loaded: dict[str, Domain] = {}
        self.history: list[tuple[Message, Message]] = []
        self.preferences = Preferences()
        self.domain = self._load(start)

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
            case Command("domain", ""):
                yield Notice(f"domains: {', '.join([*self.folders, NO_DOMAIN])}; now: {self.domain.name}")
            case Command("domain", name):
                yield self._switch(name)
            case Command("new"):
                self._begin()
                yield Notice("a new conversation starts")
            case Command("help"):
                yield Notice(HELP)
            case Command("quit"):
                yield Quit()
            case Command("wish"):
                yield self._understood() or Notice("nothing was asked so far")
            case Command("more", number):
                yield from self.reply(f"{number} more".strip(), stop)
            case Command(name, argument) if name in CORRECTIONS:
                yield self._correct(name, argument)
            case Command(name):
                yield Notice(f"unknown command /{name}; /help lists the commands")

    def reply(self, text: str, stop: threading.Event | None = None) -> Iterator[Event]:
        """Answer a message and yield the answer's events.

        The part of the answer that was shown is kept, also when the answer is stopped or the caller stops iterating.

        Args:
            text: the user's message.
            stop: set to stop the answer.
        """
        user = message("user", text)
        fitted = self._fit(user)
        if fitted is None:
            yield Notice(
                f"the message is too long and was not sent: with `max_new_tokens` "
                f"{self.options.max_new_tokens} it does not fit the model's context of {self.context} tokens"
            )
            return
        prompt, dropped = fitted
        if dropped:
            del self.history[:dropped]
            yield Notice(
                f"the oldest {_count(dropped, 'exchange')} no longer fit the model's context of "
                f"{self.context} tokens and were forgotten"
            )
        change = self.domain.reader.read(text) if self.domain.reader else Change()
        self.preferences = self.preferences.after(change)
        understood = self._understood()
        if understood and not change.is_empty:
            yield understood
        rules, problem = self._rules()
        if problem:
            yield Notice(problem)
            if change.asks:
                return
        n_items = self.preferences.count or LIST_LENGTH if change.asks and rules else 0
        if rules and n_items > (left := int(rules.admitted.sum())):
            n_items = left
            yield Notice(f"only {_count(left, 'item')} of {self.domain.name} {'fits' if left == 1 else 'fit'}")
        parts: list[Part] = []
        listed: list[int] = []
        finish = ""
        try:
            events = self.domain.recommender.answer(
                prompt,
                rules,
                max_new_tokens=self.options.max_new_tokens,
                decoding=self.options.decoding,
                n_items=n_items,
                stop=stop,
            )
            for event in events:
                match event:
                    case TextDelta(words):
                        parts.append(words)
                    case Recommendation(item_id):
                        catalog = self.domain.recommender.catalog
                        assert catalog is not None  # without a catalog no item is opened
                        listed.append(catalog.index[item_id])
                        parts.append(ItemPart(listed[-1]))
                    case Done(finish):
                        pass
                yield event
        finally:
            self.history.append((user, Message("assistant", _joined(parts))))
            self.preferences = self.preferences.listing(listed)
        if finish in _CUT_SHORT:
            yield Notice(_CUT_SHORT[finish])

    def _begin(self) -> None:
        """Clear the conversation."""
        self.history, self.preferences = [], Preferences()

    def _understood(self) -> Notice | None:
        """Return what was understood so far; None for nothing."""
        catalog = self.domain.recommender.catalog
        text = self.preferences.describe(catalog) if catalog else ""
        return Notice(f"understood: {text}") if text else None

    def _correct(self, name: str, argument: str) -> Notice:
        catalog = self.domain.recommender.catalog
        if catalog is None:
            return Notice(f"/{name} needs a catalog; pick one by /domain NAME")
        try:
            change = correction(name, argument, catalog, self.domain.recommender.named_titles)
        except ValueError as error:
            return Notice(str(error))
        self.preferences = self.preferences.after(change)
        return self._understood() or Notice("no restriction is left")

    def _rules(self) -> tuple[Constraint | None, str]:
        """Return (constraint, problem): the preferences as a constraint, with what follows the liked items.

        The constraint is None without a catalog, and where no item is left; the problem says why.
        """
        recommender = self.domain.recommender
        trie, catalog = recommender.renderer.trie, recommender.catalog
        if trie is None or catalog is None:
            return None, ""
        rules = replace(self.preferences.rules(catalog), distinct=self.options.CBS_type == 2)
        prior = recommender.named_prior(self.preferences.liked or self.preferences.known)
        try:
            return compile_rules(catalog, trie, rules, prior), ""
        except ConstraintError:
            fewer = replace(rules, deny=())
            if not rules.categories and not rules.all_categories and not rules.without_categories and not rules.where:
                return None, "every title of the catalog was named or listed: nothing is left to recommend"
            try:
                compile_rules(catalog, trie, fewer)
            except ConstraintError:
                return (
                    None,
                    f"nothing in {catalog.name} fits ({self.preferences.describe(catalog)}); /only, /where or /new",
                )
            return None, f"everything in {catalog.name} that fits was named or listed already; /new starts over"

    def messages(self, user: Message, skip: int = 0) -> list[Message]:
        """Return the conversation for the model.

        Args:
            user: the newest message.
            skip: number of the oldest exchanges to leave out.
        """
        return [message("system", SYSTEM), *(m for exchange in self.history[skip:] for m in exchange), user]

    def _fit(self, user: Message) -> tuple[list[int], int] | None:
        """Return (prompt, exchanges to drop) so that prompt and answer fit the context.

        None means that not even the newest message fits.
        """
        for skip in range(len(self.history) + 1):
            prompt = self.domain.recommender.renderer.render(self.messages(user, skip), prompt=True).ids
            if self.context is None or len(prompt) + self.options.max_new_tokens <= self.context:
                return prompt, skip
        return None

    def _switch(self, name: str) -> Notice:
        try:
            self.domain = self._load(name)
        except (ValueError, OSError) as error:
            return Notice(f"still in domain {self.domain.name}: {error}")
        self._begin()
        catalog = self.domain.recommender.catalog
        offered = f"{_count(len(catalog.items), 'title')} can be recommended" if catalog else "plain talk"
        return Notice(f"domain {name}: {offered}; a new conversation starts")

    def _load(self, name: str) -> Domain:
        if _known(self.folders, name) not in self._loaded:
            if name == NO_DOMAIN:
                loaded = self.recommender
            else:
                loaded = self.recommender.with_catalog(self.folders[name], self.options.trie_cache)
                _ = loaded.engine  # raises here where the catalog cannot be decoded
            catalog = loaded.catalog
            reader = RequestReader(catalog, loaded.named_titles, self._encoder) if catalog else None
            self._loaded[name] = Domain(name, loaded, reader)
        return self._loaded[name]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + "s" * (n != 1)


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts with adjacent texts joined, so that they are encoded as one text."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
