"""A conversation without a terminal: lines in, events out. Commands, history, catalogs, and what fits the context."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.dataset_folder import is_dataset
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.param import ChatOptions
from train_utils.prompts.messages import ItemPart, Message, Part, message
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.templates import SYSTEM
from train_utils.recommender import Recommendation, Recommender

NO_DOMAIN = "none"
HELP = """/domain NAME  recommend from the catalog NAME; none for plain talk; without NAME: list them
/new          forget the conversation
/help         these lines
/quit         end (or Ctrl-D); Ctrl-C stops an answer"""
_RANKED = 32  # titles that one search of `--decoding rank` finds; a longer list searches again
_SEARCHED = {"greedy": 0, "best": 1, "rank": _RANKED}
_CUT_SHORT = {"length": "the answer reached --max_new_tokens", "stopped": "stopped"}


@dataclass(frozen=True)
class Notice:
    """A line for the user that is no part of the conversation."""

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
    """A typed line as a command ("/name argument"), as a message, or None when it is empty."""
    line = line.strip()
    if not line.startswith("/"):
        return line or None
    name, _, argument = line[1:].partition(" ")
    return Command(name, argument.strip())


@dataclass(frozen=True)
class Domain:
    """What the conversation recommends from; without a catalog no item can be opened."""

    name: str
    recommender: Recommender
    titles: NamedTitles = field(default_factory=lambda: NamedTitles(()))


def dataset_folders(data_root: str | Path) -> dict[str, Path]:
    """The dataset folders below `data_root`, by name; empty when it does not exist."""
    root = Path(data_root)
    found = [path for path in root.iterdir() if is_dataset(path)] if root.is_dir() else []
    return {path.name: path for path in sorted(found)}


def first_domain(folders: Mapping[str, Path], wanted: str) -> str:
    """The domain to start with: `wanted`, else the only folder, else none. Raises ValueError for an unknown name."""
    if not wanted:
        return next(iter(folders)) if len(folders) == 1 else NO_DOMAIN
    return _known(folders, wanted)


def _known(folders: Mapping[str, Path], name: str) -> str:
    if name != NO_DOMAIN and name not in folders:
        raise ValueError(f"domain {name!r} is unknown; there are: {', '.join([*folders, NO_DOMAIN])}")
    return name


class ChatSession:
    """One user's conversation.

    Args:
        recommender: a chat model that has the control tokens, without a catalog.
        folders: dataset folders by domain name; each is read when it is first picked.
        options: length limit and kind of constraint.
        start: the domain to begin with.

    Raises:
        ValueError: a dataset that does not load, or a length limit that leaves no room in the model's context.
    """

    def __init__(
        self,
        recommender: Recommender,
        folders: Mapping[str, Path],
        options: ChatOptions,
        start: str = NO_DOMAIN,
    ):
        self.context = recommender.context
        if not 0 < options.max_new_tokens < (self.context or options.max_new_tokens + 1):
            raise ValueError(
                f"--max_new_tokens is {options.max_new_tokens}, wanted 1 or more and less than the "
                f"model's context of {self.context} tokens"
            )
        self.recommender = recommender
        self.folders = folders
        self.options = options
        self._loaded: dict[str, Domain] = {}
        self.history: list[tuple[Message, Message]] = []
        self.named: set[int] = set()  # items that the user has named, also in exchanges that were forgotten since
        self.domain = self._load(start)

    def handle(self, line: str, stop: threading.Event | None = None) -> Iterator[Event]:
        """Does what a typed line asks for; `stop` ends a running answer."""
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
            case Command(name):
                yield Notice(f"unknown command /{name}; /help lists the commands")

    def reply(self, text: str, stop: threading.Event | None = None) -> Iterator[Event]:
        """Answers a message. What was shown of the answer is kept, also when it is stopped or the caller goes away."""
        user = message("user", text)
        fitted = self._fit(user)
        if fitted is None:
            yield Notice(
                f"the message is too long and was not sent: with --max_new_tokens "
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
        self.named.update(self.domain.titles.find(text))
        rules = self._rules()
        if rules is None and self.domain.recommender.catalog:
            yield Notice("every title of the catalog was named: nothing is left to recommend")
        parts: list[Part] = []
        finish = ""
        try:
            longest = len(prompt) + self.options.max_new_tokens
            searched = _SEARCHED[self.options.decoding] if self.domain.recommender.engine.finds_titles(longest) else 0
            request = Request(
                prompt, rules, answer_at=len(prompt), max_new_tokens=self.options.max_new_tokens, best_titles=searched
            )
            for event in self.domain.recommender.stream(request, stop):
                match event:
                    case TextDelta(words):
                        parts.append(words)
                    case Recommendation(item_id):
                        catalog = self.domain.recommender.catalog
                        assert catalog is not None  # without one no item is opened
                        parts.append(ItemPart(catalog.index[item_id]))
                    case Done(finish):
                        pass
                yield event
        finally:
            self.history.append((user, Message("assistant", _joined(parts))))
        if finish in _CUT_SHORT:
            yield Notice(_CUT_SHORT[finish])

    def _begin(self) -> None:
        """Forgets the conversation."""
        self.history, self.named = [], set()

    def _rules(self) -> Constraint | None:
        """What may be listed: nothing that the user has named in the conversation. None where nothing is left."""
        trie = self.domain.recommender.renderer.trie
        if trie is None:
            return None
        try:
            return Constraint(trie, deny=sorted(self.named), distinct=self.options.CBS_type == 2)
        except ConstraintError:
            return None

    def messages(self, user: Message, skip: int = 0) -> list[Message]:
        """The conversation with `user` as its newest message, without the oldest `skip` exchanges."""
        return [message("system", SYSTEM), *(m for exchange in self.history[skip:] for m in exchange), user]

    def _fit(self, user: Message) -> tuple[list[int], int] | None:
        """(prompt, exchanges to drop) so that prompt and answer fit the context; None when nothing fits."""
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
                self._loaded[name] = Domain(name, self.recommender)
            else:
                loaded = self.recommender.with_catalog(self.folders[name], self.options.trie_cache)
                _ = loaded.engine  # what cannot be decoded is refused here
                self._loaded[name] = Domain(name, loaded, NamedTitles(loaded.renderer.titles))
        return self._loaded[name]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" + "s" * (n != 1)


def _joined(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Parts with neighboring texts made one, so that they are encoded as one text."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return tuple(joined)
