"""The front door: lists for histories of ids or titles, conversations with items, from a folder or from parts."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tiny import coded_chat, scripted, tiny_chat

from train_utils import Recommendation, Recommender
from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior
from train_utils.constraint.matcher import Matcher
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.decoding.title_search import prefill_to_item
from train_utils.item_codes import save_item_codes
from train_utils.priors import POPULARITY_WEIGHT
from train_utils.prompts.list_spec import ListSpec, list_messages

TITLES = ("red moon", "red moon two", "blue river", "the end", "green night", "a song", "night song")
ITEMS = [Item(f"i{n}", title, ("even",) if n % 2 == 0 else ("odd",)) for n, title in enumerate(TITLES)]
CATALOG = make_catalog("tiny", ITEMS, {"u": ["i0", "i1", "i2"]})
MODEL, CHAT = tiny_chat(list(TITLES))


class NextTeacher:
    """Gives the item after the last of a history all there is to give."""

    def top_k(self, histories, k, scores=False):
        lists = [[f"i{(int(history[-1][1:]) + 1) % len(ITEMS)}"] for history in histories]
        return (lists, [[1.0]] * len(lists)) if scores else lists


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return Recommender(MODEL, CHAT, CATALOG)


@pytest.mark.parametrize("history", [["i0", "i3"], ["red moon", "the end"], ["i0", "the end"], []])
def test_a_list_is_what_ranking_every_title_gives(recommender, history):
    actual = recommender.recommend(history, k=4)
    shown = [{"red moon": 0, "the end": 3, "i0": 0, "i3": 3}[entry] for entry in history]
    prompt = CHAT.render(list_messages(shown, ListSpec(4)), prompt=True).ids
    opening = prefill_to_item(MODEL, CHAT, [prompt], idx=True, answer_at=[len(prompt)])
    (expected,) = opening.most_probable([Constraint(CHAT.trie, deny=shown)], len(TITLES))
    assert [one.id for one in actual] == [f"i{title.item}" for title in expected[:4]]
    assert [one.score for one in actual] == [title.log_probability for title in expected[:4]]
    assert [one.rank for one in actual] == [1, 2, 3, 4] and all(one.title == TITLES[int(one.id[1:])] for one in actual)
    assert all(a.score >= b.score for a, b in pairwise(actual)) and not {one.id for one in actual} & {"i0", "i3"} & {
        f"i{item}" for item in shown
    }


def test_a_history_takes_titles_as_people_write_them():
    titles = ["Lion King, The", "Heat (1995)", "Solo (1996)", "Solo (2018)", "Ice Storm, The (1)", "Ice Storm, The"]
    model, chat = tiny_chat(titles)
    films = Recommender(model, chat, make_catalog("films", [Item(f"f{n}", title) for n, title in enumerate(titles)]))
    assert films.indices(["the lion king", "LION KING, THE", "heat", "f1"]) == [0, 0, 1, 1]
    assert films.indices(["Ice Storm, The", "the ice storm", "ice storm, the (1)"]) == [5, 5, 4]
    with pytest.raises(ValueError, match=r"'solo' may be 'Solo \(1996\)', 'Solo \(2018\)'; give the whole"):
        films.indices(["solo"])


@pytest.mark.parametrize(("entry", "hint"), [("Godfather", "; did you mean 'Godfather, The'?"), ("Matrix", "")])
def test_the_nearest_title_is_offered_for_an_unknown_one(entry, hint):
    titles = ["Godfather: Part II, The", "M", "Godfather, The", "Godfather: Part III, The"]
    model, chat = tiny_chat(titles)
    films = Recommender(model, chat, make_catalog("films", [Item(f"f{n}", title) for n, title in enumerate(titles)]))
    with pytest.raises(ValueError) as error:
        films.indices([entry])
    assert str(error.value) == f"{entry!r} is no item id or title of the catalog 'films'{hint}"


def test_a_batch_gives_what_each_history_gives_alone(recommender):
    histories = [["i0"], ["i1", "i2", "i3"], []]
    together = recommender.recommend_batch(histories, k=3)
    for history, actual in zip(histories, together, strict=True):
        alone = recommender.recommend(history, k=3)
        assert [one.id for one in actual] == [one.id for one in alone]
        assert np.allclose([one.score for one in actual], [one.score for one in alone], atol=1e-5)
    assert recommender.recommend_batch([]) == []


def test_rules_hold_in_a_list(recommender):
    actual = recommender.recommend(["i0"], k=10, rules={"categories": ["even"], "deny": ["i2"]})
    assert sorted(one.id for one in actual) == ["i4", "i6"]
    with pytest.raises(ConstraintError, match="admit none"):
        recommender.recommend(["i0", "i2", "i4", "i6"], rules={"categories": ["even"]})


def test_a_list_is_as_long_as_the_catalog_allows(recommender):
    assert len(recommender.recommend(["i0"], k=50)) == len(TITLES) - 1


def test_a_teacher_enters_as_a_prior_where_there_is_a_history():
    led = Recommender(MODEL, CHAT, CATALOG, teacher=NextTeacher(), prior_weight=10.0)
    assert led.recommend(["i3"], k=2)[0].id == "i4"
    alone = Recommender(MODEL, CHAT, CATALOG)
    assert led.recommend([], k=3) == alone.recommend([], k=3)
    prompt = CHAT.render(list_messages([3], ListSpec(2)), prompt=True).ids
    scores = np.eye(len(ITEMS))[4]
    rules = Constraint(CHAT.trie, deny=[3], prior=Prior(scores, 10.0, "sum"))
    (expected,) = led.engine.rank([Request(prompt, rules, answer_at=len(prompt), max_items=2, idx=True)])
    assert [one.id for one in led.recommend(["i3"], k=2)] == CATALOG.ids(expected.items)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.recommend(["red mon"]), "'red mon' is no item id or title .*did you mean 'red moon'"),
        (lambda r: r.recommend("i0"), "`history` is 'i0', wanted a list"),
        (lambda r: r.recommend(["i0"], k=0), "`k` is 0"),
        (lambda r: r.recommend(["i0"], rules={"category": "x"}), "'category'"),
        (lambda r: r.recommend(["i0"], rules={"allow": ["x"]}), "'x' is not in the catalog"),
        (lambda r: list(r.chat([{"role": "robot", "content": "hi"}])), "wanted {'role': one of"),
        (lambda r: list(r.chat([{"role": "user"}])), "wanted {'role': one of"),
        (lambda r: list(r.chat([])), "at least one message"),
        (lambda r: r.recommend(None), "`history` is None, wanted a list"),
        (lambda r: r.recommend([["i0"]]), "wanted a text"),
        (lambda r: r.recommend(["i0"], k=2.5), "`k` is 2.5, wanted a whole number"),
        (lambda r: r.recommend(["i0"], k=None), "`k` is None, wanted a whole number"),
        (lambda r: r.recommend(["i0"], max_history=0), "`max_history` is 0"),
        (lambda r: r.recommend(["i0"], rules=[]), "the body is"),
        (lambda r: r.recommend_batch(None), "`histories` is None"),
        (lambda r: r.chat(None), "`messages` is None"),
        (lambda r: r.chat([{"role": "user", "content": "hi"}], max_new_tokens="5"), "`max_new_tokens` is '5'"),
        (lambda r: r.chat([{"role": "user", "content": "moon " * 9000}]), "the context has .*leave out old messages"),
        (lambda r: r.with_catalog(None), "`dataset` is None, wanted a dataset folder"),
    ],
)
def test_wrong_calls_are_told_in_one_line(recommender, call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(recommender)
    assert "\n" not in str(error.value)


def test_without_a_catalog_there_is_conversation_and_no_list():
    plain = Recommender(MODEL, type(CHAT)(CHAT.tokenizer))
    with pytest.raises(ValueError, match="no catalog is loaded"):
        plain.recommend(["i0"])
    events = list(plain.chat([{"role": "user", "content": "hi"}], max_new_tokens=10))
    assert isinstance(events[-1], Done) and not any(isinstance(event, Recommendation) for event in events)


def eager() -> Recommender:
    """A model that opens an item wherever it may."""
    model, chat = tiny_chat(list(TITLES))
    scripted(model, dict.fromkeys(range(1000), chat.soi))
    return Recommender(model, chat, CATALOG)


@pytest.mark.parametrize("decoding", ["greedy", "best", "rank"])
def test_a_conversation_yields_text_and_items_of_the_catalog(decoding):
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello?"}]
    events = list(eager().chat(messages, {"deny": ["i0"]}, max_new_tokens=200, decoding=decoding))
    items = [event for event in events if isinstance(event, Recommendation)]
    assert {(item.id, item.title) for item in items} == {(one.id, one.title) for one in ITEMS[1:]}
    assert [item.rank for item in items] == list(range(1, len(ITEMS)))
    assert all(isinstance(event, (TextDelta, Recommendation)) for event in events[:-1]) and isinstance(events[-1], Done)


def test_a_model_is_loaded_from_its_folder_with_a_dataset_folder(tmp_path):
    MODEL.save_pretrained(tmp_path / "model")
    CHAT.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "tiny").mkdir()
    metas = {item.id: {"title": item.title, "title_t": item.title} for item in ITEMS}
    categories = {name: [item.id for item in ITEMS if name in item.categories] for name in ("even", "odd")}
    for name, value in (("metas", metas), ("category", categories), ("sequential", {"u": ["i0", "i1", "i2"]})):
        (tmp_path / "tiny" / f"{name}.jsonl").write_text(json.dumps(value))
    loaded = Recommender.load(tmp_path / "model", tmp_path / "tiny", device="cpu", dtype="float32")
    expected = Recommender(MODEL.float(), CHAT, CATALOG).recommend(["i0", "i1"], k=3)
    assert [one.id for one in loaded.recommend(["i0", "i1"], k=3)] == [one.id for one in expected]
    assert loaded.with_catalog(CATALOG).model is loaded.model and not loaded.untrained


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dataset": "no/such"}, "dataset folder 'no/such' does not exist"),
        ({"teacher": "local:no/such"}, "no/such does not exist"),
        ({"device": "abacus"}, "^'abacus' is no device; use cpu"),
    ],
)
def test_what_is_wrong_is_found_before_the_model_is_loaded(wrong, message):
    with pytest.raises(ValueError, match=message):
        Recommender.load("no/model", **wrong)


def test_the_weight_of_a_prior_follows_the_item_form_unless_it_is_given():
    assert Recommender(MODEL, CHAT, CATALOG).prior_weight == 32
    model, chat = coded_chat(CATALOG.titles)
    of_codes = Recommender(model, chat, CATALOG)
    assert of_codes.prior_weight == of_codes.with_catalog(CATALOG).prior_weight == 2
    assert Recommender(model, chat, CATALOG, prior_weight=0.5).with_catalog(CATALOG).prior_weight == 0.5


@pytest.mark.parametrize("weight", ["auto", -1, float("nan"), float("inf")])
def test_a_prior_weight_is_a_number_of_0_or_more(weight):
    with pytest.raises(ValueError, match="`prior_weight` is .*, wanted a finite number, 0 or more"):
        Recommender(MODEL, CHAT, CATALOG, prior_weight=weight)


def test_the_package_offers_the_front_door_and_loads_it_when_asked():
    code = "import sys, train_utils as t; print('torch' in sys.modules, t.Recommender.__name__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False Recommender True\n"


@pytest.mark.parametrize("k", [1, 2, 3, 7])
@pytest.mark.parametrize("caps", [1, {"even": 1}, {"odd": 1, "even": 2}])
def test_caps_hold_in_a_ranking_and_the_next_titles_move_up(recommender, k, caps):
    """The oracle ranks all titles for the same prompt, and passes over those of a category that is full."""
    prompt = CHAT.render(list_messages([], ListSpec(k)), prompt=True).ids
    opening = prefill_to_item(MODEL, CHAT, [prompt], idx=True, answer_at=[len(prompt)])
    (ranked,) = opening.most_probable([Constraint(CHAT.trie)], len(TITLES))
    left = dict(caps) if isinstance(caps, dict) else {"even": caps, "odd": caps}
    expected = []
    for title in ranked:
        category = ITEMS[title.item].categories[0]
        left[category] = left.get(category, len(TITLES)) - 1
        if left[category] >= 0:
            expected.append(f"i{title.item}")
    capped = recommender.recommend([], k=k, rules={"max_per_category": caps})
    assert [one.id for one in capped] == expected[:k] and [one.rank for one in capped] == [*range(1, len(capped) + 1)]


def test_numbers_of_numpy_and_ids_as_numbers(recommender):
    assert len(recommender.recommend(["i0"], k=np.int64(3))) == 3
    numbered = make_catalog("n", [Item(str(n), title) for n, title in enumerate(TITLES)], {})
    with pytest.raises(ValueError, match="ids are texts, write '1'"):
        Recommender(MODEL, CHAT, numbered).recommend([1])


def test_a_text_that_is_the_id_of_one_item_and_the_title_of_another_is_refused():
    items = [Item(TITLES[1] if n == 0 else f"i{n}", title) for n, title in enumerate(TITLES)]
    with pytest.raises(ValueError, match="is the id of 'red moon' and the title of item 'i1'"):
        Recommender(MODEL, CHAT, make_catalog("m", items, {})).recommend([TITLES[1]])
    same = make_catalog("s", [Item(title, title) for title in TITLES], {})
    assert Recommender(MODEL, CHAT, same).recommend(["red moon"], k=1)


def test_an_id_that_is_the_title_of_another_item_is_an_id_among_ids():
    items = [Item(TITLES[1] if n == 0 else f"i{n}", title) for n, title in enumerate(TITLES)]
    recommender = Recommender(MODEL, CHAT, make_catalog("m", items, {}))
    assert recommender.indices([TITLES[1], "i2"]) == [0, 2]
    with pytest.raises(ValueError, match="is the id of 'red moon' and the title of item 'i1'"):
        recommender.indices([TITLES[1], TITLES[2]])
    assert recommender.indices([]) == []


def test_a_renderer_of_other_titles_is_refused():
    other = make_catalog("o", [Item(f"i{n}", f"other {n}") for n in range(len(TITLES))], {})
    for catalog in (other, make_catalog("p", ITEMS[::-1], {})):
        with pytest.raises(ValueError, match="not those of catalog"):
            Recommender(MODEL, CHAT, catalog)
    with pytest.raises(ValueError, match="not those of catalog"):
        Recommender(MODEL, type(CHAT)(CHAT.tokenizer), CATALOG)


def test_one_history_that_nothing_is_left_for_is_named(recommender):
    with pytest.raises(ConstraintError, match="history 1: the rules admit none"):
        recommender.recommend_batch([["i0"], ["i1", "i3", "i5"]], rules={"categories": ["odd"]})


def test_what_the_user_names_is_not_recommended_back():
    talk = eager()

    def listed(content: str, **more) -> set[str]:
        events = talk.chat([{"role": "user", "content": content}], max_new_tokens=200, **more)
        return {event.id for event in events if isinstance(event, Recommendation)}

    everything = {item.id for item in ITEMS}
    assert listed("hello") == listed("half a character: \ud800") == everything
    named = "I liked the end and <SOI> a song<EOI>"
    assert listed(named) == everything - {"i3", "i5"} and listed(named, exclude_named=False) == everything
    assert listed(", ".join(TITLES)) == set()


def test_a_chat_of_another_decoding_is_refused(recommender):
    with pytest.raises(ValueError, match="`decoding` is 'beam', wanted one of greedy, best, rank"):
        recommender.chat([{"role": "user", "content": "hi"}], decoding="beam")


def coded_model_folder(tmp_path):
    """Save a model with one token for each of the items i0 to i6."""
    model, chat = coded_chat(list(TITLES))
    model.save_pretrained(tmp_path)
    chat.tokenizer.save_pretrained(tmp_path)
    save_item_codes(replace(chat.codes, ids=tuple(item.id for item in ITEMS), sequences=True), tmp_path)
    return tmp_path


def test_a_model_with_item_codes_spells_the_titles_of_another_catalog(tmp_path, caplog):
    of_its_own = Recommender.load(coded_model_folder(tmp_path), CATALOG, device="cpu", dtype="float32")
    assert of_its_own.catalog_note == "" and not caplog.messages
    other = make_catalog("other", [Item(f"x{n}", f"the {title}") for n, title in enumerate(TITLES)])
    spelled = of_its_own.with_catalog(other)
    assert "not trained on 'other'" in spelled.catalog_note and caplog.messages == [f"note: {spelled.catalog_note}"]
    assert (spelled.prior_weight, spelled.sequence_weight) == (32, 0), "those of titles"
    assert {item.id for item in spelled.recommend(["x0"], k=50)} == {f"x{n}" for n in range(1, len(TITLES))}
    codes = set(of_its_own.renderer.item_tokens)
    assert len(codes) == len(TITLES) and not codes.intersection(*map(set, spelled.renderer.title_ids))
    assert codes <= set(Matcher(Constraint(spelled.renderer.trie)).barred().tolist()), "free text may hold no code"
    assert [*of_its_own.recommend(["i0"], k=3)] == [*spelled.with_catalog(CATALOG).recommend(["i0"], k=3)]


def test_a_catalog_that_has_grown_is_refused_since_its_new_items_lack_codes(tmp_path):
    grown = make_catalog("grown", [*ITEMS, *(Item(f"x{n}", f"new {n}") for n in range(3))])
    with pytest.raises(ValueError, match="no code for 3 of the 10 items .*add_items"):
        Recommender.load(coded_model_folder(tmp_path), grown, device="cpu", dtype="float32")


def test_popularity_leads_the_lists_of_a_catalog_without_events():
    items = [replace(item, attributes={"fans": 10.0**n}) for n, item in enumerate(ITEMS)]
    cold = Recommender(MODEL, CHAT, make_catalog("cold", items, popular_by="fans"))
    prior = Prior(np.array([10.0**n for n in range(len(ITEMS))]), POPULARITY_WEIGHT, "sum")
    prompt = CHAT.render(list_messages([], ListSpec(3)), prompt=True).ids
    opening = prefill_to_item(MODEL, CHAT, [prompt], idx=True, answer_at=[len(prompt)])
    (expected,) = opening.most_probable([Constraint(CHAT.trie, prior=prior)], len(TITLES))
    assert [one.id for one in cold.recommend([], k=3)] == [f"i{title.item}" for title in expected[:3]]
    unknown = Recommender(MODEL, CHAT, make_catalog("unknown", items))
    with_events = Recommender(MODEL, CHAT, make_catalog("warm", items, {"u": ["i0", "i1"]}, popular_by="fans"))
    assert unknown.popularity_prior is None and with_events.popularity_prior is None
    assert (
        with_events.recommend([], k=3)
        == unknown.recommend([], k=3)
        == Recommender(MODEL, CHAT, CATALOG).recommend([], k=3)
    )
