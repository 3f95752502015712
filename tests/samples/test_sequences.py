"""Sequence samples cover every training event, label every item, and never see what is tested."""

from collections import Counter
from dataclasses import replace
from itertools import chain, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import coded_chat, tiny_chat
from tiny_samples import CONFIG, TITLES, FixedTeacher, drawn, small_catalog

from train_utils.catalog import Item, make_catalog
from train_utils.samples.batch import collate
from train_utils.samples.encode import ScopeLabels, encode_code_sample, encode_sample
from train_utils.samples.prefetch import SampleStream, spread
from train_utils.samples.sequences import MixedSamples, SequenceSamples, n_windows, window_starts


def long_catalog():
    items = [Item(str(i), title) for i, title in enumerate(TITLES)]
    sequences = {f"u{n}": [str(i % 20) for i in range(n)] for n in (3, 4, 5, 9, 14, 20)}
    return make_catalog("long", items, sequences)


def windows(length=4, catalog=None, config=CONFIG, teacher=None, form="token"):
    chat = coded_chat(TITLES, form)[1]
    return SequenceSamples(catalog or long_catalog(), chat, teacher or FixedTeacher(), config, length)


@pytest.mark.parametrize("length", [2, 3, 5, 50])
def test_each_pass_labels_every_training_event_once(length):
    catalog = long_catalog()
    source = windows(length)
    for epoch in range(3):
        n = source.samples(1)
        labeled = Counter()
        for window in map(source._window, range(epoch * n, (epoch + 1) * n)):
            assert window.end - window.start <= length + 1
            labeled.update((window.user, at) for at in range(window.start + 1, window.end))
        trained = [sequence for sequence in catalog.training_sequences() if len(sequence) >= 2]
        assert labeled == Counter((user, at) for user, sequence in enumerate(trained) for at in range(1, len(sequence)))


def test_the_borders_move_from_pass_to_pass():
    assert len({window_starts(20, 4, f"draw {n}") for n in range(20)}) > 1
    assert all(len(window_starts(events, 4, "x")) == n_windows(events, 4) for events in range(2, 40))


def test_other_items_follow_soi_in_the_next_pass():
    source = windows(50)
    n = source.samples(1)

    def opened(epoch):
        return {window.user: window.opened for window in map(source._window, range(epoch * n, (epoch + 1) * n))}

    assert len({tuple(sorted(opened(epoch).items())) for epoch in range(4)}) > 1


def test_a_window_is_the_bare_codes_of_a_history_and_each_later_item_is_a_choice():
    source = windows(50)
    chat, config = source.chat, replace(CONFIG, soft_labels=0.0)
    opened = 0
    for number, talk in enumerate(source.talks(range(source.samples(1)))):
        window = source._window(number)
        items = source.sequences[window.user][window.start : window.end]
        sample = encode_code_sample(chat, None, talk, config)
        assert [chat.item_tokens.index(t) for t in sample.ids if t in chat.item_tokens] == list(items)
        assert sample.ids[-2:] == [chat.soi, chat.code_ids[items[-1]][0]], "the last item follows <SOI>"
        assert not sample.text
        predicted = []
        for (position, weight, tokens, _), closed in zip(sample.choices, sample.closed, strict=True):
            seen = [chat.item_tokens.index(t) for t in sample.ids[:position] if t in chat.item_tokens]
            (item,) = tokens.tolist()
            assert item == items[len(seen)] and set(closed.tolist()) == set(seen) - {item} and weight > 0
            predicted.append(len(seen))
        assert set(predicted) == set(range(1, len(items)))
        assert len(predicted) - len(set(predicted)) == sample.ids.count(chat.soi)
        opened += sample.ids.count(chat.soi)
    assert opened >= source.samples(1)


def test_a_window_of_codes_of_several_tokens_is_labeled_at_every_choice_of_each_later_item():
    source = windows(50, form="rq_token_seq")
    config, labels = replace(CONFIG, soft_labels=0.0, history_weight=1.0), ScopeLabels(source.chat.trie)
    for talk in source.talks(range(source.samples(1))):
        sample = encode_sample(source.chat, labels, talk, config)
        items = [item for _, item in talk.rendered.items]
        codes = [token for item in items for token in source.chat.code_ids[item]]
        assert [token for token in sample.ids[1:] if token != source.chat.soi] == codes and not sample.text
        chosen = {position: (tokens, share) for position, _, tokens, share in sample.choices}
        for n, start in enumerate(start + 1 for start, _ in talk.rendered.items):
            code = source.chat.code_ids[items[n]]
            for depth, token in enumerate(code if n else ()):
                open_codes = [ids for i, ids in enumerate(source.chat.code_ids) if i not in items[:n] or i == items[n]]
                following = {ids[depth] for ids in open_codes if ids[:depth] == code[:depth]}
                assert (start + depth in chosen) == (len(following) > 1)
                if len(following) > 1:
                    tokens, share = chosen[start + depth]
                    assert set(tokens.tolist()) == following and tokens[share.argmax()] == token


def test_soft_labels_follow_the_teacher_after_the_same_history():
    source = windows(50)
    (talk,) = source.talks([0])
    ids, items = talk.rendered.ids, [item for _, item in talk.rendered.items]
    for number, ranking in talk.beginnings.items():
        start, _ = talk.rendered.items[number]
        history = [source.chat.item_tokens.index(t) for t in ids[: start + 1] if t in source.chat.item_tokens]
        expected, _ = FixedTeacher().top_k([[str(i) for i in history]], 5, scores=True)
        assert [str(i) for i in ranking.items[:5]] == expected[0]
    assert len(talk.beginnings) == len(items) - 1


def test_talks_are_the_same_at_every_call_and_in_every_grouping():
    source = windows()
    numbers = range(2 * source.samples(1))
    assert source.talks(numbers) == [talk for number in numbers for talk in source.talks([number])]


def test_sequences_need_codes_and_room():
    with pytest.raises(ValueError, match="item codes"):
        SequenceSamples(long_catalog(), tiny_chat(TITLES)[1], None, CONFIG, 4)
    with pytest.raises(ValueError, match="max_sequence"):
        windows(50, config=replace(CONFIG, max_token_length=30)).check(1)


def test_two_sources_are_mixed_evenly_and_whole():
    chat = coded_chat(TITLES)[1]
    conversations, sequences = drawn(chat), windows()
    mixed = MixedSamples(conversations, 5, sequences)
    total = mixed.samples(2)
    assert total == 10 + sequences.samples(2)
    talks = mixed.talks(range(total))
    of_each = [talk for talk in talks if talk.task != "Sequence"], [talk for talk in talks if talk.task == "Sequence"]
    assert of_each[0] == conversations.talks(range(10))
    assert of_each[1] == sequences.talks(range(sequences.samples(2)))
    half = sum(talk.task == "Sequence" for talk in talks[: total // 2])
    assert abs(half - len(of_each[1]) / 2) <= 1
    assert mixed.talks([5, 2]) == [talks[5], talks[2]]


@pytest.mark.parametrize("apart", [False, True])
def test_the_text_of_a_conversation_weighs_as_asked_and_items_weigh_once(apart):
    chat = coded_chat(TITLES)[1]
    mixed = MixedSamples(drawn(chat), 5, windows(), text_weight=5.0)
    for talk in mixed.talks(range(12)):
        sample = encode_code_sample(chat, None, talk, CONFIG)
        assert sample.text_weight == (1.0 if talk.task == "Sequence" else 5.0)
        batch = collate([sample, replace(sample, text_weight=1.0)], 1, apart)
        (text, plain), (items, same) = (
            [float(weight[batch.sample_of(at) == n].sum()) for n in (0, 1)]
            for at, weight in ((batch.text_at, batch.text_weight), (batch.choice_at, batch.choice_weight))
        )
        assert text == pytest.approx(sample.text_weight * plain) and items == pytest.approx(same)
        assert (plain > 0) == (talk.task != "Sequence")
        assert (plain, same) == pytest.approx((0.5, 0.5)) if apart and plain else plain + same == pytest.approx(0.5)


def test_a_batch_keeps_what_each_choice_excludes():
    source = windows(50)
    samples = [encode_code_sample(source.chat, None, talk, CONFIG) for talk in source.talks(range(4))]
    batch = collate(samples, 1, apart=True)
    choice = 0
    for sample in samples:
        for closed in sample.closed:
            assert sorted(batch.closed[batch.closed_choice == choice].tolist()) == sorted(closed.tolist())
            choice += 1
    assert choice == len(batch.choice_at)


@pytest.mark.parametrize("packed", [False, True])
def test_a_stream_of_both_is_built_ahead(packed):
    chat = coded_chat(TITLES)[1]
    mixed = MixedSamples(drawn(chat), 9, windows(catalog=small_catalog()))
    stream = SampleStream(mixed, chat, encode_code_sample, 3, 2, 1, torch.device("cpu"), 1, True, packed)
    steps = [stream(step) for step in range(stream.steps(1))]
    assert {task for step in steps for batch in step for task in batch.tasks} > {"Sequence"}
    assert len({batch.seed for step in steps for batch in step}) == sum(map(len, steps))
    assert all(len(batch.ids) == 1 and batch.mask.all() for step in steps for batch in step) == packed
    assert sum(len(batch.tasks) for step in steps for batch in step) >= mixed.samples(1)
    stream.close()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 4))
def test_parts_of_a_step_hold_every_sample_once_and_about_equal_numbers_of_tokens(lengths, n):
    parts = spread(lengths, n)
    assert sorted(chain.from_iterable(parts)) == list(range(len(lengths))) and len(parts) == min(n, len(lengths))
    ways = product(range(len(parts)), repeat=len(lengths))
    best = min(
        max(sum(size for size, at in zip(lengths, way, strict=True) if at == part) for part in range(n)) for way in ways
    )
    # Graham, SIAM J. Appl. Math. 17 (1969): the longest first is at most a third worse than the best.
    assert max(sum(lengths[i] for i in part) for part in parts) <= best * (4 / 3 - 1 / (3 * n)) + 1e-9


@pytest.mark.parametrize("form", ["token", "rq_token_seq"])
def test_no_window_is_longer_than_the_limit_that_is_checked(form):
    source = windows(4, form=form)
    longest = max(len(talk.rendered.ids) for talk in source.talks(range(20 * source.samples(1))))
    source.config = replace(CONFIG, max_token_length=longest - 1)
    with pytest.raises(ValueError, match="max_sequence"):
        source.check(1)
