"""Lines under a grammar: llguidance constrains the text, and the trie the items in it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from train_utils.constraint.constraint import Constraint, ConstraintError
from train_utils.constraint.matcher import Matcher
from train_utils.decoding.engine import Engine
from train_utils.decoding.forward import forward
from train_utils.decoding.ragged_attention import RaggedCache
from train_utils.decoding.reference import PlainEngine
from train_utils.prompts.renderer import Chat

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer


def grammar_tokenizer(chat: Chat) -> "LLTokenizer":
    """Return a renderer's tokenizer for grammars; it takes a third of a second, so grammars share it.

    Raises:
        ValueError: llguidance is not installed, or the tokenizer is not a fast one.
    """
    try:
        import llguidance.hf
    except ImportError:
        raise ValueError("lines under a grammar need llguidance; pip install it, or read by rules") from None
    if not isinstance(chat.tokenizer, PreTrainedTokenizerFast):
        raise ValueError(
            f"the tokenizer is a {type(chat.tokenizer).__name__}, and lines under a grammar need a fast tokenizer "
            "of transformers; read by rules"
        )
    return llguidance.hf.from_tokenizer(chat.tokenizer, eos_token=chat.end_of_turn)


class LineGrammar:
    """Compiled grammar of a line.

    Args:
        chat: renderer of the catalog whose items the line may hold.
        tokenizer: `grammar_tokenizer(chat)`.
        grammar: in the Lark syntax of llguidance; an item is `<SOI>` and `<EOI>`, without the tokens between them.

    Raises:
        ValueError: the grammar cannot be compiled.
    """

    def __init__(self, chat: Chat, tokenizer: "LLTokenizer", grammar: str):
        from llguidance import LLMatcher

        self.chat = chat
        self._start = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(grammar), log_level=0)
        if self._start.is_error():
            raise ValueError(f"the grammar cannot be compiled: {' '.join(self._start.get_error().split())[:200]}")

    def begin(self, items: Iterable[int] | None = None) -> "LineState":
        """Return the state before the first token.

        Args:
            items: the items that the line may hold, at least one, as often as it likes; None for all.
        """
        assert self.chat.trie is not None  # the renderer knows the titles of the catalog
        return LineState(self._start.deep_copy(), Matcher(Constraint(self.chat.trie, items, distinct=False)))


class LineState:
    """State of a line: in the grammar outside items, in the trie inside."""

    def __init__(self, grammar: "LLMatcher", matcher: Matcher):
        self._grammar, self._matcher = grammar, matcher

    def allowed(self) -> np.ndarray:
        """Return the token ids that may follow, int64 [n], ascending; the end of turn is one of them after a line.

        Raises:
            ConstraintError: no token may follow.
        """
        if (in_item := self._matcher.allowed()) is not None:
            return in_item
        mask = np.frombuffer(self._grammar.compute_bitmask(), dtype=np.uint8)
        tokens = np.flatnonzero(np.unpackbits(mask, bitorder="little"))
        # A name may read like a code token, and stays text.
        tokens = np.setdiff1d(tokens, self._matcher.barred(), assume_unique=True)
        if not len(tokens):
            raise ConstraintError(f"no token may follow in a line: {self._grammar.get_error()[:80]}")
        return tokens

    def accept_token(self, token: int) -> int | None:
        """Move over an allowed token.

        Returns:
            The item that the token completes; None if it completes none.
        """
        outside = self._matcher.free
        item = self._matcher.accept_token(token)
        # The grammar sees the control tokens of an item alone.
        if (outside or self._matcher.free) and not self._grammar.consume_token(token):
            raise ConstraintError(f"token {token} is not allowed in the line")
        return item


@dataclass
class Line:
    """Line that a model has written.

    Attributes:
        ids: its tokens, without the end of turn.
        items: the items in it.
        probability: of its tokens among those that were allowed.
        is_whole: whether it ended before the limit.
    """

    ids: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    probability: float = 1.0
    is_whole: bool = False


@torch.inference_mode()
def write_line(engine: Engine | PlainEngine, state: LineState, prompt: Sequence[int], limit: int) -> Line:
    """Let a model write the most probable allowed token, one after the other. Forced tokens need no pass.

    Args:
        engine: engine of the model.
        state: state before the first token, moved over the line.
        prompt: token ids up to where the line begins.
        limit: tokens of the line at most.
    """
    line, end_of_turn = Line(), engine.chat.end_of_turn
    next_logits, unread = _reader(engine, len(prompt) + limit), list(prompt)
    score = 0.0
    while len(line.ids) <= limit:
        allowed = state.allowed()
        token = int(allowed[0])
        if len(allowed) > 1:
            chosen = torch.from_numpy(allowed)
            shares = next_logits(unread).cpu()[chosen].float().log_softmax(0)
            unread, best = [], int(shares.argmax())
            token, score = int(allowed[best]), score + float(shares[best])
        if token == end_of_turn:
            line.is_whole = True
            break
        if (item := state.accept_token(token)) is not None:
            line.items.append(item)
        line.ids.append(token)
        unread.append(token)
    line.probability = math.exp(score)
    return line


def _reader(engine: Engine | PlainEngine, longest: int) -> Callable[[Sequence[int]], torch.Tensor]:
    """Return a function that reads further tokens of a text and returns the logits after them, float [V].

    Args:
        engine: engine of the model.
        longest: tokens of the whole text at most.
    """
    text: list[int] = []
    if isinstance(engine, PlainEngine) or not engine.finds_titles(longest):

        def read_again(tokens: Sequence[int]) -> torch.Tensor:
            text.extend(tokens)
            return engine.last_logits([text])[0]

        return read_again
    cache = RaggedCache(1)

    def read_on(tokens: Sequence[int]) -> torch.Tensor:
        with engine.autocast():
            logits = forward(engine.model, cache, [tokens], [len(text)], [[len(tokens) - 1]])
        text.extend(tokens)
        return logits[0]

    return read_on
