"""Scope mask as published: a Python walk fills a mask of [batch, time, vocabulary], and all logits are computed.

Written from its description (microsoft/RecAI, RecLM-cgen), for timing and for tests. Known failures of the original are
repaired, so that its loss equals that of `train_utils.training.loss`: `<EOI>` is masked like a title token, an item of
a list is closed after it, a label always stays allowed, padding has no label, and batches may hold several samples.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from baselines import PublishedNode
from torch import nn

from train_utils.models.backbone import mixed_precision, unwrap
from train_utils.prompts.renderer import Chat
from train_utils.samples.conversation import Conversation
from train_utils.training.loss import Parts

UNLABELLED = -100


@dataclass(frozen=True)
class DenseBatch:
    """B samples, right-padded to T, in the given order.

    Labels and forbidden tokens are at the position that predicts them.

    Attributes:
        ids: int64 [B, T].
        mask: int64 [B, T], 1 for tokens and 0 for padding.
        labels: int64 [B, T], -100 where no token is learned.
        forbidden: bool [B, T, V], true for tokens that the trie does not allow.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor
    forbidden: torch.Tensor


class DenseScope:
    """Trie of Python objects over the distinct titles, which gives the allowed tokens along a list of items.

    Args:
        titles: token ids of each title, without control tokens.
        eoi: id of the token that closes an item.
    """

    def __init__(self, titles: Iterable[Sequence[int]], eoi: int):
        self.root, self.eoi = PublishedNode(), eoi
        for title in {tuple(title) for title in titles}:
            for node in self._path(title):
                node.count += 1

    def of_list(self, titles: Iterable[Sequence[int]]) -> Iterator[list[list[int]]]:
        """Yield, per item of a list, the allowed tokens at each position of its title and at its `<EOI>`."""
        visits: dict[int, int] = {}
        closed: set[tuple[int, ...]] = set()
        for title in titles:
            path = self._path(title)
            yield [
                [
                    token
                    for token, child in node.children.items()
                    if child is after or visits.get(id(child), 0) < child.count
                ]
                for node, after in zip([self.root, *path], path, strict=False)
            ]
            if tuple(title) not in closed:
                closed.add(tuple(title))
                visits |= {id(node): visits.get(id(node), 0) + 1 for node in path}

    def _path(self, title: Sequence[int]) -> list[PublishedNode]:
        """Return the nodes after each token of a title and after its end."""
        nodes, node = [], self.root
        for token in (*title, self.eoi):
            node = node.child(token)
            nodes.append(node)
        return nodes


def dense_batch(
    talks: Sequence[Conversation], chat: Chat, scope: DenseScope, pad_id: int, vocabulary: int
) -> DenseBatch:
    """Pad conversations in their own order and walk the trie for every answered item.

    Args:
        talks: the conversations.
        chat: renderer with the catalog's titles.
        scope: the trie.
        pad_id: id of the padding token.
        vocabulary: V, the output size of the head.
    """
    width = max(len(talk.rendered.ids) for talk in talks)
    ids = torch.full((len(talks), width), pad_id)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, UNLABELLED)
    forbidden = torch.zeros(len(talks), width, vocabulary, dtype=torch.bool)
    for row, talk in enumerate(talks):
        rendered = talk.rendered
        ids[row, : len(rendered.ids)] = torch.tensor(rendered.ids)
        mask[row, : len(rendered.ids)] = 1
        for position, (token, on) in enumerate(zip(rendered.ids, rendered.labeled, strict=True)):
            if on:
                labels[row, position - 1] = token
        answered = [(start, chat.title_ids[item]) for start, item in rendered.items if rendered.labeled[start]]
        for (start, _), scopes in zip(answered, scope.of_list(title for _, title in answered), strict=True):
            for offset, allowed in enumerate(scopes):
                forbidden[row, start + offset] = True
                forbidden[row, start + offset, allowed] = False
    return DenseBatch(ids, mask, labels, forbidden)


def dense_mask_loss(model: nn.Module, batch: DenseBatch) -> tuple[torch.Tensor, Parts]:
    """Return the loss, and no parts for the log.

    The loss is the mean over samples of each sample's mean cross-entropy, from all logits in float32.
    """
    with mixed_precision(model):
        logits = unwrap(model)(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits
    logits = logits.float().masked_fill(batch.forbidden, -torch.inf)
    losses = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=UNLABELLED, reduction="none")
    labeled = (batch.labels != UNLABELLED).sum(1)
    return (losses.view_as(batch.labels).sum(1) / labeled).mean(), {}
