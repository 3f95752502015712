"""A tokenizer's own chat template: what it writes around the contents of messages, and the tokens that close a turn."""

import threading
from calendar import timegm
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from string import ascii_letters

from train_utils.constraint.answer_start import Openers
from train_utils.files import PROMPT_DATE

# Stands for the content of message {}. The wide spaces show whether the template trims what it is given.
WIDE = "\u2003"
_SENTINEL = "\x02{}\x03"
# Ways to ask for an answer: templates that think open it otherwise when they are asked not to.
_WAYS: tuple[dict[str, bool], ...] = (
    {},
    {"enable_thinking": False},
    {"enable_thinking": True},
    {"thinking": False},
    {"thinking": True},
)
_TOKENIZING = threading.Lock()


def tokenize(tokenizer, text: str | list[str], split_special_tokens: bool) -> list:
    """Token ids of a text, or of each of several; with `split_special_tokens` none of them is read as special."""
    # How special tokens are read is a state of the tokenizer, not of the call: two threads would take each other's.
    with _TOKENIZING:
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)
    return encoded["input_ids"]


class TemplateText:
    """What a tokenizer's chat template writes.

    Raises:
        ValueError: no chat template, or several without a default one.
    """

    def __init__(self, tokenizer):
        if not tokenizer.chat_template:
            raise ValueError("the tokenizer has no chat template; use an instruction-tuned model")
        self.tokenizer = tokenizer
        self.added = frozenset((*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder))
        try:
            self._template = with_fixed_date(tokenizer.get_chat_template())
        except ValueError as error:
            raise ValueError(f"the tokenizer's chat template cannot be used: {' '.join(str(error).split())}") from None

    def tokenized(self, markup: str) -> list[int]:
        """Token ids of a piece of markup; the template's special tokens are special."""
        return tokenize(self.tokenizer, markup, split_special_tokens=False) if markup else []

    def written(self, roles: Sequence[str], prompt: bool = False, **options: bool) -> str:
        """The template's text for messages with these roles, whose contents are sentinels.

        Raises:
            ValueError: the template refuses them.
        """
        from jinja2.exceptions import TemplateError

        messages = [{"role": role, "content": WIDE + _SENTINEL.format(i) + WIDE} for i, role in enumerate(roles)]
        try:
            return self.tokenizer.apply_chat_template(
                messages, chat_template=self._template, tokenize=False, add_generation_prompt=prompt, **options
            )
        # A template is a program of somebody else's, which may fail in every way.
        except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            told = " ".join(str(error).split())
            raise ValueError(f"the chat template refuses messages of the roles {', '.join(roles)}: {told}") from None

    def pieces(self, roles: Sequence[str], **options: bool) -> list[str]:
        """The template's text around the contents of messages with these roles, `WIDE` where it does not trim."""
        text = self.written(roles, **options)
        pieces = []
        for i, role in enumerate(roles):
            before, found, text = text.partition(_SENTINEL.format(i))
            if not found:
                raise ValueError(f"the chat template drops or moves the {role} message {i}; it cannot be used")
            pieces.append(before)
        return [*pieces, text]

    def prompt_tail(self, **options: bool) -> str:
        """What the template writes behind a user's words to ask for an answer."""
        return self.written(["user"], prompt=True, **options).rpartition(_SENTINEL.format(0))[2]

    def end_of_turn(self) -> tuple[int | None, bool]:
        """The first added or special token behind an answer's content, else the tokenizer's eos; and whether the
        template writes it."""
        for token in self.tokenized(self.pieces(["user", "assistant"], enable_thinking=False)[-1]):
            if token in self.added:
                return token, True
        return self.tokenizer.eos_token_id, False

    def openers(self, end_of_turn: int | None) -> Openers:
        """What opens an answer, however one is asked for; nothing where `end_of_turn` closes a user's turn."""
        markups = []
        for options in _WAYS:
            for write in (
                lambda how: self.prompt_tail(**how),
                lambda how: self.pieces(["user", "assistant"], **how)[1],
            ):
                try:
                    markups.append(self.tokenized(write(options).replace(WIDE, "")))
                except ValueError:
                    continue
        return Openers(self.tokenizer, [ids for ids in markups if end_of_turn not in ids])

    def added_tokens(self) -> set[int]:
        """The special and other added tokens that the template writes."""
        found: set[int] = set()
        for roles in (["system", "user", "assistant"], ["user", "assistant"], ["user"]):
            try:
                found |= self.added.intersection(self.tokenized(self.written(roles, prompt=roles[-1] == "user")))
            except ValueError:
                continue
        return found


@dataclass(frozen=True)
class TurnMarks:
    """What shows in token ids where turns begin and end.

    Attributes:
        end_of_turn: the token that ends an answer. openers: what opens one.
        written: the added tokens that the chat template writes; no text may hold them.
    """

    end_of_turn: int | None
    openers: Openers
    written: Collection[int] = ()


def turn_marks(tokenizer) -> TurnMarks:
    """The marks of a tokenizer's chat template, also of one that `ChatTemplate` refuses: it may still prompt a model.

    Without a template, with several and no default one, or with one that takes no answer, the eos token ends a turn.
    """
    try:
        text = TemplateText(tokenizer)
    except ValueError:
        return TurnMarks(tokenizer.eos_token_id, Openers(tokenizer, []))
    try:
        end_of_turn, _ = text.end_of_turn()
    except ValueError:
        end_of_turn = tokenizer.eos_token_id
    return TurnMarks(end_of_turn, text.openers(end_of_turn), text.added_tokens())


class ChatTemplate:
    """The template of a tokenizer, for conversations that are trained on and served.

    Attributes:
        system_allowed: whether it has a place for a system message that stays where it is.
        end_of_turn: the token that ends an answer. closes_turn: whether the template writes it behind an answer.
        openers: what opens an answer; nothing where the template closes a user's turn by `end_of_turn`, which then
            shows where an answer begins.

    Raises:
        ValueError: no chat template, or one whose rendering of a conversation is not an extension of its prompt.
    """

    def __init__(self, tokenizer):
        self._text = TemplateText(tokenizer)
        self._markups: dict[tuple[tuple[str, ...], bool], list[str]] = {}  # it depends on the roles alone
        self.system_allowed = self._renders(("system", "user", "assistant", "user", "assistant"))
        self.end_of_turn, self.closes_turn = self._end_of_turn()
        self.openers = self._text.openers(self.end_of_turn)

    def markup(self, roles: Sequence[str], prompt: bool) -> list[str]:
        """What the template writes before each message, and behind the last one: up to the answer with `prompt`.

        Up to an answer's content it is what the template writes for a conversation that ends with this answer:
        templates that think (Qwen 3) write older answers without the empty thought that newer ones open with.
        """
        key = (*roles, "assistant") if prompt else tuple(roles)
        if (key, prompt) not in self._markups:
            markup: list[str] = []
            for i, role in enumerate(key):
                if role == "assistant":
                    markup += self._pieces(key[: i + 1])[len(markup) : i + 1]
            self._markups[key, prompt] = markup if prompt else markup + self._pieces(key)[len(markup) :]
        return self._markups[key, prompt]

    def tokenized(self, markup: str) -> list[int]:
        """Token ids of a piece of markup; the template's special tokens are special."""
        return self._text.tokenized(markup)

    def _pieces(self, roles: Sequence[str]) -> list[str]:
        # An answer is not thought over aloud; templates that do not think ignore the option.
        return self._text.pieces(roles, enable_thinking=False)

    def _renders(self, roles: Sequence[str]) -> bool:
        try:
            self.markup(roles, prompt=False)
        except ValueError:
            return False
        return True

    def _end_of_turn(self) -> tuple[int, bool]:
        """The token that ends an answer and whether the template writes it; where it does not, it is to be added."""
        before = self._pieces(["user", "assistant"])[1]
        if not before.startswith(self._text.prompt_tail(enable_thinking=False)):
            raise ValueError("the chat template writes an answer otherwise than it prompts for one; it cannot be used")
        end_of_turn, written = self._text.end_of_turn()
        if end_of_turn is None:
            raise ValueError("the chat template closes no turn and the tokenizer has no eos token")
        return end_of_turn, written


def with_fixed_date(template: str) -> str:
    """A chat template that writes `PROMPT_DATE` for today: prompts, and runs that go on, would be others tomorrow.

    transformers gives templates a function `strftime_now`; a macro of that name at the head takes its place. A variable
    `date_string`, which some templates read, gets the date unless the caller gives it. A template that has got both
    stays as it is.
    """
    head = ""
    if "strftime_now" in template:
        head += _date_macro()
    if "date_string" in template:
        day = PROMPT_DATE.strftime("%d %b %Y")
        head += f"{{% if date_string is not defined %}}{{% set date_string = {day!r} %}}{{% endif %}}"
    if not head or template.startswith(head):
        return template
    # The environment drops the first line break behind a tag.
    return head + ("\n" if template.startswith("\n") else "") + template


def dated_templates(templates: str | dict[str, str]) -> str | dict[str, str]:
    """A tokenizer's template, or its templates by name, with the fixed date."""
    if isinstance(templates, dict):
        return {name: with_fixed_date(template) for name, template in templates.items()}
    return with_fixed_date(templates)


@cache
def _date_macro() -> str:
    """A macro with the name of transformers' function, for every directive of strftime."""
    moment = datetime.combine(PROMPT_DATE, datetime.min.time())
    values = {}
    for letter in ascii_letters:
        for flag in ("-", "_", "0", "^", "#", ""):
            directive = f"%{flag}{letter}"
            # Seconds since 1970 would be counted from the midnight of the machine's own time zone.
            values[directive] = str(timegm(moment.timetuple())) if letter == "s" else moment.strftime(directive)
    pairs = [pair for pair in values.items() if pair[0] != pair[1]]
    return (
        "{% macro strftime_now(format) %}{% set date = namespace(text=format | replace('%%', '\\x00')) %}"
        f"{{% for directive, value in {pairs!r} %}}"
        "{% set date.text = date.text | replace(directive, value) %}{% endfor %}"
        "{{ date.text | replace('\\x00', '%') }}{% endmacro %}"
    )
