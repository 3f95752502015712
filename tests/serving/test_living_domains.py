"""Catalogs that change while they are served: what may be listed equals a dictionary, and no request is lost."""

import gc
import json
import random
import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from tiny import coded_chat, tiny_chat

from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import ConstraintError
from train_utils.constraint.item_rules import ItemRules, compile_rules
from train_utils.constraint.trie import build_trie
from train_utils.conversation.reader import RequestReader
from train_utils.decoding.events import TextDelta
from train_utils.dialogue.expectations import Taste
from train_utils.models.item_similarity import ItemSimilarity, ItemWords
from train_utils.priors import teacher_scores
from train_utils.prompts.named_titles import NamedTitles
from train_utils.recommender import Recommender
from train_utils.serving.catalog_ledger import Version
from train_utils.serving.domains import Domain
from train_utils.serving.exchange import ChatRequest, Listed, NotFound
from train_utils.serving.large_objects import large_objects
from train_utils.serving.living_domains import LivingDomains
from train_utils.serving.scheduler import Scheduler
from train_utils.serving.service import Service

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
    return LivingDomains(Recommender(*model), {"films": write_dataset(tmp_path / "films")})


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


@dataclass
class World:
    """Domains and the dictionary that they must equal.

    Attributes:
        domains: the domains, of which one is changed.
        oracle: what may be listed.
        kinds: what changes may be.
        states: version -> what could be listed.
    """

    domains: LivingDomains
    kinds: tuple[str, ...] = ("put", "put", "price", "retire", "replace", "rollback")
    oracle: Oracle = field(default_factory=oracle_of)
    states: dict[int, Oracle] = field(default_factory=lambda: {1: oracle_of()})

    def change(self, rng: random.Random, n: int) -> str:
        """Make a random change of both, and return the name of the version; a refused one changes neither."""
        kind = rng.choice(self.kinds)
        ids = rng.sample([f"i{k}" for k in range(30)], rng.randint(1, 4))
        before, after = self.oracle, dict(self.oracle)
        try:
            if kind == "retire":
                known = [i for i in ids if i in self.domains.load("films").catalog.index]
                made = self.domains.retire("films", known)
                after = {i: record for i, record in before.items() if i not in known}
            elif kind == "rollback":
                version = rng.choice(self.domains.versions("films")).number
                made = self.domains.rollback("films", version)
                after = self.states[version]
            else:
                new = {i: random_record(rng) for i in ids}
                if kind == "price":
                    new = {i: {**before[i], "attributes": {"price": float(n)}} for i in ids if i in before}
                records = [{"item_id": i, **record} for i, record in new.items()]
                made = self.domains.put("films", records, whole=kind == "replace")
                after = new if kind == "replace" else before | new
        except ValueError as error:
            assert "would share the title" in str(error) or "no item would be left" in str(error), error
            return self.domains.load("films").version
        self.oracle = self.states[made.version.number] = after
        return made.version.name


def random_record(rng: random.Random) -> dict[str, object]:
    return {
        "title": " ".join(rng.choices(WORDS, k=rng.randint(1, 3))),
        "categories": rng.sample(["even", "odd", "new"], rng.randint(0, 2)),
        "attributes": {"year": rng.randint(1990, 2000)},
    }


def admitted(domain: Domain, rules: ItemRules) -> set[str]:
    """Ids of the items that rules admit; none where they are refused."""
    try:
        mask = compile_rules(domain.catalog, domain.recommender.renderer.trie, rules).admitted
    except (ConstraintError, ValueError):
        return set()
    return {domain.catalog.items[i].id for i in np.flatnonzero(mask)}


def test_what_may_be_listed_equals_a_dictionary_after_random_changes(domains):
    rng, world = random.Random(0), World(domains)
    digests: dict[str, Oracle] = {}
    for n in range(120):
        world.change(rng, n)
        domain, oracle = domains.load("films"), world.oracle
        assert held(domain) == oracle
        # Equal contents have one digest, and different ones have not.
        assert digests.setdefault(domain.version.split("-")[1], oracle) == oracle
        year = {i for i, record in oracle.items() if record["attributes"].get("year", 0) >= 1996}
        assert admitted(domain, ItemRules(where={"year": {">=": 1996}})) == year
        assert admitted(domain, ItemRules(categories=("new",))) == {
            i for i, record in oracle.items() if "new" in record["categories"]
        }
        assert admitted(domain, ItemRules(allow=("i3", "i5"))) == {"i3", "i5"} & oracle.keys()
    assert held(domains.load("films")) == world.oracle


def test_what_is_kept_of_a_catalog_equals_what_is_made_from_all_its_items(domains):
    rng, world = random.Random(1), World(domains)
    for n in range(60):
        world.change(rng, n)
        domain = domains.load("films")
        catalog, renderer = domain.catalog, domain.recommender.renderer
        ids = renderer.encode_many([renderer.spell(title) for title in catalog.titles])
        full = build_trie(ids, renderer.soi, renderer.eoi).arrays()
        assert all(np.array_equal(array, full[name]) for name, array in renderer.trie.arrays().items())
        assert [list(renderer.title_ids[i]) for i in range(len(ids))] == ids
        again = replace(catalog)
        assert dict(catalog.categories) == dict(again.categories)
        assert catalog.training_events == again.training_events
        assert dict(catalog.listed_titles) == dict(again.listed_titles)


MESSAGES = (
    "I liked red moon and Blue River, something new from before 1996?",
    "Recommend 3 even titles like the retrun, but nothing odd.",
    "anything under 5 by Steven Spielberg with a year above 1992",
    "the end night was great, green moon list was not",
)


def test_reading_similarity_and_attributes_after_changes_are_those_of_the_catalog_loaded_again(domains):
    rng, world = random.Random(5), World(domains)
    for n in range(60):
        world.change(rng, n)
        domain = domains.load("films")
        catalog = replace(domain.catalog)  # nothing that is kept
        again = RequestReader(catalog, NamedTitles(catalog.titles))
        assert [domain.reader.read(text) for text in MESSAGES] == [again.read(text) for text in MESSAGES]
        assert dict(domain.catalog.numeric_attributes) == dict(catalog.numeric_attributes)
        assert {*domain.catalog.attribute_names} == {*catalog.attribute_names}
        similarity = domain.expectations.similarity
        made = ItemSimilarity(ItemWords.of(catalog.items), similarity._learned)  # the events are those of the dataset
        for liked in ([0], [1, len(catalog.items) - 1], [3, 3, 5]):
            assert np.allclose(similarity.cosines(liked), made.cosines(liked), atol=1e-6)


def test_popularity_of_a_cold_catalog_after_changes_is_that_of_the_catalog_loaded_again():
    items = [Item(f"i{n}", title, attributes={"stars": n}) for n, title in enumerate(FILMS)]
    catalog = make_catalog("cold", items, popular_by="stars")
    assert catalog.most_popular[0] == len(FILMS) - 1
    changed = catalog.changed({2: Item("i2", "red moon", attributes={"stars": 50}), len(FILMS): Item("new", "new")})
    assert changed.popularity == replace(changed).popularity and changed.most_popular[0] == 2


def test_no_request_is_lost_and_each_sees_one_version_while_the_catalog_changes(domains):
    scheduler = Scheduler()
    service, rng, world, ended = (
        Service(domains, "films", scheduler),
        random.Random(2),
        World(domains, ("put", "put", "price", "retire", "rollback")),
        threading.Event(),
    )
    held_by: dict[str, Oracle] = {domains.load("films").version: world.oracle}

    def ask(number: int) -> list[dict[str, object]]:
        """Ask until the changes end, and once more; return the cards."""
        cards: list[dict[str, object]] = []
        asked = 0
        while not ended.is_set() or not asked:
            asked += 1
            if number % 2:
                cards += service.recommend(["i0", "i2"], 4)
                continue
            chat = ChatRequest(messages=[("user", "Recommend 3 titles like red moon, please.")], history=["i1"])
            listed = [event.card for event in service.chat(chat) if isinstance(event, Listed)]
            assert len({card["catalogue_version"] for card in listed}) <= 1
            cards += listed
        return cards

    with ThreadPoolExecutor(4) as callers:
        answers = [callers.submit(ask, number) for number in range(4)]
        try:
            for n in range(40):
                version = world.change(rng, n)
                held_by[version] = world.oracle
        finally:
            ended.set()
        cards = [card for answer in answers for card in answer.result()]
    scheduler.drain()
    assert cards
    for card in cards:
        record = held_by[card["catalogue_version"]][card["item_id"]]
        assert (card["title"], card.get("categories", [])) == (record["title"], record["categories"])


def test_an_added_item_is_listed_named_in_texts_and_similar_to_others_at_once(domains):
    scheduler = Scheduler()
    service = Service(domains, "films", scheduler)
    begun_with = domains.load("films")
    domains.put("films", [{"id": "new", "title": "Green Return", "product_category": "new"}])
    (card,) = service.recommend(["i0", "new"], 1, {"categories": ["odd"]})
    assert card["catalogue_version"] == domains.load("films").version
    (card,) = service.recommend(["i0"], 1, {"categories": ["new"]})
    assert (card["item_id"], service.search("green return")[0]["item_id"]) == ("new", "new")
    domain = domains.load("films")
    assert domain.recommender.named_titles.find("like Green Return") == [len(FILMS)]
    cosines = domain.expectations.similarity.cosines([len(FILMS)])
    assert cosines[len(FILMS)] > 0.3
    assert "new" not in begun_with.catalog.index, "a request keeps the catalog that it began with"
    domains.retire("films", ["new"])
    assert [card["item_id"] for card in service.search("green return")] != ["new"]
    with pytest.raises(NotFound, match="was retired"):
        service.item("films", "new")
    assert service.recommend(["new"], 2), "a history may name what was retired"
    assert service.described("films")["items"] == len(FILMS)
    scheduler.drain()


class Ring:
    """Teacher of the dataset's items; it refuses others."""

    def top_k(self, histories, k, scores=False):
        assert all(item_id in {f"i{n}" for n in range(len(FILMS))} for history in histories for item_id in history)
        lists = [[f"i{(int(history[-1][1:]) + 1) % len(FILMS)}"] for history in histories]
        return (lists, [[1.0]] * len(lists)) if scores else lists

    def close(self):
        pass


def test_a_teacher_that_lacks_added_items_still_moves_lists_and_is_neutral_about_them(model, tmp_path):
    folders = {"films": write_dataset(tmp_path / "films")}
    domains = LivingDomains(Recommender(*model), folders, teacher_of=lambda name: Ring())
    domains.put("films", [{"id": "new", "title": "green return"}])
    catalog = domains.load("films").catalog
    known, mixed, unknown = teacher_scores(Ring(), catalog, [[1], [1, len(FILMS)], [len(FILMS)]], 3)
    assert known[2] == mixed[2] == 1.0
    assert known[-1] == pytest.approx(1 / len(FILMS))
    assert len({*unknown}) == 1 and len(unknown) == len(catalog.items)
    assert domains.load("films").expectations.priors([Taste((1, len(FILMS)))])[0].scores.shape == (len(FILMS) + 1,)
    assert domains.load("films").expectations.teacher is not None


@pytest.mark.parametrize("form", ["token", "token_title", "rq_token_seq"])
def test_a_model_with_codes_renames_retires_and_reprices_but_adds_no_item(form, tmp_path):
    folders = {"films": write_dataset(tmp_path / "films")}
    domains = LivingDomains(Recommender(*coded_chat(FILMS, form)), folders)
    before = domains.load("films").recommender.renderer
    domains.put("films", [{"id": "i1", "title": "night river", "price": "5 EUR"}])
    domains.retire("films", ["i2"])
    domain = domains.load("films")
    after = domain.recommender.renderer
    assert (after.titles[1], list(after.code_ids[1])) == ("night river", list(before.code_ids[1]))
    ending = after.encode_many([after.spell("night river")])[0] if form == "token_title" else []
    assert list(after.title_ids[1]) == [*before.code_ids[1], *ending]
    assert domain.catalog.items[1].attributes["price"] == 5.0
    assert held(domain).keys() == oracle_of().keys() - {"i2"}
    found = domain.recommender.recommend(["i0"], len(FILMS))
    assert {one.id for one in found} == held(domain).keys() - {"i0"}
    with pytest.raises(ValueError, match="item 'new' is new, .*add_items") as error:
        domains.put("films", [{"id": "new", "title": "green"}])
    assert "\n" not in str(error.value)
    assert domains.load("films") is domain or domains.load("films").version == domain.version


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("say <|im_end|>", "item 'bad': title 'say <|im_end|>' holds the special token"),
        ("red", "'i0' and 'bad' would share"),
    ],
)
def test_a_title_that_cannot_be_spelled_refuses_the_change_and_names_the_item(domains, title, reason):
    before = domains.load("films")
    with pytest.raises(ValueError, match=re.escape(reason)):
        domains.put("films", [{"id": "good", "title": "good one"}, {"id": "bad", "title": title}])
    assert domains.load("films") is before
    assert domains.versions("films") == [Version(1, before.version[2:], len(FILMS))]


def test_changes_outlive_the_process_where_there_is_a_journal(model, tmp_path):
    folders = {"films": write_dataset(tmp_path / "films")}
    first = LivingDomains(Recommender(*model), folders, journals=tmp_path / "journals")
    world, rng = World(first), random.Random(3)
    for n in range(20):
        world.change(rng, n)
    assert first.put("films", [{"id": "i0", "title": "again red"}]).durable
    kept = first.load("films")
    first.close()
    second = LivingDomains(Recommender(*model), folders, journals=tmp_path / "journals")
    second.load_changed()
    assert held(second.load("films")) == held(kept)
    assert second.load("films").version == kept.version
    assert second.versions("films") == first.versions("films")
    second.close()


def test_a_reader_reads_no_category_or_attribute_that_is_gone(domains):
    scheduler = Scheduler()
    service = Service(domains, "films", scheduler)
    asked = ChatRequest(messages=[("user", "Recommend 2 odd titles from after 1992, please.")])
    assert [event for event in service.chat(asked) if isinstance(event, Listed)]
    records = [{"id": f"i{n}", "title": title, "categories": ["new"]} for n, title in enumerate(FILMS)]
    domains.put("films", records)
    assert len([event for event in service.chat(asked) if isinstance(event, Listed)]) == 2
    assert len([event for event in service.chat(asked) if isinstance(event, Listed)]) == 2
    scheduler.drain()


def test_similarity_of_a_changed_catalog_is_that_of_the_catalog_loaded_again():
    items = [Item(f"i{n}", title, categories=("odd",) if n % 2 else ("even",)) for n, title in enumerate(FILMS)]
    catalog = make_catalog("tiny", items, {"u": [f"i{n}" for n in (0, 1, 2, 3, 4, 1)]})
    vectors = np.random.default_rng(0).normal(size=(len(items), 4))
    put = {1: Item("i1", "Renamed Film"), len(items): Item("new", "Another Film")}
    before = ItemSimilarity.of(catalog, vectors)
    similarity, again = before.changed(put), ItemSimilarity.of(catalog.changed(put), vectors)
    for liked in ([0], [1, 3], [len(items)], [len(items), 2]):
        assert np.allclose(similarity.cosines(liked), again.cosines(liked), atol=1e-6)
    assert len(before.cosines([0])) == len(items), "a version before stays as it was"


def test_what_a_change_replaces_is_freed_without_garbage_collection(domains):
    domains.put("films", [{"id": "i1", "title": "a title"}])  # the catalog as it was loaded is kept
    domain = domains.load("films")
    domain.reader.read("I liked red moon")
    parts = (domain, domain.catalog, domain.recommender.named_titles, domain.reader, domain.expectations.similarity)
    replaced = [weakref.ref(part) for part in (*parts, domain.reader._titles._near, domain.reader._categories)]
    del domain, parts
    gc.collect()
    gc.disable()
    try:
        domains.put("films", [{"id": "i0", "title": "Another Title", "categories": ["new"]}])
        assert [part() for part in replaced] == [None] * len(replaced)
    finally:
        gc.enable()


def test_full_collections_wait_until_every_thread_has_made_its_large_objects():
    before, exempt = gc.get_threshold(), gc.get_freeze_count()
    with large_objects():
        with large_objects():
            assert gc.get_threshold()[2] > 1_000_000
        assert gc.get_threshold()[2] > 1_000_000
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() > exempt


def test_a_question_about_a_title_is_answered_by_an_item_that_may_be_listed(domains):
    service = Service(domains, "films", Scheduler())

    def said() -> str:
        request = ChatRequest(messages=[("user", 'what is "green moon"?')])
        return "".join(event.text for event in service.chat(request) if isinstance(event, TextDelta))

    domains.retire("films", ["i7"])
    assert said() == "films does not have green moon any more."
    domains.put("films", [{"id": "new", "title": "green moon", "year": 2020}])
    assert said() == "green moon [new]: year 2020."
    service.scheduler.drain()


def test_a_title_of_before_a_renaming_is_the_item_in_conversations_and_histories(domains):
    service = Service(domains, "films", Scheduler())
    asked = "Recommend 3 titles like red moon, please."
    first = [event.card for event in service.chat(ChatRequest(messages=[("user", asked)])) if isinstance(event, Listed)]
    listed = [str(card["title"]) for card in first]
    domains.put("films", [{"id": first[0]["item_id"], "title": "Renamed Since", "categories": ["odd", "even"]}])
    text = "\n".join(f"{n}. {title}" for n, title in enumerate(listed, 1))
    again = ChatRequest(messages=[("user", asked), ("assistant", text), ("user", "5 more, please.")])
    cards = [event.card for event in service.chat(again) if isinstance(event, Listed)]
    assert cards and not {card["item_id"] for card in cards} & {card["item_id"] for card in first}
    assert domains.load("films").recommender.indices([listed[0], "Renamed Since"]) == 2 * [
        domains.load("films").catalog.index[first[0]["item_id"]]
    ]
    domains.put("films", [{"id": "new", "title": listed[0]}])
    (index,) = domains.load("films").recommender.indices([listed[0]])
    assert domains.load("films").catalog.items[index].id == "new", "who has the title now comes first"
    service.scheduler.drain()


def test_former_titles_are_limited(monkeypatch):
    monkeypatch.setattr("train_utils.catalog.MAX_FORMER_TITLES", 4)
    catalog = make_catalog("tiny", [Item("a", "name 0")])
    for n in range(1, 12):
        catalog = catalog.changed({0: Item("a", f"name {n}")})
        assert len(catalog.former_titles) <= 4 and catalog.title_index[f"name {n - 1}"] == 0
