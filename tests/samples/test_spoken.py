"""A conversation keeps to all that its user says, as the chat itself reads it."""

import dataclasses
import random
import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from tiny import coded_chat, tiny_chat
from tiny_samples import CONFIG

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.reader import RequestReader
from train_utils.dialogue.dialogue import Dialogue
from train_utils.evaluation import simulated_users
from train_utils.prompts import conversation_wordings
from train_utils.prompts.list_spec import LIST_LENGTH
from train_utils.prompts.messages import ItemPart, numbered
from train_utils.prompts.renderer import Chat
from train_utils.prompts.title_forms import spoken_title
from train_utils.recommender import Recommender
from train_utils.samples.encode import ScopeLabels, encode_code_sample, encode_retrieval_sample, encode_sample
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.ranges_of_target import around, leaves_room, outside, usable_attributes
from train_utils.samples.sources import DrawnSamples
from train_utils.samples.spoken import outline
from train_utils.samples.tasks import parse_tasks
from train_utils.training.loss import batch_loss

COLORS = ("Amber", "Crimson", "Silver", "Golden", "Scarlet", "Emerald")
THINGS = ("Harbor", "Orchard", "Lantern", "Meadow", "Cathedral", "Voyage", "Canyon", "Tempest", "Sparrow", "Monarch")
TITLES = [f"{color} {thing}" + ", The" * (color == "Golden") for color in COLORS for thing in THINGS]
KINDS = (("Comedy",), ("Drama", "War"), (), ("Comedy", "Romance"), ("Drama",), ("Western", "Romance"), ("Musical",))
WANTED = dataclasses.replace(
    CONFIG, tasks=parse_tasks("SFTConversation"), max_history=10, topk=10, idx=True, max_token_length=2000
)


def films(categories=True, attributes=True):
    rng = random.Random(1)
    items = [
        Item(
            str(i),
            title,
            KINDS[i % 7] if categories else (),
            attributes={"year": 1950 + rng.randrange(50), "rating": rng.randrange(20, 50) / 10} if attributes else {},
        )
        for i, title in enumerate(TITLES)
    ]
    return make_catalog("films", items, {f"u{u}": [str(i) for i in rng.sample(range(60), 14)] for u in range(20)})


class ShortTeacher:
    """Ranks a few items after the last one of a history: lists with conditions need others as well."""

    def top_k(self, histories, k, scores=False):
        lists = [[str((int(h[-1]) + 7 * step) % 60) for step in range(1, 25)] for h in histories]
        lists = [[i for i in row if i not in h][:k] for row, h in zip(lists, histories, strict=True)]
        probabilities = [[2.0 ** -(rank + 1) for rank in range(len(row))] for row in lists]
        return (lists, probabilities) if scores else lists


CATALOG = films()
MODEL, _TINY = tiny_chat(TITLES)
CHAT = Chat(_TINY.tokenizer, TITLES)


def conversations(config=WANTED, catalog=CATALOG, chat=CHAT):
    return DrawnSamples(catalog, chat, ShortTeacher(), [], config)


def turns(talk):
    """(text of the user, parts of the answer, items of the answer, what was said) of each turn."""
    spoken = talk.messages[1:]
    for user, answer, said in zip(spoken[::2], spoken[1::2], talk.about["turns"], strict=True):
        (text,) = user.parts
        assert (user.role, answer.role) == ("user", "assistant")
        yield text, answer.parts, [part.item for part in answer.parts if isinstance(part, ItemPart)], said


def test_every_list_is_one_that_the_chat_itself_could_give():
    """The chat reads the messages: what it would force is as long as the list, admits its items, and looks the same."""
    recommender = Recommender(MODEL, CHAT, CATALOG)
    reader = RequestReader(CATALOG, recommender.named_titles)
    seen = Counter()
    for talk in conversations().talks(range(300)):
        dialogue = Dialogue(recommender, reader, max_new_tokens=8)
        target, targets = CATALOG.index[talk.about["target"]], []
        for text, answer, items, said in turns(talk):
            heard = dialogue.hear(text)
            assert talk.rendered.ids[: len(heard.prompt)] == heard.prompt, "the sample is token for token the chat"
            assert heard.change.asks and (dialogue.preferences.count or LIST_LENGTH) == said["k"], text
            plan = dialogue.plan(heard, None)
            assert plan.n_items == len(items) == len(set(items)), text
            assert bool(plan.problem) == (not items), text
            if items:
                assert plan.constraint.admitted[items].all(), text
                request = dialogue.request(heard, plan)
                assert answer == numbered(items, request.idx)
                targets.append(items.index(target) if target in items else None)
            else:
                (sentence,) = answer
                assert sentence in conversation_wordings.NOTHING
            dialogue.record(heard.user, answer)
            seen.update([len(items) < said["k"] and "short", *(name for name in said if name not in ("k", "named"))])
            seen.update({"nothing": not items})
        assert targets == [None] * (len(targets) - 1) + [0]
        seen[len(targets)] += 1
    assert min(seen[name] for name in (1, 2, 3, 4, "short", "only", "without", "where", "nothing")) >= 15


def test_lists_are_the_teachers_best_that_fit_and_then_popular_ones():
    source = conversations()
    for plan, talk in zip(source.plans(range(100)), source.talks(range(100)), strict=True):
        again, target = outline(plan).again, CATALOG.index[talk.about["target"]]
        listed = set()
        for turn, (_, _, items, said) in enumerate(turns(talk)):
            told = plan.history[: outline(plan).split] if turn < again else plan.history
            ranked = CATALOG.indices(ShortTeacher().top_k([CATALOG.ids(told)], 59)[0])
            best = [*ranked, *(i for i in CATALOG.most_popular if i not in ranked)]
            fitting = [i for i in best if i not in listed and i != target and admits(said, CATALOG.items[i])]
            others = [item for item in items if item != target]
            assert others == fitting[: len(others)]
            listed.update(items)


def admits(said, item):
    return (
        item.id not in said["named"]
        and said.get("only", next(iter(item.categories), "")) in (*item.categories, "")
        and not {*said.get("without", ())} & {*item.categories}
        and all(
            bounds.get(">=", 0) <= item.attributes[name] <= bounds.get("<=", 9999)
            for name, bounds in said.get("where", {}).items()
        )
    )


def test_titles_are_told_in_words_oldest_first_and_the_target_never():
    twice = 0
    for talk in conversations().talks(range(100)):
        texts = [text for text, *_ in turns(talk)]
        told = [i for i in CATALOG.indices(talk.about["history"])]
        named = " / ".join(texts)
        places = [named.find(spoken_title(TITLES[item])) for item in told]
        kept = [place for place in places if place >= 0]
        assert kept == sorted(kept) and kept, "what a dropped turn would tell is missing"
        assert spoken_title(TITLES[CATALOG.index[talk.about["target"]]]) not in named and "<" not in named
        twice += len(texts) > 1 and any(spoken_title(TITLES[item]) in text for text in texts[1:] for item in told)
    assert 10 <= twice <= 60


def test_a_user_who_takes_an_item_again_does_not_name_it():
    catalog = make_catalog("again", CATALOG.items, {"u": ["1", "1", "1", "2", "1", "1", "1", "5", "6"]})
    for talk in conversations(catalog=catalog).talks(range(60)):
        *_, last = (items for _, _, items, _ in turns(talk) if items)
        assert last[0] == catalog.index[talk.about["target"]]
        assert all(talk.about["target"] not in said["named"] for *_, said in turns(talk))


@pytest.mark.parametrize(("categories", "attributes"), [(False, True), (True, False), (False, False)])
def test_a_catalog_without_categories_or_attributes_has_no_turns_about_them(categories, attributes):
    said = Counter()
    for talk in conversations(catalog=films(categories, attributes)).talks(range(80)):
        for *_, items, stated in turns(talk):
            assert items or attributes
            said.update(stated.keys())
    assert bool(said["only"] and said["without"]) == categories and bool(said["where"]) == attributes


def test_a_conversation_is_a_function_of_its_number():
    whole = conversations().talks(range(30))
    again = conversations()
    assert [again.talks([number])[0] for number in reversed(range(30))] == whole[::-1]
    assert len({talk.messages for talk in whole}) == 30


def test_a_conversation_that_is_too_long_tells_fewer_titles_and_then_has_fewer_turns():
    limit, cut = 420, Counter()
    whole = conversations(dataclasses.replace(WANTED, max_token_length=10**6)).talks(range(60))
    source = conversations(dataclasses.replace(WANTED, max_token_length=limit))
    source.check(3)
    for before, talk in zip(whole, source.talks(range(60)), strict=True):
        told, full = (len(one.about["history"]) for one in (talk, before))
        assert len(talk.rendered.ids) <= limit
        if len(before.rendered.ids) <= limit:
            assert talk == before
        else:
            assert told < full or talk.cut
        assert told == 1 or not talk.cut
        cut[told < full, talk.cut] += 1
        *_, last = (items for _, _, items, _ in turns(talk) if items)
        assert last[0] == CATALOG.index[talk.about["target"]]
    assert cut[True, False] and cut[True, True] and source.cut


def test_what_cannot_fit_is_refused_before_the_first_step_and_nothing_else():
    refused = 0
    for limit in range(120, 200, 8):
        source = conversations(dataclasses.replace(WANTED, max_token_length=limit))
        try:
            source.check(1)
        except ValueError:
            refused += 1
            with pytest.raises(ValueError, match="`max_token_length`"):
                source.talks(range(20))
        else:
            assert all(len(talk.rendered.ids) <= limit for talk in source.talks(range(20)))
    assert 0 < refused < 10


@pytest.mark.parametrize(
    ("form", "encode"),
    [("title_t", encode_sample), ("title_t", encode_retrieval_sample), ("token", encode_code_sample)],
)
def test_answers_alone_are_trained_and_soft_labels_keep_to_what_was_said(form, encode):
    chat = CHAT if form == "title_t" else coded_chat(TITLES, form)[1]
    source = conversations(chat=chat)
    trie = ScopeLabels(chat.trie)
    for talk in source.talks(range(40)):
        sample = encode(chat, trie, talk, source.config)
        labeled = {position for position, _ in sample.text}
        answers = [entry for entry in talk.messages if entry.role == "assistant"]
        prompts = [chat.render(talk.messages[:at], prompt=True).ids for at in range(2, len(talk.messages), 2)]
        assert {len(prompt) for prompt in prompts} <= labeled | {at for at, *_ in sample.choices}
        assert all(talk.rendered.labeled[at] for at in labeled | {choice[0] for choice in sample.choices})
        lists = [[p.item for p in entry.parts if isinstance(p, ItemPart)] for entry in answers]
        said = [stated for stated, items in zip(talk.about["turns"], lists, strict=True) if items]
        rankings = [*talk.ranked_before, talk.ranked]
        assert len(rankings) == len(said)
        for stated, ranking in zip(said, rankings, strict=True):
            assert all(admits(stated, CATALOG.items[item]) for item in ranking.items)
        if encode is not encode_sample:
            of_list = [number for number, items in enumerate(filter(None, lists)) for _ in items]
            before = set()
            for number, item, (_, _, items, shares) in zip(of_list, sum(lists, []), sample.choices, strict=True):
                assert {*items.tolist()} == {item, *rankings[number].items} - before
                assert shares.sum() == pytest.approx(1)
                before.add(item)


def test_conversations_train_together_with_other_tasks():
    config = dataclasses.replace(WANTED, tasks=parse_tasks("SFTSeqRec,SFTConversation"))
    stream = SampleStream(conversations(config), CHAT, encode_sample, 4, 1, 1, torch.device("cpu"), epochs=1)
    batch = stream(0)[0]
    hidden = MODEL.model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
    loss, parts = batch_loss(hidden, MODEL.get_output_embeddings(), batch)
    stream.close()
    assert np.isfinite(loss.item()) and {*batch.tasks} <= parts.keys() and len({*batch.tasks}) == 2


# -- wordings and ranges -----------------------------------------------------------------------------------------------


def bare(wording):
    """A wording without its fields, case and punctuation."""
    return " ".join(re.findall(r"\w+", re.sub(r"\{\w+\}", " ", wording.replace("{s}", "s")).lower()))


def test_every_kind_of_message_has_a_dozen_wordings_with_a_number_and_a_dozen_without():
    named = ("LIKED", "LIKED_TOO", "DISLIKED", "ASK", "MORE", "ONLY", "WITHOUT", "RANGE", "NOTHING")
    for kind in named:
        wordings = getattr(conversation_wordings, kind)
        numbered = sum("{n}" in wording for wording in wordings)
        assert len(set(map(bare, wordings))) == len(wordings) >= 12, kind
        assert numbered in (0, len(wordings) // 2) and (numbered or len(wordings)) >= 12, kind


def test_no_wording_is_one_of_the_evaluation():
    groups = {
        name: group
        for name, group in vars(simulated_users).items()
        if isinstance(group, tuple) and all(isinstance(wording, str) for wording in group)
    }
    assert len(groups) == 7
    tested = {bare(wording) for group in groups.values() for wording in group}
    words = conversation_wordings
    asked = [*words.ASK, *words.MORE, *words.ONLY, *words.WITHOUT]
    phrases = [phrase for group in (words.YEARS, words.NUMBERS) for shape in group.values() for phrase in shape]
    asked += [frame.replace("{which}", phrase) for frame, phrase in product(words.RANGE, phrases)]
    told = [*words.LIKED, *words.LIKED_TOO, *words.DISLIKED]
    mine = {*map(bare, told), *map(bare, asked), *(bare(f"{one} {other}") for one, other in product(told, asked))}
    assert not mine & tested


def test_ranges_have_the_target_or_no_item_at_all():
    items = [
        Item(str(n), f"t{n}", attributes={"year": 1930 + 2 * n, "price": 3.5 * n, "n_pages": 40 + n, "debt": -n})
        for n in range(40)
    ]
    catalog, rng = make_catalog("numbers", items), random.Random(0)
    assert set(usable_attributes(catalog)) == {"year", "price", "n_pages"}
    for name, _ in product(usable_attributes(catalog), range(200)):
        item = rng.choice(items)
        bounds = around(catalog, name, item.attributes[name], rng)
        assert bounds.admits(item) and len(bounds.to_dict()) >= 1 and not bounds.admits(Item("x", "x"))
        assert leaves_room(catalog, name)
        assert not any(map(outside(catalog, name, None, rng).admits, items))
        members = rng.sample(range(40), 3)
        assert not any(outside(catalog, name, members, rng).admits(items[i]) for i in members)
