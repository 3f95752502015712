"""A conversation with its rankings -> tokens, labels and choices -> CPU batch."""

from collections.abc import Container, Iterator

import numpy as np

from train_utils.constraint.trie import TitleTrie
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat, Rendered
from train_utils.samples.batch import Sample
from train_utils.samples.conversation import Conversation
from train_utils.samples.plan import SampleConfig
from train_utils.teacher.protocol import TeacherList


class ScopeLabels:
    """Target distributions over the children of trie branches, one item at a time.

    The labels of the scope mask: docs/architecture.md, Loss.
    """

    def __init__(self, trie: TitleTrie):
        self.trie = trie

    def of_item(
        self, item: int, used: np.ndarray, teacher: TeacherList | None, soft: float
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield the choices of an item: every position of its title at which more than one child is open.

        Soft labels weight a child by the teacher's best item below it, not by the sum: greedy decoding then leads to
        the teacher's first item instead of the branch with the most items.

        Args:
            item: the item that is spelled.
            used: int [n], leaves that distinctness has closed.
            teacher: the teacher's ranking; None for hard labels.
            soft: share that goes to the children in proportion to the teacher's scores, within 0..1.

        Yields:
            (offset, tokens, shares): offset from `<SOI>` in tokens; int [n] children; float32 [n], sum 1.
        """
        trie = self.trie
        closed = np.unique(np.asarray(used, dtype=np.int64))
        leaves, scores = self._ranked(teacher, used)
        for branch, edge in trie.path(int(trie.item_leaf[item])):
            lo, hi = trie.intervals(branch)
            tokens, token = trie.edge_token[trie.edges(branch)], trie.edge_token[edge]
            is_open = (hi - lo) > np.searchsorted(closed, hi) - np.searchsorted(closed, lo)
            is_open |= tokens == token
            if is_open.sum() > 1:
                tokens, lo, hi = tokens[is_open], lo[is_open], hi[is_open]
                shares = (tokens == token).astype(np.float32)
                best = _range_max(scores, np.searchsorted(leaves, lo), np.searchsorted(leaves, hi))
                if soft > 0 and best.sum() > 1e-9:
                    shares = (1 - soft) * shares + soft * (best / best.sum()).astype(np.float32)
                yield int(trie.branch_depth[branch]) + 1, tokens, shares

    def _ranked(self, teacher: TeacherList | None, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the unused leaves that the teacher ranks, ascending, and their probabilities (float64)."""
        if teacher is None:
            return np.empty(0, dtype=np.int64), np.empty(0)
        leaves = self.trie.item_leaf[list(teacher.items)]
        keep = ~np.isin(leaves, used)
        order = np.argsort(leaves[keep], kind="stable")
        return leaves[keep][order], np.asarray(teacher.scores, dtype=np.float64)[keep][order]


def _range_max(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the maximum of each `values[start:end]`, 0 for an empty slice."""
    padded = np.append(values, 0.0)
    maxima = np.maximum.reduceat(padded, np.column_stack([starts, ends]).ravel())[::2]
    return np.where(ends > starts, maxima, 0.0)


def encode_sample(chat: Chat, choices: ScopeLabels, talk: Conversation, config: SampleConfig) -> Sample:
    """Encode a conversation as tokens and labels for RecLM-cgen.

    With item codes, a choice in the answer also excludes the shown history, as lists do.
    """
    rendered = talk.rendered
    shown = _shown(talk) if chat.code_ids else []
    inside: dict[int, float] = {}
    choices_of_items: list[tuple[int, float, np.ndarray, np.ndarray]] = []
    for start, item, weight, ranked, listed in _item_positions(talk, config):
        if weight > 0:
            inside |= dict.fromkeys(_written(chat, rendered, start, item), weight)
            used = choices.trie.item_leaf[[*listed, *(shown if rendered.labeled[start] else ())]]
            choices_of_items += [
                (start + offset, weight, tokens, shares)
                for offset, tokens, shares in choices.of_item(item, used, ranked, config.soft_labels)
            ]
    return Sample(
        ids=rendered.ids,
        text=_text_labels(chat, rendered, inside, config),
        choices=choices_of_items,
        forced=_forced_weight(
            rendered, inside, {position for position, *_ in choices_of_items}, chat.eoi, config.scope_mask_type
        ),
        task=talk.task,
        text_weight=talk.text_weight,
    )


def encode_retrieval_sample(chat: Chat, choices: ScopeLabels, talk: Conversation, config: SampleConfig) -> Sample:
    """Encode a conversation for RecLM-ret: one choice between items at each `<SOI>`, no labels on title tokens.

    The whole catalog competes at each choice. Soft labels go to the teacher's items that are not listed yet.
    """
    return _encode_catalog_choices(chat, talk, config, after_soi=False)


def encode_code_sample(chat: Chat, choices: ScopeLabels, talk: Conversation, config: SampleConfig) -> Sample:
    """Encode a conversation for items of one code token: one choice over the whole catalog per item.

    A choice excludes the shown history and what the answer has listed before. Titles after codes are forced
    by the trie and not labeled.
    """
    return _encode_catalog_choices(chat, talk, config, after_soi=True)


def _encode_catalog_choices(chat: Chat, talk: Conversation, config: SampleConfig, after_soi: bool) -> Sample:
    """Encode a conversation with one choice over the whole catalog per item.

    Args:
        chat: renderer of the conversation.
        talk: the conversation.
        config: configuration of the samples.
        after_soi: whether the state of `<SOI>` chooses the item, among those that the list still admits, or the state
            before it, among all.
    """
    rendered = talk.rendered
    spelled: set[int] = set()
    choices_of_items: list[tuple[int, float, np.ndarray, np.ndarray]] = []
    closed: list[np.ndarray] = []
    anchors: list[int] = []
    shown = _shown(talk) if after_soi else []
    anchor = _last_shown(chat, talk) if after_soi and talk.admits_any_item else -1
    for start, item, weight, ranked, listed in _item_positions(talk, config):
        spelled |= set(_written(chat, rendered, start, item))
        if weight > 0:
            before = {*listed, *(shown if rendered.labeled[start] else ())} - {item}
            shares = _item_shares(item, before, ranked, config.soft_labels)
            choices_of_items.append((start + after_soi, weight, *shares))
            if after_soi:
                closed.append(np.fromiter(before, dtype=np.int32))
                anchors.append(anchor if rendered.labeled[start] else -1)
    return Sample(
        ids=rendered.ids,
        text=_text_labels(chat, rendered, spelled, config),
        choices=choices_of_items,
        forced=0.0,
        task=talk.task,
        text_weight=talk.text_weight,
        closed=closed,
        anchors=anchors,
    )


def _text_labels(
    chat: Chat, rendered: Rendered, inside: Container[int], config: SampleConfig
) -> list[tuple[int, float]]:
    """Return (position, weight) of the labeled tokens outside items.

    Tokens that decide between an item and text may weigh more, since they are few among many: the first of an answer,
    without which a chat answer repeats the form of a list in an earlier turn; those after `<EOI>`, which end a list or
    continue it; and in text those after the token that precedes `<SOI>` in lists. In "1. " this is a lone space, which
    precedes numbers in text as well.
    """
    ids, labeled = rendered.ids, rendered.labeled
    opener = chat.encode(separator(2, config.idx))[-1:]

    def decides(position: int) -> bool:
        if position == 0 or not labeled[position - 1] or ids[position - 1] == chat.eoi:
            return True
        return ids[position - 1 : position] == opener and ids[position] != chat.soi

    return [
        (position, config.decision_weight if decides(position) else 1.0)
        for position, on in enumerate(labeled)
        if on and position not in inside
    ]


def _shown(talk: Conversation) -> list[int]:
    """Return the items of the shown history. Candidates are shown as well, but lists consist of them."""
    return [item for _, item in _history(talk)]


def _history(talk: Conversation) -> list[tuple[int, int]]:
    """Return (start, item) of each item of the shown history."""
    rendered = talk.rendered
    return [(start, item) for start, item in rendered.items if not rendered.labeled[start]][: talk.n_history]


def _last_shown(chat: Chat, talk: Conversation) -> int:
    """Return the position of the last token of the shown history, -1 without a history of codes."""
    shown = _history(talk)
    return shown[-1][0] + len(chat.code_ids[shown[-1][1]]) if shown else -1


def labeled_items(chat: Chat, talk: Conversation, config: SampleConfig) -> int:
    """Return the number of items with a label, each counted once however many tokens or choices it has."""
    ids = talk.rendered.ids
    # An item that is predicted both from the item before it and from `<SOI>` has two positions.
    return sum(weight > 0 and ids[start + 1] != chat.soi for start, _, weight, *_ in _item_positions(talk, config))


def _written(chat: Chat, rendered: Rendered, start: int, item: int) -> range:
    """Return the positions of an item's tokens after `start`."""
    return range(start + 1, start + 1 + len(chat.written_ids(item, rendered.labeled[start])))


def _item_positions(
    talk: Conversation, config: SampleConfig
) -> Iterator[tuple[int, int, float, TeacherList | None, list[int]]]:
    """Yield (position of `<SOI>`, item, weight of its choices, the teacher's ranking, items before it in its list).

    The history in the request and the answers are separate lists; an answer does not list what one before it did.
    Candidates are not trained.
    """
    shown: list[int] = []
    answered: list[int] = []
    rankings = iter([*talk.ranked_before, talk.ranked])
    ranked, end = None, -1
    for number, (start, item) in enumerate(talk.rendered.items):
        if talk.rendered.labeled[start]:
            if end < 0 or talk.ranked_before and not all(talk.rendered.labeled[end:start]):
                ranked = next(rankings, talk.ranked)  # the user spoke between this item and the one before it
            yield start, item, 1.0, ranked, answered.copy()
            answered.append(item)
            end = start
        else:
            # The first history item has no predecessor to be predicted from.
            learned = 0 < number < talk.n_history
            yield start, item, config.history_weight * learned, talk.beginnings.get(number), shown.copy()
            shown.append(item)


def _item_shares(
    item: int, listed: set[int], teacher: TeacherList | None, soft: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return items (int32 [n]) and target shares (float32 [n], sum 1): the item and, with `soft`, the teacher's."""
    ranked = zip(teacher.items, teacher.scores, strict=True) if teacher is not None and soft > 0 else ()
    scored = {candidate: score for candidate, score in ranked if candidate not in listed}
    total = sum(scored.values())
    if total < 1e-9:
        return np.array([item], dtype=np.int32), np.ones(1, dtype=np.float32)
    shares = {item: 1 - soft}
    for candidate, score in scored.items():
        shares[candidate] = shares.get(candidate, 0.0) + soft * score / total
    return np.fromiter(shares, dtype=np.int32), np.fromiter(shares.values(), dtype=np.float32)


def _forced_weight(
    rendered: Rendered, inside: dict[int, float], chosen: set[int], eoi: int, scope_mask_type: int
) -> float:
    """Return the weight that forced title positions add to the denominator of a sample's mean loss."""
    forced = {position: weight for position, weight in inside.items() if position not in chosen}
    if scope_mask_type == 1:
        return 0.0
    if scope_mask_type == 2:
        forced = {position: weight for position, weight in forced.items() if rendered.ids[position] != eoi}
    return float(sum(forced.values()))
