"""Rivals of `CatalogLogitsProcessor`, written from their described behavior, for timing and for tests.

- `PublishedTrie` / `PublishedProcessor`: the decoding of RecLM-cgen as published (microsoft/RecAI).
- `nested_dict_fn`: the trie as nested dicts, for the `PrefixConstrainedLogitsProcessor` of transformers.
- `masked_fill_floor`: the cost of applying a mask that is already computed.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from transformers import LogitsProcessor


class PublishedNode:
    """Node of the published trie.

    Attributes:
        children: token -> child.
        count: number of titles below the node.
    """

    __slots__ = ("children", "count")

    def __init__(self) -> None:
        self.children: dict[int, PublishedNode] = {}
        self.count = 0

    def child(self, token: int) -> "PublishedNode":
        """Return the child at `token`; create it where it is missing."""
        if token not in self.children:
            self.children[token] = PublishedNode()
        return self.children[token]


class PublishedTrie:
    """Trie of Python objects that reads the whole turn again at every step.

    It differs from `Trie_link` as the published system does: a title listed n times may be emitted n times, a token
    path outside the trie frees the row, and free text is not masked.

    Args:
        titles: token ids of each title, without control tokens.
        soi: id of the control token that opens an item.
        eoi: id of the control token that closes an item.
        end_of_turn: token after which a new turn starts.
    """

    def __init__(self, titles: Iterable[Sequence[int]], soi: int, eoi: int, end_of_turn: int):
        self.soi, self.eoi, self.end_of_turn = soi, eoi, end_of_turn
        self.root = PublishedNode()
        for title in titles:
            node = self.root
            node.count += 1
            for token in (*title, eoi):
                node = node.child(token)
                node.count += 1

    def allowed(self, input_ids: torch.Tensor) -> list[int] | None:
        """Return the allowed next tokens of one row.

        Args:
            input_ids: int64 [T].

        Returns:
            The tokens, none when every title was used; None leaves the row free.
        """
        ends = torch.nonzero(input_ids == self.end_of_turn).flatten()
        window = input_ids[ends[-1].item() + 1 :] if len(ends) else input_ids
        openings = torch.nonzero(window == self.soi).flatten()
        closings = torch.nonzero(window == self.eoi).flatten()
        if not len(openings) or (len(closings) and closings[-1].item() > openings[-1].item()):
            return None
        visits: dict[int, int] = {}
        node: PublishedNode | None = None
        for opening in openings:
            node = self._walk(window, opening.item() + 1, visits)
        if node is None:
            return None
        return [token for token, child in node.children.items() if visits.get(id(child), 0) < child.count]

    def _walk(self, window: torch.Tensor, position: int, visits: dict[int, int]) -> PublishedNode | None:
        """Follow the item that starts at `position` and count its visits; return None where it leaves the trie."""
        node = self.root
        # One `item()` per token, as published: on a GPU each call waits for the device.
        while position < len(window):
            token = window[position].item()
            child = node.children.get(token)
            if child is None:
                return None
            visits[id(child)] = visits.get(id(child), 0) + 1
            node, position = child, position + 1
            if token == self.eoi:
                break
        return node


class PublishedProcessor(LogitsProcessor):
    """Logits processor that masks as published.

    Each call makes a full mask of -inf, a list of indices per row, and a sum over the vocabulary.

    Args:
        trie: the trie.
        num_beams: number of beams per prompt.
    """

    def __init__(self, trie: PublishedTrie, num_beams: int = 1):
        self.trie = trie
        self.num_beams = num_beams

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return the masked scores.

        Args:
            input_ids: int64 [rows, T].
            scores: float [rows, V], unchanged.

        Raises:
            ValueError: an item is open and every title of the catalog was used.
        """
        mask = torch.full_like(scores, -torch.inf)
        for prompt, beams in enumerate(input_ids.view(-1, self.num_beams, input_ids.shape[-1])):
            for beam, ids in enumerate(beams):
                row = prompt * self.num_beams + beam
                allowed = self.trie.allowed(ids)
                if allowed is None:
                    mask[row] = 0
                elif allowed:
                    mask[row, allowed] = 0
                else:
                    raise ValueError(f"row {row} opened an item, but every title of the catalog was used")
        return scores + mask


def nested_dict_fn(
    titles: Iterable[Sequence[int]], soi: int, eoi: int, vocabulary: int
) -> Callable[[int, torch.Tensor], list[int]]:
    """Return the `prefix_allowed_tokens_fn` of a catalog, over nested dicts; items may repeat.

    transformers has no unconstrained row there, so free text is a list of the whole vocabulary.

    Args:
        titles: token ids of each title, without control tokens.
        soi: id of the control token that opens an item.
        eoi: id of the control token that closes an item.
        vocabulary: number of tokens.
    """
    root: dict = {}
    for title in titles:
        node = root
        for token in (*title, eoi):
            node = node.setdefault(token, {})
    everything = list(range(vocabulary))

    def allowed(batch_id: int, input_ids: torch.Tensor) -> list[int]:
        ids = input_ids.tolist()
        for position in range(len(ids) - 1, -1, -1):
            if ids[position] == eoi:
                break
            if ids[position] == soi:
                node = root
                for token in ids[position + 1 :]:
                    node = node[token]
                return list(node)
        return everything

    return allowed


def masked_fill_floor(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Apply an existing mask in one in-place pass.

    Args:
        scores: float [rows, V], masked in place.
        mask: bool [rows, V], true for the tokens to mask.
    """
    return scores.masked_fill_(mask, -torch.inf)
