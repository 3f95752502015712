"""A tokenizer's own chat template: what it writes around the contents of messages, and the tokens that close a turn."""

import threading
from collections.abc import Sequence
from datetime import datetime

from train_utils.files import PROMPT_DATE

# Stands for the content of message {}. The wide spaces show whether the template trims what it is given.
WIDE = "\u2003"
_SENTINEL = "\x02{}\x03"
_CONTENTS = ("a", "I saw 2 of them", "夜", "why?")  # of unlike last tokens
_DIRECTIVES = "aAbBdejHIklmMpSuwyYFTDGgVUWc"  # of strftime
_TOKENIZING = threading.Lock()


def tokenize(tokenizer, text: str | list[str], split_special_tokens: bool) -> list:
    """Token ids of a text, or of each of several; with `split_special_tokens` none of them is read as special."""
    # How special tokens are read is a state of the tokenizer, not of the call: two threads would take each other's.
    with _TOKENIZING:
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=split_special_tokens)
    return encoded["input_ids"]


class ChatTemplate:
    """The template of a tokenizer.

    Attributes:
        system_allowed: whether it has a place for a system message that stays where it is.
        end_of_turn: the token that ends an answer. closes_turn: whether the template writes it behind an answer.
        openers: token ids that stand before an answer, in the ways in which they may be tokenised; () where the
            template closes a user's turn by `end_of_turn`, which then tells where an answer begins.

    Raises:
        ValueError: no chat template, or one whose rendering of a conversation is not an extension of its prompt.
    """

    def __init__(self, tokenizer):
        if not tokenizer.chat_template:
            raise ValueError("the tokenizer has no chat template; use an instruction-tuned model")
        self.tokenizer = tokenizer
        self._dated = with_fixed_date(tokenizer.get_chat_template())
        self._markups: dict[tuple[tuple[str, ...], bool], list[str]] = {}  # it depends on the roles alone
        self.system_allowed = self._renders(("system", "user", "assistant", "user", "assistant"))
        self.end_of_turn, self.closes_turn = self._end_of_turn()
        self.openers = self._openers()

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
                    markup += self._pieces(key[:i + 1])[len(markup):i + 1]
            self._markups[key, prompt] = markup if prompt else markup + self._pieces(key)[len(markup):]
        return self._markups[key, prompt]

    def tokenized(self, markup: str) -> list[int]:
        """Token ids of a piece of markup; the template's special tokens are special."""
        return tokenize(self.tokenizer, markup, split_special_tokens=False) if markup else []

    def _pieces(self, roles: Sequence[str]) -> list[str]:
        """The template's text around the contents of messages with these roles, `WIDE` where it does not trim."""
        text = self._written([_content(i) for i in range(len(roles))], roles)
        pieces = []
        for i, role in enumerate(roles):
            before, found, text = text.partition(_SENTINEL.format(i))
            if not found:
                raise ValueError(f"the chat template drops or moves the {role} message {i}; it cannot be used")
            pieces.append(before)
        return [*pieces, text]

    def _written(self, contents: Sequence[str], roles: Sequence[str], prompt: bool = False) -> str:
        from jinja2.exceptions import TemplateError

        messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
        try:
            # An answer is not thought over aloud; templates that do not think ignore the option.
            return self.tokenizer.apply_chat_template(
                messages, chat_template=self._dated, tokenize=False, add_generation_prompt=prompt,
                enable_thinking=False, date_string=PROMPT_DATE.strftime("%d %b %Y"),
            )
        except TemplateError as error:
            raise ValueError(f"the chat template refuses messages of the roles {', '.join(roles)}: {error}") from None

    def _renders(self, roles: Sequence[str]) -> bool:
        try:
            self.markup(roles, prompt=False)
        except ValueError:
            return False
        return True

    def _end_of_turn(self) -> tuple[int, bool]:
        """The first added or special token behind an answer's content, else the tokenizer's eos, which is then to be
        added; and whether the template writes it."""
        *_, before, tail = self._pieces(["user", "assistant"])
        prompt = self._written([_content(0)], ["user"], prompt=True)
        if not before.startswith(prompt.rpartition(_SENTINEL.format(0))[2]):
            raise ValueError("the chat template writes an answer otherwise than it prompts for one; it cannot be used")
        special = {*self.tokenizer.all_special_ids, *self.tokenizer.added_tokens_decoder}
        for token in self.tokenized(tail):
            if token in special:
                return token, True
        if self.tokenizer.eos_token_id is None:
            raise ValueError("the chat template closes no turn and the tokenizer has no eos token")
        return self.tokenizer.eos_token_id, False

    def _openers(self) -> tuple[tuple[int, ...], ...]:
        text = self.markup(["user"], prompt=True)[-1].replace(WIDE, "")
        if self.end_of_turn in self.tokenized(text):
            return ()
        # As it is tokenised by itself, and as it is behind the words of a user in one string.
        prompts = [tokenize(self.tokenizer, self._written([content], ["user"], prompt=True), False)
                   for content in _CONTENTS]
        found = {tuple(self.tokenized(text.rstrip(" "))), tuple(_common_end(prompts))}
        return tuple(sorted(ids for ids in found if ids and self._reads(ids) == text.strip()))

    def _reads(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False).strip()


def with_fixed_date(template: str) -> str:
    """A chat template that writes `PROMPT_DATE` for today: prompts, and runs that go on, would be others tomorrow.

    transformers gives templates a function `strftime_now`; a macro of that name at the head takes its place.
    """
    if "strftime_now" not in template:
        return template
    moment = datetime.combine(PROMPT_DATE, datetime.min.time())
    text = "format"
    for letter in _DIRECTIVES:
        for directive in (f"%-{letter}", f"%{letter}"):
            text += f" | replace({directive!r}, {moment.strftime(directive)!r})"
    # The environment drops the first line break behind a tag.
    broken = "\n" if template.startswith("\n") else ""
    return f"{{% macro strftime_now(format) %}}{{{{ {text} }}}}{{% endmacro %}}{broken}{template}"


def _content(i: int) -> str:
    return WIDE + _SENTINEL.format(i) + WIDE


def _common_end(sequences: Sequence[Sequence[int]]) -> list[int]:
    """What all sequences end with."""
    end: list[int] = []
    for tokens in zip(*map(reversed, sequences), strict=False):
        if len(set(tokens)) > 1:
            break
        end.append(tokens[0])
    return end[::-1]


def answer_start(ids: Sequence[int], end_of_turn: int, openers: Sequence[Sequence[int]] = ()) -> int:
    """Where the current answer begins in a conversation: behind the last end of turn, or what opens an answer."""
    ids = list(ids)
    start = len(ids) - ids[::-1].index(end_of_turn) if end_of_turn in ids else 0
    for opener in openers:
        n = len(opener)
        at = next((at for at in range(len(ids) - n, start - 1, -1) if ids[at:at + n] == list(opener)), None)
        if at is not None:
            start = max(start, at + n)
    return start
