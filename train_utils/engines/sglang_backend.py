"""Grammar backend of SGLang: an EBNF grammar whose text begins with `reclm:` is a `TreeGrammar`.

Imported in SGLang's scheduler alone, since it extends SGLang's own classes; `sglang_plugin` registers it.
"""

from collections.abc import Collection
from typing import Any

import torch
from sglang.srt.constrained.base_grammar_backend import BaseGrammarObject, InvalidGrammarObject
from sglang.srt.constrained.llguidance_backend import GuidanceBackend, GuidanceGrammar

from train_utils.constraint.packed_rows import words_of
from train_utils.engines.domains import Domains
from train_utils.engines.grammar_request import is_grammar
from train_utils.engines.tree_grammar import TreeGrammar


class SglangGrammar(BaseGrammarObject):
    """`TreeGrammar` with the methods of SGLang's grammar objects.

    The masks are those of SGLang's llguidance backend, so that requests with other grammars share their batches.

    Args:
        grammar: the grammar of one reply.
    """

    reset_vocab_mask = staticmethod(GuidanceGrammar.reset_vocab_mask)
    move_vocab_mask = staticmethod(GuidanceGrammar.move_vocab_mask)
    apply_vocab_mask = staticmethod(GuidanceGrammar.apply_vocab_mask)

    def __init__(self, grammar: TreeGrammar):
        super().__init__()
        self.grammar = grammar

    def copy(self) -> "SglangGrammar":
        """Return a grammar in the same state, for another request."""
        return SglangGrammar(self.grammar.copy())

    def accept_token(self, token: int) -> None:
        """Add a token to the reply.

        Raises:
            ValueError: the token may not follow; SGLang ends such a request with an error.
        """
        if not self.finished and not self.grammar.accept_token(token):
            raise ValueError(f"token {token} may not follow in a reply with items of the catalog")

    def rollback(self, k: int) -> None:
        self.grammar.rollback(k)

    def is_terminated(self) -> bool:
        return self.grammar.is_terminated()

    def allocate_vocab_mask(self, vocab_size: int, batch_size: int, device: Any) -> torch.Tensor:
        """Return the masks of a batch, int32 [batch, words], all tokens allowed."""
        pinned = torch.cuda.is_available()  # so that a copy to the device does not wait
        return torch.full((batch_size, words_of(vocab_size)), -1, dtype=torch.int32, pin_memory=pinned)

    def fill_vocab_mask(self, vocab_mask: torch.Tensor, idx: int) -> None:
        self.grammar.fill_bitmask(vocab_mask[idx].numpy())

    def try_jump_forward(self, tokenizer: Any) -> tuple[list[int], str] | None:
        """Return the tokens that must follow, with an empty text; None if there are none."""
        return (run, "") if (run := self.grammar.jump_forward()) else None

    def jump_forward_str_state(self, helper: tuple[list[int], str]) -> tuple[str, int]:
        """Return no text: the tokens of a jump are known."""
        return "", -1

    def jump_and_retokenize(self, old_output_ids: list[int], new_output_ids: list[int], next_state: int) -> None:
        """Do nothing: tokens are never encoded again."""


class SglangBackend(GuidanceBackend):
    """SGLang's llguidance backend, and grammars of catalogs.

    Args:
        domains: the catalogs.
        stop_tokens: tokens that end a reply.
        tokenizer: tokenizer of the served model.
        more: further arguments of SGLang's backend.
    """

    def __init__(self, domains: Domains, stop_tokens: Collection[int], tokenizer: Any, **more: Any):
        super().__init__(tokenizer, **more)
        self._domains, self.stop_tokens = domains, frozenset(stop_tokens)

    def dispatch_ebnf(self, key_string: str) -> BaseGrammarObject:
        """Return the grammar of a request; an invalid one ends the request with status 400."""
        if not is_grammar(key_string):
            return super().dispatch_ebnf(key_string)
        try:
            return SglangGrammar(self._domains.grammar(key_string, self.stop_tokens))
        except ValueError as error:
            return InvalidGrammarObject(str(error))

    def set_cache(self, key: tuple[str, str], value: BaseGrammarObject) -> None:
        """Keep a compiled grammar, except one of a catalog: it is fast to compile, and each user has another one."""
        if not is_grammar(key[1]):
            super().set_cache(key, value)
