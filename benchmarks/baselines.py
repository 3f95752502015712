"""The rivals of `CatalogLogitsProcessor`, written from their described behavior, for timing and for tests.

- `PublishedTrie` / `PublishedProcessor`: the decoding of RecLM-cgen as published (microsoft/RecAI).
- `nested_dict_fn`: the tree as nested dicts, for the `PrefixConstrainedLogitsProcessor` of transformers.
- `masked_fill_floor`: what writing a mask costs once somebody else has computed it.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from transformers import LogitsProcessor


class PublishedNode:
    """A node of the published tree: its children by token, and the number of titles below it."""

    __slots__ = ("children", "count")

    def __init__(self) -> None:
        self.children: dict[int, PublishedNode] = {}
        self.count = 0

    def child(self, token: int) -> "PublishedNode":
        """The child under `token`, made where it is missing."""
        if token not in self.children:
            self.children[token] = PublishedNode()
        return self.children[token]


class PublishedTrie:
    """Prefix tree of Python objects that reads the whole turn again at every step.

    It differs from `Trie_link` where the published system does: a title listed n times may be emitted n times, a token
    path outside the tree frees the row, and free text is not masked at all.

    Args:
        titles: token ids of each title, without control tokens.
        soi, eoi: ids of the control tokens that open and close an item.
        end_of_turn: token behind which a new turn starts.
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
        """Allowed next tokens of one row (int64 [T]); None leaves the row free. Empty when every title was used."""
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

    def _walk(self, window: torch.Tensor, place: int, visits: dict[int, int]) -> PublishedNode | None:
        """Follows the item that starts at `place`, counts its visits; None where it leaves the tree."""
        node = self.root
        # One host read a token, as published: on a GPU each of them waits for the device.
        while place < len(window):
            token = window[place].item()
            child = node.children.get(token)
            if child is None:
                return None
            visits[id(child)] = visits.get(id(child), 0) + 1
            node, place = child, place + 1
            if token == self.eoi:
                break
        return node


class PublishedProcessor(LogitsProcessor):
    """Masks as published: a full mask of -inf a call, a list of indices a row, and a sum over the vocabulary."""

    def __init__(self, trie: PublishedTrie, num_beams: int = 1):
        self.trie = trie
        self.num_beams = num_beams

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """input_ids: int64 [rows, T]; scores: float [rows, V]; returns new scores.

        Raises:
            ValueError: every title of the catalog was used and another item is open.
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
    """The `prefix_allowed_tokens_fn` of a catalog, over nested dicts; items may repeat.

    That library knows no unconstrained row, so free text is a list of the whole vocabulary.
    """
    root: dict = {}
    for title in titles:
        node = root
        for token in (*title, eoi):
            node = node.setdefault(token, {})
    everything = list(range(vocabulary))

    def allowed(batch_id: int, input_ids: torch.Tensor) -> list[int]:
        ids = input_ids.tolist()
        for place in range(len(ids) - 1, -1, -1):
            if ids[place] == eoi:
                break
            if ids[place] == soi:
                node = root
                for token in ids[place + 1 :]:
                    node = node[token]
                return list(node)
        return everything

    return allowed


def masked_fill_floor(scores: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """One in-place pass over scores (float [rows, V]) with a mask that is already there (bool [rows, V])."""
    return scores.masked_fill_(mask, -torch.inf)
