"""Requests to a vLLM server with the plugin, our engine's answers to them, and a count of what breaks a rule."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from train_utils.constraint.item_rules import ItemRules, compile_rules
from train_utils.decoding.request import Completion, Request
from train_utils.engines.served_recommender import ServedRecommender
from train_utils.prompts.list_spec import ListSpec, list_messages
from train_utils.prompts.messages import message
from train_utils.recommender import Recommender

_CATEGORIES = 3  # the most frequent ones make rules


@dataclass(frozen=True)
class Asked:
    """A request with what it asks for.

    Attributes:
        domain: name of the catalog.
        request: the request, which carries the compiled rules.
        rules: the rules in words, for a check that does not use what was compiled.
    """

    domain: str
    request: Request
    rules: ItemRules


def drawn_requests(recommender: Recommender, n: int, k: int, seed: int) -> list[Asked]:
    """Return requests with histories, rules and forms in turn: numbered lists, bare lists and free answers.

    Args:
        recommender: a catalog, with the tokenizer of the served model.
        n: number of requests.
        k: items of a list.
        seed: seed of the draw.
    """
    catalog, chat = recommender.catalog, recommender.renderer
    draw = random.Random(seed)
    popular = sorted(catalog.categories, key=lambda name: -len(catalog.in_category(name)))[:_CATEGORIES]
    forms = cycle(["numbered", "bare", "free"])
    kinds = cycle(["none", "only", "without", "capped", "many denied"])
    asked = []
    for _, form, kind in zip(range(n), forms, kinds, strict=False):
        history = draw.sample(range(len(catalog.items)), 8)
        rules = {
            "none": ItemRules(),
            "only": ItemRules(categories=(draw.choice(popular),)),
            "without": ItemRules(without_categories=(draw.choice(popular),)),
            "capped": ItemRules(max_per_category={draw.choice(popular): 1}),
            "many denied": ItemRules(deny=tuple(catalog.ids(draw.sample(range(len(catalog.items)), 600)))),
        }[kind]
        rules = ItemRules(**{**vars(rules), "seen": tuple(catalog.ids(history))})
        if form == "free":
            liked = " and ".join(catalog.titles[item] for item in history[:2])
            messages = [message("user", f"I liked {liked}. Recommend {k} more, with a word on each.")]
        else:
            messages = list_messages(history, ListSpec(k), marked_history=bool(chat.code_ids))
        prompt = chat.render(messages, prompt=True).ids
        request = Request(
            prompt,
            compile_rules(catalog, chat.trie, rules),
            answer_at=len(prompt),
            max_new_tokens=32 * k,
            max_items=k,
            force_items=form != "free",
            idx=form == "numbered",
        )
        asked.append(Asked(catalog.name, request, rules))
    return asked


def own_answers(recommender: Recommender, asked: Sequence[Asked], batch: int = 16) -> list[Completion]:
    """Return the answers of our engine, in batches."""
    requests = [one.request for one in asked]
    batches = [requests[at : at + batch] for at in range(0, len(requests), batch)]
    return [made for some in batches for made in recommender.engine.generate(some, reproducible=True)]


def served_answers(recommenders: Sequence[ServedRecommender], asked: Sequence[Asked]) -> list[Completion]:
    """Return the answers of a server to requests in several domains, all sent at once."""
    from concurrent.futures import ThreadPoolExecutor

    engine_of = {recommender.catalog.name: recommender.engine for recommender in recommenders}
    with ThreadPoolExecutor(len(asked)) as threads:
        return list(threads.map(lambda one: engine_of[one.domain].generate([one.request])[0], asked))


def violations(recommender: Recommender, asked: Sequence[Asked], answers: Sequence[Completion]) -> int:
    """Count items that the rules forbid, repeated items, misspelled ones, and answers that could not be checked."""
    catalog, chat = recommender.catalog, recommender.renderer
    wrong = 0
    for one, answer in zip(asked, answers, strict=True):
        rules, listed = one.rules, [catalog.items[item] for item in answer.items]
        wrong += answer.error is not None
        wrong += len(answer.items) - len({item.title for item in listed})
        for item in listed:
            wrong += item.id in rules.deny or item.id in rules.seen
            wrong += bool(rules.categories) and not set(rules.categories) & set(item.categories)
            wrong += bool(set(rules.without_categories) & set(item.categories))
        for name, limit in dict(rules.max_per_category or {}).items():
            wrong += sum(name in item.categories for item in listed) > limit
        closed = [at for at, token in enumerate(answer.ids) if token == chat.eoi]
        opened = [at for at, token in enumerate(answer.ids) if token == chat.soi]
        spelled = [answer.ids[start : end + 1] for start, end in zip(opened, closed, strict=False)]
        wrong += spelled != [chat.item_ids(item) for item in answer.items]
    return wrong


def identical(ours: Sequence[Completion], theirs: Sequence[Completion]) -> int:
    """Return the number of answers with the same tokens."""
    return sum(a.ids == b.ids for a, b in zip(ours, theirs, strict=True))


def mean_tokens(answers: Sequence[Completion]) -> float:
    """Return the mean number of tokens of an answer."""
    return float(np.mean([len(answer.ids) for answer in answers]))
