"""What is expected of a user moves lists, reasons name what moved them, and simulated users find what they stated."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from film_world import KINDS, NAMES, catalog
from scipy.sparse import csr_array
from tiny import tiny_chat

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.reader import RequestReader
from train_utils.conversation.why import asked_about
from train_utils.dialogue.dialogue import Dialogue, Listing
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.dialogue.reasons import items_read, moved, moved_each, reasons
from train_utils.dialogue.weights import FILE_NAME, Weights, read_weights, write_weights
from train_utils.evaluation.chat_systems import (
    ChatSystem,
    FreeSystem,
    RankingSystem,
    TeacherScores,
    popularity_scores,
)
from train_utils.evaluation.dialogues import choose_weights
from train_utils.evaluation.simulated_users import TURNS, SimulatedUser, converse, mean_hits, summary
from train_utils.models.item_similarity import ItemSimilarity, ItemWords
from train_utils.prompts.messages import ItemPart
from train_utils.prompts.named_titles import NamedTitles
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommendation, Recommender
from train_utils.teacher.breaker import CircuitBreaker
from train_utils.teacher.protocol import TeacherError

BOTH_KINDS = [
    ("Horror",), ("Horror",), ("Horror", "Crime"), ("Crime", "Horror"), ("Drama",), ("Crime",), ("Crime",), ("Crime",)
]  # fmt: skip


class FixedTeacher:
    """A teacher that gives each item a share by its place behind the newest item of the history."""

    def __init__(self, ids, problem=""):
        self.ids, self.problem = ids, problem

    def top_k(self, histories, k, scores=False):
        if self.problem:
            raise TeacherError(self.problem)
        lists = []
        for history in histories:
            start = self.ids.index(history[-1]) + 1
            lists.append([i for i in [*self.ids[start:], *self.ids[:start]] if i not in history][:k])
        shares = [[2.0**-rank for rank in range(1, len(items) + 1)] for items in lists]
        return (lists, shares) if scores else lists

    def close(self):
        pass


@pytest.fixture(scope="module")
def recommender():
    model, chat = tiny_chat(NAMES, 3, tied=False)
    return Recommender(model, Chat(chat.tokenizer, NAMES), catalog())


@pytest.fixture(scope="module")
def reader(recommender):
    return RequestReader(recommender.catalog, recommender.named_titles)


def test_similar_items_share_users_or_words_and_disliked_ones_push_away():
    similarity = ItemSimilarity.of(catalog())
    shares = similarity.shares([0])
    assert shares.sum() == pytest.approx(1) and set(np.argsort(-shares)[:3]) == {0, 1, 2}
    away = similarity.shares([0, 3], disliked=[4])
    assert away[5] / away[1] < similarity.shares([0, 3])[5] / similarity.shares([0, 3])[1]


def test_cosines_are_the_means_of_all_pairs_in_memory_of_the_items_alone():
    rng = np.random.default_rng(0)
    counts, learned = csr_array(rng.integers(0, 3, (2000, 5))), rng.random((2000, 4)).astype(np.float32)
    item_words = ItemWords(counts, {})
    words = item_words.vectors
    similarity, given = ItemSimilarity(item_words, [learned]), [*range(1999), 7, 7]
    tracemalloc.start()
    cosines = similarity.cosines(given)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pairs = (words.toarray() @ words.toarray()[given].T + learned @ learned[given].T) / 2
    assert np.allclose(cosines, pairs.mean(axis=1), atol=1e-6) and peak < 4 << 20


def test_a_catalog_without_events_has_similarity_by_words_alone():
    similarity = ItemSimilarity.of(make_catalog("cold", catalog().items))
    assert np.argsort(-similarity.shares([6]))[1] == 7


def test_the_prior_adds_what_its_parts_add(recommender):
    teacher = FixedTeacher([item.id for item in recommender.catalog.items])
    similarity = ItemSimilarity.of(recommender.catalog)
    taste = Taste((3, 0), (0,))

    def added(teacher_weight, similarity_weight):
        weights = Weights(teacher=teacher_weight, similarity=similarity_weight)
        return Expectations(recommender, similarity, teacher, weights).scores([taste])[0]

    both, one, other = added(2.0, 4.0), added(2.0, 0.0), added(0.0, 4.0)
    free = [i for i in range(8) if i not in taste.history]  # the teacher gives its history nothing
    differences = both[free] - one[free] - other[free]
    assert differences == pytest.approx(np.full(len(free), differences[0]))


@pytest.mark.parametrize("taste", [Taste((3, 0), (0,)), Taste((3, 0)), Taste()])
def test_the_lifts_of_the_parts_add_up_to_what_the_prior_adds(recommender, taste):
    teacher = FixedTeacher([item.id for item in recommender.catalog.items])
    expectations = Expectations(recommender, ItemSimilarity.of(recommender.catalog), teacher)
    free = [i for i in range(8) if i not in taste.history]
    lifts = expectations.lifts(expectations.parts([taste])[0], free)
    named = {"teacher"} if taste.history else set()
    assert set(lifts[0]) == named | ({"similarity"} if taste.examples else set() if taste.history else {"popularity"})
    sums, scores = np.array([sum(parts.values()) for parts in lifts]), expectations.scores([taste])[0][free]
    assert sums - sums[0] == pytest.approx(scores - scores[0])


@pytest.mark.parametrize("history", [(), (3,), (3, 6, 1)])
def test_what_moves_an_item_is_asked_in_one_batch(recommender, history):
    teacher = FixedTeacher([item.id for item in recommender.catalog.items])
    asked: list[int] = []
    top_k = teacher.top_k
    teacher.top_k = lambda histories, *rest, **more: (asked.append(len(histories)), top_k(histories, *rest, **more))[1]
    expectations = Expectations(recommender, ItemSimilarity.of(recommender.catalog), teacher)
    explained = moved(expectations, Taste(history), [0, 7])
    assert asked == ([len(history) + (len(history) > 1)] if history else [])
    assert set(explained[0].falls) == set(history)
    alone = expectations.parts([Taste(history)])[0]
    assert [explained[item].lifts for item in (0, 7)] == expectations.lifts(alone, [0, 7])


def test_what_moves_items_of_several_users_is_asked_in_one_batch_and_equals_each_alone(recommender):
    expectations = Expectations(
        recommender, ItemSimilarity.of(recommender.catalog), FixedTeacher([i.id for i in recommender.catalog.items])
    )
    asked = [(Taste(), [0]), (Taste((3,)), [1, 2]), (Taste((3, 6, 1), (4,), (5,)), [0, 7]), (Taste((), (2,)), [3])]
    for together, (taste, items) in zip(moved_each(expectations, asked), asked, strict=True):
        alone = moved(expectations, taste, items)
        assert [*together] == items == [*alone]
        for item in items:
            assert together[item].falls == pytest.approx(alone[item].falls, abs=1e-4)
            assert together[item].lifts == pytest.approx(alone[item].lifts, abs=1e-4)
    assert [items_read(taste) for taste, _ in asked] == [1, 1, 15, 1]


def test_weights_are_kept_beside_the_model_for_each_dataset(tmp_path):
    assert read_weights(tmp_path, "films") == Weights()
    write_weights(tmp_path, "films", Weights(teacher=1.0))
    write_weights(tmp_path, "books", Weights(similarity=0.0))
    assert read_weights(tmp_path, "films") == Weights(teacher=1.0) and read_weights(tmp_path, "x") == Weights()


@pytest.mark.parametrize(
    "content",
    ["[]", "{", *(f'{{"films": {of}}}' for of in ("1", '{"teacher": -1}', '{"teacher": true}', '{"x": 1}'))],
)
def test_a_damaged_file_of_weights_is_one_line(tmp_path, content):
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(ValueError) as raised:
        read_weights(tmp_path, "films")
    assert "\n" not in str(raised.value) and FILE_NAME in str(raised.value)


def test_chosen_weights_find_no_less_than_the_defaults(recommender, reader):
    cat = recommender.catalog
    teacher = FixedTeacher([item.id for item in cat.items])
    expectations = Expectations(recommender, ItemSimilarity.of(cat), teacher)

    def hits(weights):
        users = [SimulatedUser(cat, history, target, f"0/{user}") for user, history, target in cat.split("valid")]
        scores = replace(expectations, weights=weights).scores
        return mean_hits(converse(users, RankingSystem(len(users), recommender, reader, scores), lambda text: 0))

    chosen = choose_weights(expectations, reader, cat, 0, 0)
    assert chosen == choose_weights(expectations, reader, cat, 0, 0) and hits(chosen) >= hits(Weights())


def test_a_user_of_whom_nothing_is_known_gets_the_popular_items(recommender):
    prior = Expectations(recommender, ItemSimilarity.of(recommender.catalog)).priors([Taste()])[0]
    assert np.argmax(prior.scores) == np.argmax(recommender.catalog.popularity)


def test_a_teacher_that_fails_is_left_out_and_said_once(recommender):
    expectations = Expectations(recommender, ItemSimilarity.of(recommender.catalog), FixedTeacher([], "gone"))
    assert expectations.priors([Taste((1,), (1,))])[0] is not None
    assert expectations.take_problem() == "gone" and expectations.take_problem() == ""


def test_a_teacher_that_answers_again_moves_lists_again_and_each_outage_is_said_once(recommender):
    teacher, now, trials = FixedTeacher([item.id for item in recommender.catalog.items], "gone"), [0.0], []
    breaker = CircuitBreaker(teacher, "tiny", lambda: now[0], trials.append)
    expectations = Expectations.of(recommender, recommender.catalog, breaker)
    taste = Taste((1,), (1,))
    for outage in (1, 2):
        teacher.problem = "gone"
        assert "teacher" not in expectations.parts([taste])[0] and expectations.take_problem() == "gone"
        now[0] += 100.0
        assert "teacher" not in expectations.parts([taste])[0] and expectations.take_problem() == ""
        teacher.problem = ""
        trials.pop()()
        assert "teacher" in expectations.parts([taste])[0] and breaker.outages == outage


def test_a_teacher_that_ranks_items_which_the_catalog_lacks_is_left_out(recommender):
    ids = [item.id for item in recommender.catalog.items]
    teacher = FixedTeacher([*ids[:2], "9001", *ids[2:]])
    expectations = Expectations(recommender, ItemSimilarity.of(recommender.catalog), teacher)
    assert "teacher" not in expectations.parts([Taste((1,), (1,))])[0]
    assert "ranks items that the catalog lacks: item id '9001'" in expectations.take_problem()


def test_a_teacher_of_another_catalog_is_left_out(recommender):
    class Stranger(FixedTeacher):
        def item_vectors(self, ids):
            raise TeacherError("unknown item '0'")

    expectations = Expectations.of(recommender, recommender.catalog, Stranger([]))
    assert expectations.teacher is None and expectations.take_problem() == "unknown item '0'"
    assert expectations.priors([Taste((1,), (1,))])[0] is not None


def test_a_reason_names_the_liked_title_without_which_the_item_falls_most(recommender):
    cat = recommender.catalog
    expectations = Expectations(recommender, ItemSimilarity.of(cat))
    taste = Taste((3, 6), (3, 6))
    (reason,) = reasons(expectations, Listing((7,), taste), [7], cat)
    assert reason.because[0] == 6
    full, left = expectations.scores([taste, taste.without(6)])
    assert full[7] > left[7]
    assert reason.text(cat).startswith("Casino: you like Heat")


def test_a_single_liked_title_is_the_reason(recommender):
    cat = recommender.catalog
    expectations = Expectations(recommender, ItemSimilarity.of(cat))
    (reason,) = reasons(expectations, Listing((1,), Taste((0,), (0,))), [1], cat)
    assert reason.because == (0,)


def test_a_reason_without_a_taste_says_what_was_asked_for_and_that_others_like_it(recommender, reader):
    talk = Dialogue(recommender, reader, max_new_tokens=30)
    heard = talk.hear("2 crime movies from 1995")
    assert heard is not None
    (reason,) = reasons(
        Expectations(recommender, ItemSimilarity.of(recommender.catalog)),
        Listing((6,), talk.taste, talk.preferences),
        [6],
        recommender.catalog,
    )
    assert reason.text(recommender.catalog) == "Heat: you asked for Crime and year 1995; many users like it."


@pytest.mark.parametrize(
    "text,items",
    [
        ("why the first one?", [4]),
        ("Why number 2", [0]),
        ("how come the 3rd?", [7]),
        ("why the last one", [7]),
        ("Why The Lion King?", [4]),
        ("why these?", [4, 0, 7]),
        ("why", [4, 0, 7]),
        ("why did you pick those", [4, 0, 7]),
        ("why the ninth?", []),
        ("why is the sky blue?", []),
        ("the first one was good", []),
        ("Why Heat?", []),
    ],
)
def test_a_question_why_is_read_for_the_items_that_it_means(text, items):
    assert asked_about(text, [4, 0, 7], NamedTitles(NAMES)) == items


@pytest.mark.parametrize("limits", [1, {"Horror": 1}, {"Crime": 1, "Horror": 5}])
def test_numbers_of_a_message_do_not_lift_limits_per_category(recommender, reader, limits):
    talk = Dialogue(recommender, reader, max_new_tokens=60, max_per_category=limits)
    heard = talk.hear("2 horror and 2 crime")
    plan = talk.plan(heard, None)
    events = recommender.events(talk.request(heard, plan))
    items = [recommender.catalog.index[event.id] for event in events if isinstance(event, Recommendation)]
    actual = Counter(KINDS[item] for item in items)
    allowed = {kind: min(2, limits if isinstance(limits, int) else limits.get(kind, 2)) for kind in ("Horror", "Crime")}
    assert plan.n_items == sum(allowed.values()) and plan.fewer
    assert actual == allowed


def test_items_of_two_numbered_categories_are_left_out_of_the_list():
    items = [Item(str(i), name, kinds) for i, (name, kinds) in enumerate(zip(NAMES, BOTH_KINDS, strict=True))]
    model, chat = tiny_chat(NAMES, 3, tied=False)
    recommender = Recommender(model, Chat(chat.tokenizer, NAMES), make_catalog("films", items))
    reader = RequestReader(recommender.catalog, recommender.named_titles)
    talk = Dialogue(recommender, reader, max_new_tokens=60, admitted=["0", "1", "2", "3", "6", "7"])
    heard = talk.hear("2 horror and 3 crime")
    plan = talk.plan(heard, None)
    events = recommender.events(talk.request(heard, plan))
    listed = {event.id for event in events if isinstance(event, Recommendation)}
    assert plan.n_items == 4 and plan.fewer and listed == {"0", "1", "6", "7"}


@pytest.mark.parametrize("cuts_lists", [False, True])
def test_a_list_is_as_long_as_asked_unless_the_caller_limits_lists(recommender, reader, cuts_lists):
    talk = Dialogue(recommender, reader, max_new_tokens=8, cuts_lists=cuts_lists)
    heard = talk.hear("7 titles")
    plan = talk.plan(heard, None)
    events = recommender.events(talk.request(heard, plan))
    listed = [event for event in events if isinstance(event, Recommendation)]
    assert plan.n_items == 7 and (len(listed) == 7) != cuts_lists


def test_of_a_list_of_any_length_a_message_may_refer_to_the_first_hundred(recommender, reader):
    talk = Dialogue(recommender, reader)
    talk.recall("a list", [ItemPart(3)] * 50_000)
    talk.recall("all of them, " * 8_000, [])
    assert len(talk.last.items) == 100 and talk.preferences.listed == (3,)


def test_the_profile_is_a_history_and_is_not_listed(recommender, reader):
    talk = Dialogue(recommender, reader, max_new_tokens=30)
    talk.profile = (0, 1)
    heard = talk.hear("I liked Heat, give me 5 titles")
    assert talk.taste == Taste((0, 1, 6), (6,))
    plan = talk.plan(heard, None)
    assert not plan.constraint.admitted[[0, 1, 6]].any() and plan.n_items == 5
    talk.begin()
    assert talk.taste == Taste((0, 1)), "a new conversation keeps the profile"


@pytest.mark.parametrize("system", ["chat", "free", "teacher", "popularity"])
def test_simulated_users_are_answered_by_every_system_and_every_wish_holds(recommender, reader, system):
    cat = recommender.catalog
    expectations = Expectations(recommender, ItemSimilarity.of(cat))
    teacher = FixedTeacher([item.id for item in cat.items])
    systems = {
        "chat": lambda n: ChatSystem(n, expectations, reader),
        "free": lambda n: FreeSystem(n, recommender),
        "teacher": lambda n: RankingSystem(n, recommender, reader, TeacherScores(teacher, cat)),
        "popularity": lambda n: RankingSystem(n, recommender, reader, popularity_scores(cat)),
    }
    users = [SimulatedUser(cat, history, target, user) for user, history, target in cat.split("test")]
    records = converse(users, systems[system](len(users)), lambda text: 0)
    measured = summary(records)
    assert all(len(turns) <= TURNS for turns in records)
    assert all(turn.hit == (turn is turns[-1]) for turns in records for turn in turns if turn.hit), (
        "a hit ends the talk"
    )
    assert measured["hit_turns"] == sorted(measured["hit_turns"])
    if system != "free":
        assert measured["adherence"] == 1.0 and measured["repeats"] == 0 and measured["named_back"] == 0


def test_simulated_users_are_deterministic(recommender):
    cat = recommender.catalog
    talks = [[user.message(turn, [1]) for turn in range(TURNS)] for user in (_user(cat), _user(cat))]
    assert talks[0] == talks[1]


def _user(cat):
    user, history, target = cat.split("test")[0]
    return SimulatedUser(cat, history, target, user)


def test_a_place_in_the_last_list_is_judged_as_its_title(recommender, reader):
    talk = Dialogue(recommender, reader, max_new_tokens=30)
    heard = talk.hear("2 titles")
    talk.record(heard.user, [ItemPart(5), ItemPart(6)])
    talk.hear("I loved the second one, 3 more like that")
    assert talk.preferences.liked == ((6,),)
    talk.hear("but I hated the first one")
    assert talk.preferences.disliked == ((5,),)


@pytest.mark.parametrize("decoding", ["rank", "best", "greedy"])
@pytest.mark.parametrize(
    "text,kinds",
    [
        ("two horror films and one crime film", ["Crime", "Horror", "Horror"]),
        ("three crime films and two sci-fi films", ["Crime", "Crime", "Sci-Fi"]),
    ],
)
def test_a_list_has_the_number_of_each_category_that_the_catalog_can_fill(recommender, reader, decoding, text, kinds):
    talk = Dialogue(recommender, reader, max_new_tokens=200, decoding=decoding)
    heard = talk.hear(text)
    plan = talk.plan(heard, None)
    events = recommender.events(talk.request(heard, plan))
    listed = [event.id for event in events if isinstance(event, Recommendation)]
    assert sorted(KINDS[int(item)] for item in listed) == kinds
    assert plan.fewer == (len(kinds) < talk.preferences.count)


def test_newer_is_newer_than_the_titles_of_the_message_or_than_the_list(recommender, reader):
    talk = Dialogue(recommender, reader)
    heard = talk.hear("something like Blade Runner, but newer")
    assert talk.preferences.ranges["year"].low == 1983
    talk.record(heard.user, [ItemPart(4), ItemPart(5)])
    heard = talk.hear("an older one, please")
    assert (talk.preferences.ranges["year"].low, talk.preferences.ranges["year"].high) == (None, 1991)
    admitted = talk.plan(heard, None).constraint.admitted
    assert {recommender.catalog.items[i].title for i in np.flatnonzero(admitted)} == {"Alien", "Aliens"}
