"""Samples ask what their task says, the labels obey, and what does not fit loses the oldest history first."""

import dataclasses
from collections import Counter

import pytest
import torch
from tiny import coded_chat, tiny_chat
from tiny_samples import CONFIG, EXCHANGE, TITLES, FixedTeacher, drawn, small_catalog, stream

from train_utils.catalog import Item, make_catalog
from train_utils.prompts.messages import ControlPart, ItemPart, TitlePart, message
from train_utils.prompts.templates import (
    ITEM_COUNT,
    ONLY_CATEGORY,
    ONLY_CATEGORY_TEST,
    RANKING,
    RANKING_TEST,
    SEQREC,
    SEQREC_TEST,
    WITHOUT_CATEGORY,
    WITHOUT_CATEGORY_TEST,
    in_words,
)
from train_utils.samples.conversation import render_sample
from train_utils.samples.encode import ScopeLabels, encode_code_sample, encode_retrieval_sample, encode_sample
from train_utils.samples.plan import trainable_users
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.sources import DrawnSamples
from train_utils.samples.tasks import parse_tasks

CATALOG = small_catalog()
CHAT = tiny_chat(TITLES)[1]


def made(tasks, numbers=range(60), **settings):
    """(plan, conversation, its request, the items of its answer) of samples of these tasks."""
    source = drawn(CHAT, dataclasses.replace(CONFIG, tasks=parse_tasks(tasks), **settings))
    for plan, talk in zip(source.plans(numbers), source.talks(numbers), strict=True):
        request, answered = next(
            (a, b)
            for a, b in zip(talk.messages, talk.messages[1:], strict=False)
            if b.role == "assistant" and (b not in EXCHANGE)
        )
        yield plan, talk, request, [part.item for part in answered.parts if isinstance(part, ItemPart)]


def text_of(entry):
    return "".join(part for part in entry.parts if isinstance(part, str))


def items_of(entry):
    return [part.item for part in entry.parts if isinstance(part, (ItemPart, TitlePart))]


def test_tasks_are_read_with_their_suffixes_and_weights():
    actual = parse_tasks("SFTSeqRec-CS-MR:2, SFTCategory,ShareChatGPT:0.5")
    assert [(t.name, t.kind, t.weight, t.names_symbols, t.multi_round) for t in actual] == [
        ("SFTSeqRec-CS-MR", "SFTSeqRec", 2.0, True, True),
        ("SFTCategory", "SFTCategory", 1.0, False, False),
        ("ShareChatGPT", "ShareChatGPT", 0.5, False, False),
    ]


@pytest.mark.parametrize(
    "text,message_part",
    [
        ("SFTSeqrec", "SFTSeqrec"),
        ("", "wanted SFTSeqRec"),
        ("SFTSeqRec-MR-CS", "wanted"),
        ("SFTSeqRec-XX", "-XX"),
        ("ShareChatGPT-MR", "wanted"),
        ("SFTAlignment-CS", "wanted"),
        ("SFTConversation-MR", "wanted"),
        ("SFTSeqRec:0", "above 0"),
        ("SFTSeqRec:x", "above 0"),
        ("SFTSeqRec:nan", "above 0"),
        ("SFTSeqRec,SFTSeqRec:2", "twice"),
        ("SFTSeqRec-CS-CS", "wanted"),
    ],
)
def test_a_wrong_task_is_refused_by_name(text, message_part):
    with pytest.raises(ValueError, match=message_part):
        parse_tasks(text)


def test_every_task_has_several_wordings_of_both_kinds_and_none_of_the_tests():
    for wordings in (SEQREC, RANKING, ONLY_CATEGORY, WITHOUT_CATEGORY, ITEM_COUNT):
        assert sum(not t.names_symbols for t in wordings) >= 2 and any(t.names_symbols for t in wordings)
        assert all(("{soi}" in t.text) == t.names_symbols for t in wordings)
        tested = {*SEQREC_TEST, *RANKING_TEST, *ONLY_CATEGORY_TEST, *WITHOUT_CATEGORY_TEST}
        assert not {t.text for t in wordings} & {t.text for t in tested}


def test_a_chat_exchange_stands_before_the_request_after_its_answer_or_on_both_sides():
    sides = Counter()
    for plan, talk, request, _ in made("SFTSeqRec-MR", range(300), multi_round_ratio=0.9):
        at = talk.messages.index(request)
        sides[at > 1, len(talk.messages) > at + 2] += 1
        assert (plan.before is not None, plan.after is not None) == (at > 1, len(talk.messages) > at + 2)
    assert 10 <= sides[False, False] <= 50
    assert all(65 <= sides[side] <= 115 for side in ((True, False), (False, True), (True, True)))


def test_a_chat_answer_at_the_end_is_cut_without_an_end_of_turn_and_a_list_never():
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRec-MR,ShareChatGPT"), multi_round_ratio=0.7)
    seen = set()
    for n in (0, 3, 1000):
        whole = drawn(CHAT, config).talks(range(60))
        for talk, full in zip(
            drawn(CHAT, dataclasses.replace(config, max_answer=n)).talks(range(60)), whole, strict=True
        ):
            ids, chat_last = talk.rendered.ids, talk.messages[-1] in EXCHANGE
            cut = len(full.rendered.ids) - len(ids)
            assert talk.messages == full.messages and ids == full.rendered.ids[: len(ids)]
            assert (cut > 0) == (n == 3 and chat_last)
            if cut:
                prompt = CHAT.render(talk.messages[:-1], prompt=True).ids
                assert len(ids) == len(prompt) + 3 and talk.rendered.labeled[-3:] == [True] * 3
                assert talk.rendered.items == full.rendered.items
            seen.add((n, chat_last))
    assert len(seen) == 6


def test_of_two_exchanges_the_first_is_dropped_before_history_and_list_are_shortened():
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRec-MR"), multi_round_ratio=0.9)
    plans, whole = drawn(CHAT, config).plans(range(40)), drawn(CHAT, config).talks(range(40))
    talk, plan = next(
        pair for pair in zip(whole, plans, strict=True) if pair[1].before is not None and pair[1].after is not None
    )
    limit = len(talk.rendered.ids) - 1
    number = whole.index(talk)
    (shorter,) = drawn(CHAT, dataclasses.replace(config, max_token_length=limit)).talks([number])
    assert shorter.messages == (talk.messages[0], *talk.messages[3:])
    assert shorter.n_history == talk.n_history and not shorter.cut


def test_max_answer_leaves_lists_alone_where_a_conversation_ends_with_its_user():
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRec"))
    (talk,) = drawn(CHAT, config).talks([0])
    for messages in (talk.messages, (*talk.messages, message("user", "thanks")), (message("user", "hello there"),)):
        assert render_sample(messages, CHAT, dataclasses.replace(config, max_answer=1)) == CHAT.render(
            messages, prompt=False
        )


@pytest.mark.parametrize("form", ["title_t", "token", "token_title", "rq_token_seq"])
def test_alignment_maps_titles_to_items_and_items_to_their_titles_and_categories(form):
    chat = CHAT if form == "title_t" else coded_chat(TITLES, form)[1]
    encode = encode_code_sample if form.startswith("token") else encode_sample
    config, seen = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTAlignment"), idx=True), Counter()
    source = drawn(chat, config)
    for plan, talk in zip(source.plans(range(60)), source.talks(range(60)), strict=True):
        _, request, answer = talk.messages
        item, sample = CATALOG.items[plan.target], encode(chat, ScopeLabels(chat.trie), talk, config)
        kind = "item" if items_of(answer) else "title" if text_of(answer) == item.title else "categories"
        seen[kind] += 1
        assert items_of(answer) == ([plan.target] if kind == "item" else [])
        assert kind != "categories" or text_of(answer) == ", ".join(item.categories)
        assert items_of(request) == [plan.target]
        assert isinstance(next(part for part in request.parts if not isinstance(part, str)), TitlePart) == (
            kind == "item"
        )
        assert sample.text and talk.ranked is None and not talk.beginnings
        if form.startswith("token"):
            assert len(sample.choices) == (kind == "item")
    assert min(seen[kind] for kind in ("item", "title", "categories")) >= 10
    with pytest.raises(ValueError, match="`max_token_length` 10 is too short"):
        drawn(chat, dataclasses.replace(config, max_token_length=10)).check(1)


@pytest.mark.parametrize("encode", [encode_sample, encode_code_sample, encode_retrieval_sample])
@pytest.mark.parametrize("idx", [True, False])
def test_only_tokens_that_decide_between_an_item_and_text_weigh_more(encode, idx):
    tasks = parse_tasks("SFTSeqRec-MR,ShareChatGPT")
    config = dataclasses.replace(CONFIG, tasks=tasks, multi_round_ratio=0.9, idx=idx, decision_weight=8.0)
    chat = coded_chat(TITLES)[1] if encode is encode_code_sample else CHAT
    answers, spaced, ended = set(), 0, 0
    for talk in drawn(chat, config).talks(range(30)):
        sample = encode(chat, ScopeLabels(chat.trie), talk, config)
        plain = encode(chat, ScopeLabels(chat.trie), talk, dataclasses.replace(config, decision_weight=1.0))
        ends = [
            len(chat.render(talk.messages[:at], prompt=True).ids)
            for at, entry in enumerate(talk.messages)
            if entry.role == "assistant"
        ]
        ids, opener = sample.ids, chat.encode("\n2. " if idx else "\n")[-1]
        text = dict(sample.text).keys() - {*ends}
        after_space = {at for at in text if ids[at - 1] == opener and ids[at] != chat.soi}
        after_item = {at for at in text if ids[at - 1] == chat.eoi}
        decide = {*ends, *after_space, *after_item}
        assert sample.text == [(at, 8.0 if at in decide else weight) for at, weight in plain.text]
        assert set(ends) <= dict(sample.text).keys()
        spaced, ended = spaced + len(after_space), ended + len(after_item)
        answers.add(len(ends))
    assert answers == {1, 2, 3} and ended > 30
    assert (spaced > 0) == idx, "a chat answer of these has a space before a number"


def test_tasks_come_by_weight_and_control_symbols_where_they_are_named():
    numbers = range(400)
    counted = Counter()
    for plan, _, request, _ in made("SFTSeqRec:3,SFTSeqRec-CS", numbers):
        counted[plan.task.name] += 1
        assert any(isinstance(part, ControlPart) for part in request.parts) == (plan.task.name == "SFTSeqRec-CS")
        assert plan.before is None and plan.after is None
    assert 240 < counted["SFTSeqRec"] < 360


def test_half_of_the_lists_have_the_full_length_and_the_others_any():
    asked = Counter(plan.spec.k for plan, *_ in made("SFTSeqRec", range(400), topk=4, list_ratio=0.5))
    assert asked.keys() == {1, 2, 3, 4}
    assert 80 < asked[4] < 170, "100 lists of full length, and a quarter of the others"
    assert 175 < asked[1] < 275


def test_category_requests_are_obeyed():
    seen = set()
    for plan, talk, request, answer in made("SFTCategory,SFTCategory-CS", range(200)):
        assert plan.spec.category in text_of(request)
        members = CATALOG.in_category(plan.spec.category)
        assert all((item in members) == plan.spec.inside for item in answer)
        assert all((item in members) == plan.spec.inside for item in talk.ranked.items)
        assert answer[0] == plan.target and len(set(answer)) == len(answer) <= plan.spec.k
        assert str(len(answer)) in text_of(request)
        seen.add((plan.spec.category, plan.spec.inside))
    assert len(seen) == 6  # three categories, inside and outside


def test_candidates_hold_the_target_and_the_teachers_and_the_answer_is_among_them():
    for plan, talk, request, answer in made("SFTSeqRanking", candidate_num=6):
        shown = items_of(request)
        history, candidates = shown[: len(plan.history)], shown[len(plan.history) :]
        assert tuple(history) == plan.history
        assert len(candidates) == len(set(candidates)) == 6
        assert answer[0] == plan.target and set(answer) <= set(candidates) and len(answer) == plan.spec.k
        assert not (set(candidates) - {plan.target}) & set(plan.history)
        ranking = [item for item in talk.ranked.items if item in candidates and item != plan.target]
        assert answer[1:] == ranking[: len(answer) - 1]
        assert set(talk.ranked.items) <= set(candidates)


def test_a_list_is_no_longer_than_its_candidates():
    for plan, _, _, answer in made("SFTSeqRanking", candidate_num=3):
        assert len(answer) == min(plan.spec.k, 3)


def test_a_count_is_asked_for_in_words():
    counts = Counter()
    for _, _, request, answer in made("SFTItemCount", list_ratio=0.0):
        assert in_words(len(answer)) in text_of(request)
        counts[len(answer)] += 1
    assert set(counts) == {1, 2, 3, 4}


def test_a_pure_chat_has_no_item_and_trains_its_answers_alone():
    source = stream((None, CHAT), dataclasses.replace(CONFIG, tasks=parse_tasks("ShareChatGPT")))
    for talk, sample in zip(source.source.talks(range(3)), source.samples(range(3)), strict=True):
        assert talk.messages[1:] == EXCHANGE and not sample.choices and sample.forced == 0
        assert [sample.ids[position] for position, _ in sample.text] == [*CHAT.encode("hi there"), CHAT.end_of_turn]
    assert source(0)[0].tasks == ("ShareChatGPT",) * 3


def test_candidates_carry_no_choice_to_learn_and_the_history_does():
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRanking"), history_weight=0.5)
    source = stream((None, CHAT), config)
    for plan, talk, sample in zip(
        source.source.plans(range(30)), source.source.talks(range(30)), source.samples(range(30)), strict=True
    ):
        starts = [start for start, _ in talk.rendered.items]
        learned = {max(s for s in starts if s < position) for position, *_ in sample.choices}
        n = len(plan.history) * plan.marked
        shown = starts[: -plan.spec.k]
        assert learned <= {*starts[1:n], *starts[-plan.spec.k :]}
        assert not learned & set(shown[n:])


def test_a_sample_that_is_too_long_loses_its_oldest_history_first():
    whole = {n: t for n, (_, t, *_) in enumerate(made("SFTSeqRec", max_history=6, topk=1))}
    limit = sorted(len(talk.rendered.ids) for talk in whole.values())[-10]
    cut = 0
    for number, (plan, talk, request, _) in enumerate(made("SFTSeqRec", max_history=6, topk=1, max_token_length=limit)):
        shown = tuple(items_of(request))
        assert len(talk.rendered.ids) <= limit
        assert shown == plan.history[len(plan.history) - len(shown) :] and shown
        if len(whole[number].rendered.ids) <= limit:
            assert talk == whole[number]
        else:
            cut += 1
            gone = len(plan.history) - len(shown)
            assert talk.beginnings == {n - gone: r for n, r in whole[number].beginnings.items() if n > gone}
    assert 5 <= cut <= 9


def test_a_sample_that_cannot_fit_is_refused_with_what_to_change():
    with pytest.raises(ValueError, match="`max_token_length` allows 20; raise it"):
        list(made("SFTSeqRec", max_token_length=20))


LONG = make_catalog(
    "long",
    [Item(str(n), f"{n} " + ("z" * 500 if n < 10 else "red moon")) for n in range(60)],
    {f"u{u}": [str((7 * u + 3 * n) % 60) for n in range(12)] for u in range(20)},
)


class WholeTeacher:
    """Ranks all that the history does not hold, whatever the size of the catalog."""

    def __init__(self, n_items):
        self.n_items = n_items

    def top_k(self, histories, k, scores=False):
        assert 1 <= k <= self.n_items - 1
        lists = [[str(i) for i in range(self.n_items) if str(i) not in history][:k] for history in histories]
        return (lists, [[1 / (len(row) or 1)] * len(row) for row in lists]) if scores else lists


def long_source(limit, tasks="SFTSeqRec-MR,SFTSeqRanking,SFTItemCount"):
    chat = tiny_chat(LONG.titles)[1]
    config = dataclasses.replace(
        CONFIG, tasks=parse_tasks(tasks), max_token_length=limit, topk=10, max_history=10, candidate_num=6
    )
    return DrawnSamples(LONG, chat, WholeTeacher(60), [EXCHANGE], config)


def test_samples_of_long_titles_fit_by_shorter_lists_that_are_counted():
    """Ten titles of some 500 tokens, and room for two of them."""
    limit = 1500
    source = long_source(limit, "SFTSeqRec-MR,SFTItemCount")
    source.check(3)
    talks = source.talks(range(60))
    assert all(len(talk.rendered.ids) <= limit for talk in talks)
    assert 0 < sum(talk.cut for talk in talks) == source.cut < 60
    whole = long_source(10**6, "SFTSeqRec-MR,SFTItemCount").talks(range(60))
    for talk, before in zip(talks, whole, strict=True):
        request, listed = talk.messages[-2:]
        if not talk.cut and len(before.rendered.ids) <= limit:
            assert talk == before
        assert talk.about["target"] == before.about["target"] and talk.about["k"] <= before.about["k"]
        items = [
            part.item for m in talk.messages for part in m.parts if m.role == "assistant" and not isinstance(part, str)
        ]
        assert len(items) == talk.about["k"] and LONG.items[items[0]].id == talk.about["target"]


def test_a_choice_of_long_candidates_fits_by_fewer_of_them():
    source = long_source(2300, "SFTSeqRanking")
    source.check(3)
    for talk in source.talks(range(60)):
        assert len(talk.rendered.ids) <= 2300 and 2 <= len(talk.about["candidates"]) <= 6
        assert talk.about["target"] in talk.about["candidates"]


@pytest.mark.parametrize("tasks", ["SFTSeqRec-MR", "SFTSeqRanking", "SFTItemCount-CS"])
def test_titles_that_no_sample_can_hold_are_named_before_the_first_step(tasks):
    source = long_source(900, tasks)
    with pytest.raises(
        ValueError,
        match="`max_token_length` 900 is too short for samples of .* items: the titles of "
        "'[0-9]' \\(5[0-9][0-9] tokens\\).*raise it, or shorten titles",
    ) as error:
        source.check(3)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="too short for samples"):
        SampleStream(source, source.chat, encode_sample, 2, 1, 1, torch.device("cpu"), epochs=3)


def test_the_shortest_form_is_measured_exactly_where_the_limit_is_near():
    """No run is refused whose samples all fit, and none that is accepted stops at a sample."""
    for limit in (135, 140, 150, 170):
        source = drawn(CHAT, dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRec"), max_token_length=limit))
        try:
            source.check(2)
        except ValueError:
            with pytest.raises(ValueError, match="`max_token_length`"):
                source.talks(range(source.samples(2)))
        else:
            assert all(len(talk.rendered.ids) <= limit for talk in source.talks(range(source.samples(2))))


def test_one_long_title_that_nobody_had_refuses_no_choice_among_candidates():
    """A choice keeps its shortest candidates; what has to be shown decides, not the longest title of the catalog."""
    items = [Item(str(n), f"{n} " + ("z" * 900 if n == 0 else "red moon")) for n in range(30)]
    catalog = make_catalog("one", items, {f"u{u}": [str(1 + (7 * u + 3 * n) % 29) for n in range(8)] for u in range(9)})
    chat = tiny_chat(catalog.titles)[1]
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRanking"), max_token_length=700, candidate_num=8)
    source = DrawnSamples(catalog, chat, WholeTeacher(30), [], config)
    source.check(9)
    talks = source.talks(range(81))
    assert all(len(talk.rendered.ids) <= 700 for talk in talks) and source.cut
    assert {len(talk.about["candidates"]) for talk in talks} >= {7, 8}


@pytest.mark.parametrize("target", [0, 1])
def test_the_title_that_makes_a_choice_too_long_is_among_those_named(target):
    """With two candidates the other one has to be shown: the target's own title does not stand for it."""
    items = [Item(str(n), f"{n} " + ("z" * 300 if n < 2 else "red moon")) for n in range(6)]
    catalog = make_catalog("two", items, {"u": ["5", str(target), "4", "3"]})
    chat = tiny_chat(catalog.titles)[1]
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRanking"), max_token_length=900, candidate_num=2)
    with pytest.raises(ValueError, match="titles of '[01]' \\(3.. tokens\\), '[01]' "):
        DrawnSamples(catalog, chat, WholeTeacher(6), [], config).check(1)


def test_a_chat_whose_first_round_does_not_fit_is_left_out():
    exchange = (message("user", "red moon " * 200), message("assistant", "no"))
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("ShareChatGPT"), max_token_length=200)
    source = DrawnSamples(CATALOG, CHAT, FixedTeacher(), [exchange, EXCHANGE], config)
    source.check(2)
    assert {talk.messages[1] for talk in source.talks(range(18))} == {EXCHANGE[0]}
    with pytest.raises(ValueError, match="too short for every conversation"):
        DrawnSamples(CATALOG, CHAT, FixedTeacher(), [exchange], config)


@pytest.mark.parametrize("n_items", [4, 20, 26, 30])
def test_a_catalog_hardly_larger_than_a_history_is_trained_on(n_items):
    """The recipe shows 25 events; what the history shows is hidden, not what it might."""
    catalog = make_catalog(
        "few",
        [Item(str(n), f"title {n}") for n in range(n_items)],
        {f"u{u}": [str((u + step) % n_items) for step in range(n_items)] for u in range(6)},
    )
    config = dataclasses.replace(CONFIG, max_history=25, topk=10, teacher_depth=100)
    source = DrawnSamples(catalog, tiny_chat(catalog.titles)[1], WholeTeacher(n_items), [EXCHANGE], config)
    for plan, talk in zip(source.plans(range(40)), source.talks(range(40)), strict=True):
        left = n_items - len({*plan.history, plan.target})
        assert talk.about["k"] == min(plan.spec.k, left + 1)


def test_a_teacher_that_gives_too_few_is_still_told():
    class Stingy(WholeTeacher):
        def top_k(self, histories, k, scores=False):
            lists, p = super().top_k(histories, k, scores=True)
            return [row[:1] for row in lists], [row[:1] for row in p]

    source = DrawnSamples(CATALOG, CHAT, Stingy(20), [EXCHANGE], dataclasses.replace(CONFIG, topk=4))
    with pytest.raises(ValueError, match="the teacher gave [01] items .* are needed and"):
        source.talks(range(40))


def test_the_teacher_is_asked_about_beginnings_only_where_they_are_learned():
    queried = []

    class RecordingTeacher(FixedTeacher):
        def top_k(self, histories, k, scores=False):
            queried.extend(tuple(h) for h in histories)
            return super().top_k(histories, k, scores)

    source = DrawnSamples(
        CATALOG,
        CHAT,
        RecordingTeacher(),
        [EXCHANGE],
        dataclasses.replace(CONFIG, tasks=parse_tasks("SFTSeqRec,ShareChatGPT")),
    )
    plans = source.plans(range(40))
    source.ask_ahead(range(40))
    expected = {
        tuple(CATALOG.ids(plan.history[:end]))
        for plan in plans
        if plan.template is not None
        for end in range(1 if plan.marked else len(plan.history), len(plan.history) + 1)
    }
    assert set(queried) == expected


@pytest.mark.parametrize(
    "tasks,catalog,exchanges,match",
    [
        (
            "SFTCategory",
            make_catalog("bare", [Item(str(i), f"t {i}") for i in range(9)], {"u": [str(i) for i in range(5)]}),
            [],
            "two or more categories",
        ),
        ("ShareChatGPT", CATALOG, [], "`share_chat_gpt`"),
    ],
)
def test_a_task_that_cannot_be_fed_is_refused_at_the_start(tasks, catalog, exchanges, match):
    with pytest.raises(ValueError, match=match):
        DrawnSamples(catalog, CHAT, FixedTeacher(), exchanges, dataclasses.replace(CONFIG, tasks=parse_tasks(tasks)))


def test_a_chat_that_does_not_fit_loses_its_last_round():
    long = (*EXCHANGE, message("user", "and?"), message("assistant", "the end " * 30))
    config = dataclasses.replace(CONFIG, tasks=parse_tasks("ShareChatGPT"), max_token_length=90)
    (talk,) = DrawnSamples(CATALOG, CHAT, FixedTeacher(), [long], config).talks([0])
    assert talk.messages[1:] == EXCHANGE


def test_a_catalog_without_users_trains_no_task():
    with pytest.raises(ValueError, match="'cold' has no user with two training events; nothing can be trained"):
        trainable_users(make_catalog("cold", [Item("a", "A")]))
