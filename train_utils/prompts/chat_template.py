"""Chat template of a tokenizer: the text it writes around messages, and the tokens that end a turn."""

import threading
from calendar import timegm
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from string import ascii_letters

from train_utils.constraint.answer_start import Openers
from train_utils.files.atomic import PROMPT_DATE
from train_utils.model_folder import as_value_error
from train_utils.prompts.template_process import LONGEST_TEMPLATE, TemplateLimitError, render

# _SENTINEL replaces the content of message {}. The WIDE spaces around it show whether the template trims contents.
WIDE = "\u2003"
_SENTINEL = "\x02{}\x03"
# Options of the generation prompt: templates of reasoning models open an answer differently without thinking.
_WAYS: tuple[dict[str, bool], ...] = (
    {},
    {"enable_thinking": False},
    {"enable_thinking": True},
    {"thinking": False},
    {"thinking": True},
)
_TOKENIZING = threading.Lock()
_PROBE_ROLES = 5  # messages of the longest conversation that is rendered when a template is loaded


def tokenize(tokenizer, text: str | list[str], split_special_tokens: bool) -> list:
    """Return the token ids of a text, or of each of several texts.

    Args:
        tokenizer: a Hugging Face tokenizer.
        text: one text or several.
        split_special_tokens: whether special tokens in a text are encoded as ordinary characters.
    """
    # split_special_tokens is state of the tokenizer, not of the call: concurrent calls would overwrite it.
    with _TOKENIZING, as_value_error("the tokenizer cannot encode a text"):
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)
    return encoded["input_ids"]


def _plain(token: object) -> object:
    return [str(part) for part in token] if isinstance(token, (list, tuple)) else str(token)


class TemplateText:
    """Text that a tokenizer's chat template writes.

    Args:
        tokenizer: a Hugging Face tokenizer.

    Attributes:
        tokenizer: the tokenizer.
        added: ids of its special and other added tokens.

    Raises:
        ValueError: the tokenizer has no chat template, or several without a default.
    """

    def __init__(self, tokenizer):
        if not tokenizer.chat_template:
            raise ValueError("the tokenizer has no chat template; use an instruction-tuned model")
        self.tokenizer = tokenizer
        self.added = frozenset((*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder))
        try:
            template = tokenizer.get_chat_template()
        except ValueError as error:
            raise ValueError(f"the tokenizer's chat template cannot be used: {' '.join(str(error).split())}") from None
        if not isinstance(template, str) or len(template) > LONGEST_TEMPLATE:
            raise ValueError(
                f"the tokenizer's chat template is {str(template)[:80]!r}, wanted a text of at most "
                f"{LONGEST_TEMPLATE:,} characters"
            )
        self._template = with_fixed_date(template)
        self._exhausted = ""  # the limit that a short conversation exceeded, after which none is rendered

    def tokenized(self, markup: str) -> list[int]:
        """Return the token ids of a piece of markup; special tokens of the template stay special."""
        return tokenize(self.tokenizer, markup, split_special_tokens=False) if markup else []

    def written(self, roles: Sequence[str], prompt: bool = False, **options: bool) -> str:
        """Return the template's text for messages whose contents are sentinels.

        Args:
            roles: roles of the messages.
            prompt: whether the generation prompt follows.
            options: options of the template.

        Raises:
            ValueError: the template rejects the messages.
        """
        messages = [{"role": role, "content": WIDE + _SENTINEL.format(i) + WIDE} for i, role in enumerate(roles)]
        variables = {name: _plain(token) for name, token in self.tokenizer.special_tokens_map.items()} | options
        why = self._exhausted
        if not why:
            try:
                return render(self._template, messages, prompt, variables)
            except TemplateLimitError as error:
                why = str(error)
                # A long conversation, which anyone can send to a server, must not end the others.
                self._exhausted = why if len(roles) <= _PROBE_ROLES else ""
            except ValueError as error:
                why = str(error)
        raise ValueError(f"the chat template refuses messages of the roles {', '.join(roles)}: {why}")

    def pieces(self, roles: Sequence[str], **options: bool) -> list[str]:
        """Return the template's text around the contents of messages, with `WIDE` where it does not trim them.

        Args:
            roles: roles of the messages.
            options: options of the template.

        Returns:
            The text before each content and the text after the last one.

        Raises:
            ValueError: the template rejects the messages, or drops or moves one.
        """
        text = self.written(roles, **options)
        pieces = []
        for i, role in enumerate(roles):
            before, sentinel, text = text.partition(_SENTINEL.format(i))
            if not sentinel:
                raise ValueError(f"the chat template drops or moves the {role} message {i}; it cannot be used")
            pieces.append(before)
        return [*pieces, text]

    def prompt_tail(self, **options: bool) -> str:
        """Return the text after a user's content in a prompt for an answer."""
        return self.written(["user"], prompt=True, **options).rpartition(_SENTINEL.format(0))[2]

    def end_of_turn(self) -> tuple[int | None, bool]:
        """Return (token that ends an answer, whether the template writes it).

        It is the first added or special token after an answer's content, or the tokenizer's eos token.
        """
        for token in self.tokenized(self.pieces(["user", "assistant"], enable_thinking=False)[-1]):
            if token in self.added:
                return token, True
        return self.tokenizer.eos_token_id, False

    def openers(self, end_of_turn: int | None) -> Openers:
        """Return the token sequences that open an answer, under all options of the generation prompt.

        Sequences that contain `end_of_turn` are left out: there it closes the user's turn.
        """
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
        """Return the special and other added tokens that the template writes."""
        tokens: set[int] = set()
        for roles in (["system", "user", "assistant"], ["user", "assistant"], ["user"]):
            try:
                tokens |= self.added.intersection(self.tokenized(self.written(roles, prompt=roles[-1] == "user")))
            except ValueError:
                continue
        return tokens


@dataclass(frozen=True)
class TurnMarks:
    """Tokens that mark the turns of a conversation in token ids.

    Attributes:
        end_of_turn: the token that ends an answer; None for none.
        openers: token sequences that open an answer.
        written: the added tokens that the chat template writes; no text may contain them.
    """

    end_of_turn: int | None
    openers: Openers
    written: Collection[int] = ()


def turn_marks(tokenizer) -> TurnMarks:
    """Return the turn marks of a tokenizer, also where `ChatTemplate` rejects its template.

    A rejected template may still prompt a model. The eos token ends a turn where the tokenizer has no template, several
    without a default, or one that takes no answer.
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
    """Chat template of a tokenizer, for conversations in training and serving.

    Args:
        tokenizer: a Hugging Face tokenizer.

    Attributes:
        system_allowed: whether the template takes a system message and leaves it in its position.
        end_of_turn: the token that ends an answer.
        closes_turn: whether the template writes it after an answer.
        openers: token sequences that open an answer; empty where the template closes a user's turn by `end_of_turn`,
            which then marks the start of an answer.

    Raises:
        ValueError: no chat template, or one whose rendering of a conversation does not extend the rendering of its
            prompt.
    """

    def __init__(self, tokenizer):
        self._text = TemplateText(tokenizer)
        self._markups: dict[tuple[tuple[str, ...], bool], list[str]] = {}  # markup depends only on the roles
        self.system_allowed = self._renders(("system", "user", "assistant", "user", "assistant"))
        self.end_of_turn, self.closes_turn = self._end_of_turn()
        self.openers = self._text.openers(self.end_of_turn)

    def markup(self, roles: Sequence[str], prompt: bool) -> list[str]:
        """Return the template's text before each message and after the last one.

        The text before an answer's content is the one that the template writes for a conversation that ends with this
        answer: templates of reasoning models (Qwen 3) open the newest answer with an empty thought, but not older ones.

        Args:
            roles: roles of the messages.
            prompt: whether an answer follows; the last text then opens it.
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
        """Return the token ids of a piece of markup; special tokens of the template stay special."""
        return self._text.tokenized(markup)

    def _pieces(self, roles: Sequence[str]) -> list[str]:
        # Answers contain no thinking; other templates ignore the option.
        return self._text.pieces(roles, enable_thinking=False)

    def _renders(self, roles: Sequence[str]) -> bool:
        try:
            self.markup(roles, prompt=False)
        except ValueError:
            return False
        return True

    def _end_of_turn(self) -> tuple[int, bool]:
        """Return (token that ends an answer, whether the template writes it); the caller adds it where not.

        Raises:
            ValueError: the template has no such token, or opens an answer differently than its prompt does.
        """
        before = self._pieces(["user", "assistant"])[1]
        if not before.startswith(self._text.prompt_tail(enable_thinking=False)):
            raise ValueError("the chat template writes an answer otherwise than it prompts for one; it cannot be used")
        end_of_turn, written = self._text.end_of_turn()
        if end_of_turn is None:
            raise ValueError("the chat template closes no turn and the tokenizer has no eos token")
        return end_of_turn, written


def with_fixed_date(template: str) -> str:
    """Return a chat template that writes `PROMPT_DATE` for today.

    With the real date, prompts and resumed runs would differ from one day to the next. transformers gives templates a
    function `strftime_now`; a macro of that name at the head replaces it. A variable `date_string`, which some
    templates read, is set to the date unless the caller sets it. A template that already has this head stays as it is.
    """
    head = ""
    if "strftime_now" in template:
        head += _date_macro()
    if "date_string" in template:
        day = PROMPT_DATE.strftime("%d %b %Y")
        head += f"{{% if date_string is not defined %}}{{% set date_string = {day!r} %}}{{% endif %}}"
    if not head or template.startswith(head):
        return template
    # The environment drops the first line break after a tag.
    return head + ("\n" if template.startswith("\n") else "") + template


def dated_templates(templates: str | dict[str, str]) -> str | dict[str, str]:
    """Return a tokenizer's template, or its templates by name, with the fixed date."""
    if isinstance(templates, dict):
        return {name: with_fixed_date(template) for name, template in templates.items()}
    return with_fixed_date(templates)


@cache
def _date_macro() -> str:
    """Return a macro that replaces transformers' `strftime_now`, for every directive of strftime."""
    moment = datetime.combine(PROMPT_DATE, datetime.min.time())
    values = {}
    for letter in ascii_letters:
        for flag in ("-", "_", "0", "^", "#", ""):
            directive = f"%{flag}{letter}"
            # strftime would count the seconds since 1970 in the machine's time zone.
            values[directive] = str(timegm(moment.timetuple())) if letter == "s" else moment.strftime(directive)
    pairs = [pair for pair in values.items() if pair[0] != pair[1]]
    return (
        "{% macro strftime_now(format) %}{% set date = namespace(text=format | replace('%%', '\\x00')) %}"
        f"{{% for directive, value in {pairs!r} %}}"
        "{% set date.text = date.text | replace(directive, value) %}{% endfor %}"
        "{{ date.text | replace('\\x00', '%') }}{% endmacro %}"
    )
