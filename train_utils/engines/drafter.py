"""Drafts of what follows in a reply: tokens that must, and tokens that did before. NumPy and no model.

An engine verifies drafts with its next forward pass, so that they change the number of passes and no output.
"""

from collections.abc import Sequence

from train_utils.engines.tree_grammar import TreeGrammar
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat

_LIKELY = 0.6  # share of a branch's choices from which on its most frequent token is drafted
_SEEN = 3  # choices of a branch before its tokens are drafted
_BRANCHES = 100_000  # branches that are remembered


class BranchChoices:
    """How often each token followed at a branch of the trie, in all replies of a catalog."""

    def __init__(self) -> None:
        self._counts: dict[int, dict[int, int]] = {}

    def observe(self, branch: int, token: int) -> None:
        """Count a token that the model chose at a branch."""
        if branch not in self._counts and len(self._counts) >= _BRANCHES:
            return
        counts = self._counts.setdefault(branch, {})
        counts[token] = counts.get(token, 0) + 1

    def likely(self, branch: int) -> int | None:
        """Return the token that followed at a branch in most cases; None if there is none."""
        counts = self._counts.get(branch)
        if not counts or (total := sum(counts.values())) < _SEEN:
            return None
        token = max(counts, key=counts.__getitem__)
        return token if counts[token] >= _LIKELY * total else None


class ReplyDrafter:
    """Drafter of one reply.

    Args:
        grammar: the grammar of the reply, which the engine moves.
        chat: renderer of the catalog.
        choices: choices at the branches of the trie, shared by the replies of a catalog.
    """

    def __init__(self, grammar: TreeGrammar, chat: Chat, choices: BranchChoices):
        self._grammar, self._chat, self._choices = grammar, chat, choices
        self._observed = 0  # tokens of the reply that are counted

    def propose(self, most: int) -> list[int]:
        """Return up to `most` tokens that must or probably will follow; called where all accepted tokens are final."""
        self._observe()
        ahead = self._grammar.copy()
        drafts: list[int] = []
        while len(drafts) < most:
            run = ahead.jump_forward() or self._guess(ahead)
            accepted = [token for token in run if ahead.accept_token(token)]
            drafts += accepted
            if not run or len(accepted) < len(run):
                break
        return drafts[:most]

    def _observe(self) -> None:
        tokens = self._grammar.tokens
        for at in range(self._observed, len(tokens)):
            if (branch := self._grammar.branch(at)) is not None:
                self._choices.observe(branch, tokens[at])
        self._observed = len(tokens)

    def _guess(self, ahead: TreeGrammar) -> list[int]:
        """Return what probably follows where the grammar leaves a choice; [] for no guess."""
        if (branch := ahead.branch(ahead.n_tokens)) is not None:
            token = self._choices.likely(branch)
            return [] if token is None else [token]
        if ahead.in_item or ahead.is_terminated() or not ahead.items:
            return []
        return self._separator(ahead.tokens, len(ahead.items))

    def _separator(self, tokens: Sequence[int], n_items: int) -> list[int]:
        """Return the rest of the text between the items of a list, in the style of the text before the last item."""
        after_last, before_last = _texts_around_last_item(tokens, self._chat.soi, self._chat.eoi)
        idx = self._chat.decode(before_last).endswith(f"{n_items}. ")
        expected = [*self._chat.encode(separator(n_items + 1, idx)), self._chat.soi]
        begun = len(after_last)
        return expected[begun:] if expected[:begun] == list(after_last) else []


def _texts_around_last_item(tokens: Sequence[int], soi: int, eoi: int) -> tuple[Sequence[int], Sequence[int]]:
    """Return the tokens after the last item of a reply, and those between it and the item before."""
    end = _last(tokens, eoi, len(tokens))
    start = _last(tokens, soi, end)
    return tokens[end + 1 :], tokens[_last(tokens, eoi, start) + 1 : start]


def _last(tokens: Sequence[int], token: int, before: int) -> int:
    """Return the last position of a token before a position, or -1."""
    return next((at for at in range(before - 1, -1, -1) if tokens[at] == token), -1)
