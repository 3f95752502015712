"""Chat session without a terminal: lines in, events out.

It handles commands, catalogs, and what is shown of a conversation.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from train_utils.catalog import Catalog
from train_utils.conversation.corrections import CORRECTIONS, correction, titles_of
from train_utils.conversation.words.numerals import MOST
from train_utils.decoding.completions_endpoint import EndpointError
from train_utils.decoding.events import Done
from train_utils.dialogue.answers import AnswerEvent, Notice, counted, reasons_of, reply, understood
from train_utils.dialogue.dialogue import Dialogue
from train_utils.param.chat import ChatOptions
from train_utils.prompts.title_forms import spoken_title
from train_utils.serving.domains import NO_DOMAIN, Domain, Domains
from train_utils.serving.saved_chat import check_replaceable, read_chat, resume, save_chat

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
    "where": ("year>=1990", "a range of an attribute, by >=, <=, >, < or ="),
    "more": ("N", "further items"),
    "why": ("N", "why the Nth item was listed; without N: all of them"),
    "save": ("FILE", "write the conversation to a file"),
    "load": ("FILE", "go on with a conversation from a file"),
    "new": ("", "forget the conversation; the history stays"),
    "help": ("", "these lines"),
    "quit": ("", "end (or Ctrl-D); Ctrl-C stops an answer"),
}
HELP = "\n".join(f"{f'/{name} {argument}':20} {text}" for name, (argument, text) in COMMANDS.items())
_SHOWN = 6  # titles of a history that are shown


@dataclass(frozen=True)
class Quit:
    pass


Event = AnswerEvent | Quit


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


class ChatSession:
    """Conversation of one user.

    Args:
        domains: the catalogs that may be selected.
        options: length limit and kind of constraint.
        start: the domain to start with.

    Attributes:
        dialogue: the conversation.
        domain: the current domain.

    Raises:
        ValueError: a dataset or its teacher cannot be loaded, or the length limit leaves no room in the context.
    """

    def __init__(self, domains: Domains, options: ChatOptions, start: str = NO_DOMAIN):
        recommender = domains.recommender
        context = min(recommender.context or options.max_context, options.max_context)
        if not 0 < options.max_new_tokens < context:
            raise ValueError(
                f"`max_new_tokens` is {options.max_new_tokens}, wanted 1 or more and less than the {context} tokens "
                "of `max_context` and of the model's context"
            )
        self.domains = domains
        self.options = options
        self._enter(self.domains.load(start))

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
                return f"domains: {', '.join([*self.domains.folders, NO_DOMAIN])}; now: {self.domain.name}"
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
                return reasons_of(self.dialogue, self.domain.expectations, self._ranked(argument))
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
        return f"history of {counted(len(profile), 'item')}: {'..., ' if len(profile) > _SHOWN else ''}{newest}"

    def _resume(self, path: str) -> str:
        saved = read_chat(path)
        domain = self.domains.load(saved.domain)
        dialogue = self._new_dialogue(domain)
        resume(saved, dialogue)
        self.domain, self.dialogue = domain, dialogue
        asked = self._understood()
        return f"{counted(len(saved.exchanges), 'exchange')} in domain {domain.name}" + (f"; {asked}" if asked else "")

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

    def categories(self, item_id: str) -> tuple[str, ...]:
        """Return the categories of an item of the current catalog."""
        catalog = self._catalog("list")
        return catalog.items[catalog.index[item_id]].categories

    # -- answers -------------------------------------------------------------------------------------------------

    def reply(self, text: str, stop: threading.Event | None = None) -> Iterator[Event]:
        """Answer a message and yield the answer's events; see `train_utils.dialogue.answers.reply`."""
        begun = False
        try:
            for event in reply(self.dialogue, self.domain.expectations, text, stop):
                begun = begun or not isinstance(event, Notice)
                yield event
        except EndpointError as error:  # of a server that has the model
            if begun:
                yield Done("error")
            yield Notice(str(error))

    def _understood(self) -> str:
        return understood(self.dialogue)

    # -- domains -------------------------------------------------------------------------------------------------

    def _switch(self, name: str) -> str:
        try:
            self._enter(self.domains.load(name))
        except (ValueError, OSError) as error:
            raise ValueError(f"still in domain {self.domain.name}: {error}") from None
        catalog = self.domain.catalog
        offered = f"{counted(len(catalog.items), 'title')} can be recommended" if catalog else "plain talk"
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
