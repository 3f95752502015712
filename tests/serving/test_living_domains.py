"""Catalogs that change while they are served: what may be listed equals a dictionary, and no request is lost."""

import json
import random
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import coded_chat, tiny_chat

from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import ConstraintError
from train_utils.constraint.item_rules import ItemRules, compile_rules
from train_utils.constraint.trie import build_trie
from train_utils.item_codes import save_item_codes
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.serving.domains import Domain
from train_utils.serving.living_domains import LivingDomains
from train_utils.serving.scheduler import Scheduler
from train_utils.serving.service import ChatRequest, Listed, NotFound, Service

FILMS = ["red", "red moon", "red moon 2", "the end", "blue river", "night", "a", "green moon", "the list", "b 1"]
WORDS = ("red", "blue", "green", "moon", "river", "night", "the", "end", "list", "return")
Oracle = dict[str, dict[str, object]]  # id -> record of what may be listed


def write_dataset(folder: Path, titles: list[str] = FILMS) -> Path:
    """Write a dataset folder of items i0, i1, ... in the categories even and odd."""
    folder.mkdir(parents=True)
    metas = {f"i{n}": {"title": title, "year": 1990 + n} for n, title in enumerate(titles)}
    categories = {"even": [*metas][::2], "odd": [*metas][1::2]}
    parts = {"metas": metas, "category": categories, "sequential": {"u": ["i0", "i1", "i2", "i3", "i4"]}}
    for name, part in parts.items():
        (folder / f"{name}.jsonl").write_text(json.dumps(part))
    return folder


@pytest.fixture(scope="module")
def model():
    model, chat = tiny_chat([])
    return model.double(), chat


@pytest.fixture
def domains(model, tmp_path):
    made = LivingDomains(Recommender(*model), {"films": write_dataset(tmp_path / "films")})
    yield made
    made.wait("films")


def oracle_of(titles: list[str] = FILMS) -> Oracle:
    return {
        f"i{n}": {"title": title, "categories": ["odd" if n % 2 else "even"], "attributes": {"year": 1990 + n}}
        for n, title in enumerate(titles)
    }


def held(domain: Domain) -> Oracle:
    """What may be listed, by the constraint."""
    catalog = domain.catalog
    admitted = compile_rules(catalog, domain.recommender.renderer.trie, ItemRules()).admitted
    return {
        item.id: {"title": item.title, "categories": list(item.categories), "attributes": dict(item.attributes)}
        for item, listed in zip(catalog.items, admitted, strict=True)
        if listed
    }


def random_change(rng: random.Random, oracle: Oracle, domains: LivingDomains, n: int) -> Oracle:
    """Make a random change of both; a refused one changes neither."""
    kind = rng.choice(("put", "put", "price", "retire", "replace", "rollback"))
    after = dict(oracle)
    ids = rng.sample([f"i{k}" for k in range(30)], rng.randint(1, 4))
    new = {
        item_id: {
            "title": " ".join(rng.choices(WORDS, k=rng.randint(1, 3))),
            "categories": rng.sample(["even", "odd", "new"], rng.randint(0, 2)),
            "attributes": {"year": rng.randint(1990, 2000)},
        }
        for item_id in ids
    }
    try:
        if kind == "price":
            new = {i: {**after[i], "attributes": {"price": float(n)}} for i in ids if i in after}
        if kind in ("put", "price"):
            domains.put("films", [{"item_id": i, **record} for i, record in new.items()])
            after |= new
        elif kind == "replace":
            domains.put("films", [{"item_id": i, **record} for i, record in new.items()], whole=True)
            after = new
        elif kind == "retire":
            known = [i for i in ids if i in domains.load("films").catalog.index]
            domains.retire("films", known)
            after = {i: record for i, record in after.items() if i not in known}
        else:
            versions = domains.versions("films")
            version = rng.choice(versions)
            domains.rollback("films", version.number)
            after = dict(random_change.states[version.number])
    except ValueError as error:
        assert "would share the title" in str(error) or "no item would be left" in str(error), error
        after = oracle
    random_change.states[domains.versions("films")[-1].number] = after
    return after


def test_what_may_be_listed_equals_a_dictionary_after_random_changes(domains):
    rng = random.Random(0)
    oracle = oracle_of()
    random_change.states = {1: oracle}
    digests: dict[str, Oracle] = {}
    for n in range(250):
        oracle = random_change(rng, oracle, domains, n)
        domain = domains.load("films")
        catalog, renderer = domain.catalog, domain.recommender.renderer
        assert held(domain) == oracle
        # The trie is the one that is built from all titles.
        ids = renderer.encode_many([renderer.spell(title) for title in catalog.titles])
        full = build_trie(ids, renderer.soi, renderer.eoi).arrays()
        assert all(np.array_equal(array, full[name]) for name, array in renderer.trie.arrays().items())
        assert [list(renderer.title_ids[i]) for i in range(len(ids))] == ids
        # What is kept of the catalog before equals what is computed again.
        again = replace(catalog)
        assert dict(catalog.categories) == dict(again.categories)
        assert catalog.training_events == again.training_events
        assert dict(catalog.listed_titles) == dict(again.listed_titles)
        # Equal contents have one digest, and different ones have not.
        digest = domain.version.split("-")[1]
        assert digests.setdefault(digest, oracle) == oracle
        for rules in (
            ItemRules(categories=("new",)),
            ItemRules(where={"year": {">=": 1996}}),
            ItemRules(allow=("i3",)),
        ):
            expected = {
                item_id
                for item_id, record in oracle.items()
                if (not rules.categories or "new" in record["categories"])
                and (not rules.where or record["attributes"].get("year", 0) >= 1996)
                and (rules.allow is None or item_id in rules.allow)
            }
            try:
                admitted = compile_rules(catalog, renderer.trie, rules).admitted
            except (ConstraintError, ValueError):
                admitted = np.zeros(len(catalog.items), dtype=bool)
            assert {catalog.items[i].id for i in np.flatnonzero(admitted)} == expected
    domains.wait("films")
    assert held(domains.load("films")) == oracle
