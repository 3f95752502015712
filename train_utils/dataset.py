"""Catalogue + teacher + wordings + seed -> sample -> CPU batch. A sample is a pure function of (seed, epoch, index)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from train_utils.catalog import Catalog
from train_utils.chat import Chat, Message, Rendered, message, numbered
from train_utils.loss import Batch
from train_utils.teacher import Teacher
from train_utils.template import SEQREC, SYSTEM, Template, fill, history_parts
from train_utils.trie import TitleTree


@dataclass(frozen=True)
class SampleConfig:
    """How samples are drawn (DESIGN sections 5 and 6).

    Attributes:
        max_history: events shown at most. topk: items asked for at most.
        list_ratio: share of samples that ask for 1..topk items; the others ask for one.
        idx: number the list. multi_round_ratio: share of samples with a chat exchange before or after.
        max_segment: tokens at which the exchange's turns are cut.
        teacher_depth: how many of the teacher's items carry a soft label.
        soft_labels: weight of the teacher's distribution against the item itself at a choice; 0 is the published loss.
        history_weight: weight of the choices inside the shown history; 0 trains the answer only, as published.
        scope_mask_type: 3 counts every title position, 1 leaves forced ones out, 2 leaves forced `<EOI>` out.
    """

    max_history: int = 10
    topk: int = 10
    list_ratio: float = 1.0
    idx: bool = False
    multi_round_ratio: float = 0.1
    max_segment: int = 500
    teacher_depth: int = 50
    soft_labels: float = 0.0
    history_weight: float = 0.0
    scope_mask_type: int = 3
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sample is about, before the teacher is asked."""

    user: str
    history: tuple[int, ...]
    target: int
    k: int
    template: Template
    marked: bool
    exchange: int | None
    exchange_first: bool


@dataclass(frozen=True, slots=True)
class TeacherList:
    """The teacher's ranking for one history: item indices, best first, and their probabilities."""

    items: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """One tokenised sample.

    Attributes:
        ids: tokens of the conversation.
        text: (place, weight) of each labelled token outside items; its label is the token itself.
        choices: (place, weight, tokens, shares) of each choice between children of the tree: the place is that of
            the chosen token, `shares` (float32 [n], sum 1) is the wanted distribution over `tokens` (int32 [n]).
        forced: total weight of the labelled title tokens that leave no choice; their loss is 0.
    """

    ids: list[int]
    text: list[tuple[int, float]]
    choices: list[tuple[int, float, np.ndarray, np.ndarray]]
    forced: float


def plan_sample(catalog: Catalog, users: Sequence[str], config: SampleConfig, n_exchanges: int, epoch: int,
                index: int) -> Plan:
    """Draws the sample `index` of `epoch`: the same one whatever the worker, the rank or the restart."""
    rng = random.Random(f"{config.seed}/{epoch}/{index}")
    user = users[index % len(users)]
    trained = catalog.sequences[user][:-2]
    at = rng.randrange(1, len(trained))
    longest = min(at, config.max_history)
    # Half of the samples show a full window, as the tests do; the others any shorter one.
    length = longest if rng.random() < 0.5 else rng.randint(1, longest)
    multi_round = n_exchanges > 0 and rng.random() < config.multi_round_ratio
    return Plan(
        user=user,
        history=trained[at - length:at],
        target=trained[at],
        k=rng.randint(1, config.topk) if rng.random() < config.list_ratio else 1,
        template=rng.choice(SEQREC),
        # Users of a chat name titles in plain words, so some samples do; only marked ones carry choices to learn.
        marked=rng.random() < (0.75 if config.history_weight > 0 else 0.5),
        exchange=rng.randrange(n_exchanges) if multi_round else None,
        exchange_first=rng.random() < 0.5,
    )


def trainable_users(catalog: Catalog) -> list[str]:
    """Users with at least two training events, in file order. Raises ValueError when there is none."""
    users = [user for user, sequence in catalog.sequences.items() if len(sequence) >= 4]
    if not users:
        raise ValueError(f"dataset {catalog.name!r} has no user with four or more events; nothing can be trained")
    return users


def teacher_queries(plan: Plan, config: SampleConfig) -> list[tuple[int, ...]]:
    """The histories to ask the teacher about: the whole one, then its beginnings where those are trained too."""
    beginnings = range(1, len(plan.history)) if config.history_weight > 0 and config.soft_labels > 0 else ()
    return [plan.history, *(plan.history[:end] for end in beginnings)]


def ask_teacher(teacher: Teacher, catalog: Catalog, histories: Sequence[tuple[int, ...]],
                config: SampleConfig) -> list[TeacherList]:
    """One bulk question for many histories."""
    # One more than the answer needs: the true next item may be among the teacher's.
    depth = min(max(config.teacher_depth, config.topk + 1), len(catalog.items) - config.max_history)
    ids, scores = teacher.top_k([catalog.ids(history) for history in histories], depth, scores=True)
    return [TeacherList(tuple(catalog.indices(row)), tuple(p)) for row, p in zip(ids, scores, strict=True)]


def label_list(plan: Plan, ranked: TeacherList) -> tuple[int, ...]:
    """The answer to learn: the true next item, then the teacher's top items without it, k in all."""
    others = [item for item in ranked.items if item != plan.target and item not in plan.history]
    if len(others) < plan.k - 1:
        raise ValueError(f"the teacher gave {len(others)} items for user {plan.user!r}, {plan.k - 1} are needed")
    return (plan.target, *others[: plan.k - 1])


def conversation(plan: Plan, labels: Sequence[int], config: SampleConfig, exchange: Sequence[Message]) -> list[Message]:
    asked = message("user", *fill(plan.template, history=history_parts(plan.history, plan.marked), k=plan.k))
    answered = message("assistant", *numbered(labels, config.idx))
    rounds = [*exchange, asked, answered] if plan.exchange_first else [asked, answered, *exchange]
    return [message("system", SYSTEM), *rounds]


class Choices:
    """Wanted distributions over the children of the tree, for items one after the other (DESIGN section 5)."""

    def __init__(self, tree: TitleTree):
        self.tree = tree

    def of_item(self, item: int, used: Sequence[int], teacher: TeacherList | None,
                soft: float) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(offset behind `<SOI>`, tokens, shares) at each position of an item that leaves a choice.

        Args:
            item: the item that is spelled. used: leaves that distinctness has closed.
            teacher: `soft` of the share goes to the children in proportion to the teacher's best item below each. The
                best, not the sum: greedy decoding then walks to the teacher's first item, not to the fullest letter.
        """
        tree = self.tree
        closed = np.unique(np.asarray(used, dtype=np.int64))
        leaves, scores = self._ranked(teacher, used)
        for branch, edge in tree.path(int(tree.item_leaf[item])):
            lo, hi = tree.intervals(branch)
            tokens, token = tree.edge_token[tree.edges(branch)], tree.edge_token[edge]
            is_open = (hi - lo) > np.searchsorted(closed, hi) - np.searchsorted(closed, lo)
            is_open |= tokens == token
            if is_open.sum() > 1:
                tokens, lo, hi = tokens[is_open], lo[is_open], hi[is_open]
                shares = (tokens == token).astype(np.float32)
                best = _range_max(scores, np.searchsorted(leaves, lo), np.searchsorted(leaves, hi))
                if soft > 0 and best.sum() > 1e-9:
                    shares = (1 - soft) * shares + soft * (best / best.sum()).astype(np.float32)
                yield int(tree.branch_depth[branch]) + 1, tokens, shares

    def _ranked(self, teacher: TeacherList | None, used: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Leaves that the teacher names and that are not used, ascending, and their probabilities."""
        if teacher is None:
            return np.empty(0, dtype=np.int64), np.empty(0)
        leaves = self.tree.item_leaf[list(teacher.items)]
        keep = ~np.isin(leaves, used)
        order = np.argsort(leaves[keep], kind="stable")
        return leaves[keep][order], np.asarray(teacher.scores, dtype=np.float64)[keep][order]


def _range_max(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Maximum of each `values[start:end]`, 0 where that is empty."""
    padded = np.append(values, 0.0)
    found = np.maximum.reduceat(padded, np.column_stack([starts, ends]).ravel())[::2]
    return np.where(ends > starts, found, 0.0)


def encode_sample(chat: Chat, choices: Choices, plan: Plan, lists: Sequence[TeacherList], config: SampleConfig,
                  exchange: Sequence[Message] = ()) -> Sample:
    """Tokens and labels of a planned sample; `lists` answers `teacher_queries(plan, config)`."""
    messages = conversation(plan, label_list(plan, lists[0]), config, exchange)
    rendered = chat.render(messages, prompt=False)
    by_length = {len(query): answer for query, answer in zip(teacher_queries(plan, config), lists, strict=True)}
    tree = choices.tree
    inside: dict[int, float] = {}
    found: list[tuple[int, float, np.ndarray, np.ndarray]] = []
    used: list[int] = []
    n_history = len(plan.history) if plan.marked else 0
    for number, (start, item) in enumerate(rendered.items):
        in_history = number < n_history
        if number == n_history:
            used = []
        weight = config.history_weight * (number > 0) if in_history else 1.0
        if weight > 0:
            inside |= dict.fromkeys(range(start + 1, start + len(chat.title_ids[item]) + 2), weight)
            ranked = by_length.get(number) if in_history else lists[0]
            found += [(start + offset, weight, tokens, shares)
                      for offset, tokens, shares in choices.of_item(item, used, ranked, config.soft_labels)]
        used.append(int(tree.item_leaf[item]))
    return Sample(
        ids=rendered.ids,
        text=[(place, 1.0) for place, on in enumerate(rendered.labelled) if on and place not in inside],
        choices=found,
        forced=_forced_weight(rendered, inside, {place for place, *_ in found}, chat.eoi, config.scope_mask_type),
    )


def encode_retrieval_sample(chat: Chat, plan: Plan, lists: Sequence[TeacherList], config: SampleConfig,
                            exchange: Sequence[Message] = ()) -> Sample:
    """As `encode_sample`, for RecLM-ret: the choices stand at `<SOI>` and are between items, and no title is spelled.

    The whole catalogue competes at each choice. With soft labels the teacher's items that are not listed yet share the
    teacher's part.
    """
    rendered = chat.render(conversation(plan, label_list(plan, lists[0]), config, exchange), prompt=False)
    by_length = {len(query): answer for query, answer in zip(teacher_queries(plan, config), lists, strict=True)}
    n_history = len(plan.history) if plan.marked else 0
    unlabelled: set[int] = set()
    choices: list[tuple[int, float, np.ndarray, np.ndarray]] = []
    for number, (start, item) in enumerate(rendered.items):
        in_history = number < n_history
        if not in_history:
            unlabelled |= set(range(start + 1, start + len(chat.title_ids[item]) + 2))
        if weight := config.history_weight * (number > 0) if in_history else 1.0:
            listed = {one for _, one in rendered.items[0 if in_history else n_history:number]}
            ranked = by_length.get(number) if in_history else lists[0]
            choices.append((start, weight, *_item_shares(item, listed, ranked, config.soft_labels)))
    return Sample(
        ids=rendered.ids,
        text=[(place, 1.0) for place, on in enumerate(rendered.labelled) if on and place not in unlabelled],
        choices=choices,
        forced=0.0,
    )


def _item_shares(item: int, listed: set[int], teacher: TeacherList | None, soft: float
                 ) -> tuple[np.ndarray, np.ndarray]:
    """Items (int32 [n]) and their wanted shares (float32 [n], sum 1): the item, and with `soft` the teacher's."""
    ranked = zip(teacher.items, teacher.scores, strict=True) if teacher is not None and soft > 0 else ()
    scored = {one: score for one, score in ranked if one not in listed}
    total = sum(scored.values())
    if total < 1e-9:
        return np.array([item], dtype=np.int32), np.ones(1, dtype=np.float32)
    shares = {item: 1 - soft}
    for one, score in scored.items():
        shares[one] = shares.get(one, 0.0) + soft * score / total
    return np.fromiter(shares, dtype=np.int32), np.fromiter(shares.values(), dtype=np.float32)


def _forced_weight(rendered: Rendered, inside: dict[int, float], chosen: set[int], eoi: int, scope_mask_type: int
                   ) -> float:
    """What the forced title positions add to the denominator of a sample's mean loss."""
    forced = {place: weight for place, weight in inside.items() if place not in chosen}
    if scope_mask_type == 1:
        return 0.0
    if scope_mask_type == 2:
        forced = {place: weight for place, weight in forced.items() if rendered.ids[place] != eoi}
    return float(sum(forced.values()))


def collate(samples: Sequence[Sample], pad_id: int, apart: bool = False) -> Batch:
    """Pads and flattens samples. Raises ValueError for a sample without a labelled token.

    apart: text and choices of a sample have a mean each, and their sum is the sample's loss; else they share one mean.
    """
    width = max(len(sample.ids) for sample in samples)
    ids = torch.full((len(samples), width), pad_id, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    text: list[tuple[int, int, float]] = []
    choice: list[tuple[int, float]] = []
    tokens, shares, sizes = [], [], []
    for row, sample in enumerate(samples):
        ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        mask[row, : len(sample.ids)] = 1
        of_text, of_choices = sum(w for _, w in sample.text), sum(w for _, w, *_ in sample.choices) + sample.forced
        if of_text + of_choices <= 0:
            raise ValueError(f"sample {row} of the batch has no labelled token; its answer is empty")
        if not apart:
            of_text = of_choices = of_text + of_choices
        text += [(row * width + place - 1, sample.ids[place], w / (of_text * len(samples))) for place, w in sample.text]
        for place, weight, candidates, wanted in sample.choices:
            choice.append((row * width + place - 1, weight / (of_choices * len(samples))))
            tokens.append(candidates)
            shares.append(wanted)
            sizes.append(len(candidates))
    return Batch(
        ids=ids,
        mask=mask,
        text_at=torch.tensor([t[0] for t in text], dtype=torch.int64),
        text_label=torch.tensor([t[1] for t in text], dtype=torch.int64),
        text_weight=torch.tensor([t[2] for t in text], dtype=torch.float32),
        choice_at=torch.tensor([c[0] for c in choice], dtype=torch.int64),
        choice_weight=torch.tensor([c[1] for c in choice], dtype=torch.float32),
        candidate=torch.from_numpy(np.concatenate(tokens or [np.empty(0)]).astype(np.int64)),
        candidate_choice=torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)),
        candidate_share=torch.from_numpy(np.concatenate(shares or [np.empty(0)]).astype(np.float32)),
    )
