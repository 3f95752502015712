"""What a model expects after a bare history equals the plain softmax, and enters lists beside its own choice."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import coded_chat, tiny_chat

from train_utils import Recommendation, Recommender
from train_utils.catalog import Item, make_catalog
from train_utils.constraint.constraint import Constraint, Prior, product
from train_utils.constraint.matcher import Matcher
from train_utils.conversation.reader import RequestReader
from train_utils.decoding.engine import Engine
from train_utils.decoding.next_item import next_item_shares
from train_utils.decoding.reference import PlainEngine
from train_utils.dialogue.dialogue import Dialogue
from train_utils.dialogue.expectations import Expectations
from train_utils.dialogue.weights import Weights
from train_utils.models.item_similarity import ItemSimilarity
from train_utils.priors import SEQUENCE_WEIGHT
from train_utils.prompts.list_spec import ListSpec, list_messages
from train_utils.prompts.renderer import Chat

TITLES = ["red", "red moon", "red moon 2", "the end", "é", "夜", "a", "blue river return of the red moon", "b 1", "b 2"]
ITEMS = [Item(str(n), title, ("all",)) for n, title in enumerate(TITLES)]
CATALOG = make_catalog("tiny", ITEMS, {"u": ["0", "1", "2"]})


def made(form="token", sequences=True):
    model, chat = coded_chat(TITLES, form, 0)
    return model.double(), Chat(chat.tokenizer, TITLES, codes=replace(chat.codes, sequences=sequences))


def plain_shares(model, chat, history):
    """Return float64 [items] by one pass over one history, without a cache or a batch."""
    with torch.no_grad():
        logits = model(torch.tensor([chat.history_ids(history)])).logits[0, -1]
    return logits[[token for (token,) in chat.code_ids]].softmax(0).numpy()


@pytest.mark.parametrize("form", ["token", "token_title"])
@pytest.mark.parametrize("kind", [Engine, PlainEngine])
def test_the_shares_are_the_plain_softmax_over_the_catalog(form, kind):
    model, chat = made(form)
    histories = [[3], [0, 1, 2, 3, 4, 5], [9, 9], list(range(10)) * 3]
    shares = next_item_shares(kind(model, chat), histories)
    assert np.allclose(shares, [plain_shares(model, chat, history) for history in histories], rtol=1e-9)
    assert np.allclose(shares.sum(1), 1)


def test_a_history_starts_as_conversations_do_and_holds_nothing_but_codes():
    _, chat = made()
    prompt = chat.render(list_messages([3], ListSpec(2)), prompt=True).ids
    assert chat.history_ids([3, 5]) == [prompt[0], *chat.code_ids[3], *chat.code_ids[5]]


@pytest.mark.parametrize("form", ["token", "token_title"])
@pytest.mark.parametrize("weight", [0.0, None, 0.5])
def test_a_list_ranks_by_the_choice_in_the_conversation_and_the_expectation_together(form, weight):
    model, chat = made(form)
    recommender = Recommender(model, chat, CATALOG, sequence_weight=weight)
    listed = recommender.recommend(["3", "0"], k=8)
    prompt = chat.render(list_messages([3, 0], ListSpec(8), marked_history=True), prompt=True).ids
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *chat.encode("1. "), chat.soi]])).logits[0, -1]
    still_open = [item for item in range(len(TITLES)) if item not in (0, 3)]
    choice = logits[[chat.code_ids[item][0] for item in still_open]].log_softmax(0).numpy()
    expected = plain_shares(model, chat, [3, 0])[still_open]
    scores = choice + (SEQUENCE_WEIGHT if weight is None else weight) * np.log(expected / expected.sum())
    order = np.argsort(-scores, kind="stable")
    assert [int(one.id) for one in listed] == [still_open[at] for at in order]
    assert np.allclose([one.score for one in listed], scores[order], atol=1e-6)


def test_the_model_sees_no_more_of_a_history_than_max_history():
    model, chat = made()
    recommender = Recommender(model, chat, CATALOG)
    shown = recommender.recommend(["0", "1", "2"], k=3, max_history=1)
    rules = {"deny": ["0", "1"]}
    assert [one.id for one in shown] == [one.id for one in recommender.recommend(["2"], k=3, rules=rules)]


@pytest.mark.parametrize(("form", "sequences"), [("token", False), ("rq_token_seq", True)])
def test_a_model_that_never_saw_bare_histories_or_has_longer_codes_is_not_asked(form, sequences):
    model, chat = made(form, sequences)
    recommender = Recommender(model, chat, CATALOG)
    assert recommender.sequence_weight == 0
    assert recommender.sequence_priors([[1, 2]]) == [None]


def test_an_empty_history_tells_nothing():
    model, chat = made()
    recommender = Recommender(model, chat, CATALOG)
    assert recommender.sequence_weight == SEQUENCE_WEIGHT
    first, second = recommender.sequence_priors([[], [1]])
    assert first is None and second is not None
    alone = Recommender(model, chat, CATALOG, sequence_weight=0.0)
    assert recommender.recommend([], k=3) == alone.recommend([], k=3)


def test_a_weight_for_a_model_that_spells_titles_is_one_line():
    with pytest.raises(ValueError, match=r"`sequence_weight` 2.0 needs .* one token per item.*title_t.*give 0"):
        Recommender(*tiny_chat(TITLES), CATALOG, sequence_weight=2.0)
    with pytest.raises(ValueError, match="`sequence_weight` is -1, wanted a finite number"):
        Recommender(*made(), CATALOG, sequence_weight=-1)


def test_the_product_of_priors_adds_what_both_add():
    _, chat = made()
    rng = random.Random(0)
    priors = [Prior(np.array([rng.random() for _ in TITLES]), weight, "sum") for weight in (3.0, 32.0)]

    def added(prior):
        matcher = Matcher(Constraint(chat.trie, deny=[4], prior=prior))
        matcher.accept_token(chat.soi)
        return matcher.prior()[0]

    def centered(values):
        return values - values.mean()

    assert np.allclose(centered(added(product(*priors))), centered(sum(map(added, priors))))
    assert np.allclose(centered(added(product(*priors[::-1]))), centered(sum(map(added, priors))))
    nothing = product(*(replace(prior, weight=0.0) for prior in priors))
    assert nothing.weight == 0


def test_a_teacher_and_the_model_s_own_expectation_enter_together():
    class Teacher:
        def top_k(self, histories, k, scores=False):
            return [["7", "8"]] * len(histories), [[0.9, 0.1]] * len(histories)

    model, chat = made()
    led = Recommender(model, chat, CATALOG, teacher=Teacher(), prior_weight=50.0)
    assert [one.id for one in led.recommend(["3"], k=2)] == ["7", "8"]
    unled = Recommender(model, chat, CATALOG, teacher=Teacher(), prior_weight=0.0)
    alone = Recommender(model, chat, CATALOG)
    assert [one.id for one in unled.recommend(["3"], k=9)] == [one.id for one in alone.recommend(["3"], k=9)]


def test_named_items_may_be_listed_by_the_model_s_choice_alone():
    """Training closes the history at every choice, so that its own items have no learned expectation."""
    recommender = Recommender(*made(), CATALOG)
    assert recommender._chat_constraint(None, [[3]], False).prior is None
    assert recommender._chat_constraint(None, [[3]], True).prior is not None


def test_of_several_items_with_one_title_the_most_popular_one_is_history():
    catalog = make_catalog("tiny", ITEMS, {"u": ["0", "2", "2", "1"]})
    recommender = Recommender(*made(), catalog)
    both, one = (recommender.named_prior(mentions).scores for mentions in ([[1, 2], [5]], [[2], [5]]))
    assert (both == one).all()


def test_a_dialogue_takes_named_titles_for_a_history():
    recommender = Recommender(*made(), CATALOG)
    talk = Dialogue(recommender, RequestReader(CATALOG, recommender.named_titles), max_new_tokens=20)
    talk.hear("I liked The End and 'b 1'")
    weights = Weights(similarity=0.0, popularity=0.0)
    (prior,) = Expectations(recommender, ItemSimilarity.of(CATALOG), weights=weights).priors([talk.taste])
    expected = plain_shares(recommender.model, recommender.renderer, [3, 8])
    assert np.allclose(prior.scores / prior.scores.sum(), expected)


def test_a_history_longer_than_the_context_is_one_line():
    recommender = Recommender(*made(), CATALOG)
    assert recommender.context
    with pytest.raises(ValueError, match="the context has .*show less of the history"):
        recommender.recommend(["0", "1", "2"] * recommender.context, k=2, max_history=10**6)


@pytest.mark.parametrize("decoding", ["greedy", "best", "rank"])
def test_a_conversation_takes_the_titles_that_its_user_names_for_a_history(decoding):
    model, chat = made()
    with torch.no_grad():  # opens items often
        rows = model.get_output_embeddings().weight
        rows[chat.soi] += 3 * rows[chat.encode(" ")[0]]
    recommender = Recommender(model, chat, CATALOG, sequence_weight=1e6)
    said = [
        {"role": "user", "content": "I liked The End"},
        {"role": "assistant", "content": "Good choice."},
        {"role": "user", "content": "and 'b 1' too, recommend"},
    ]
    constraint = recommender._chat_constraint(None, [[3], [8]], True)
    expected = plain_shares(model, chat, [3, 8])
    assert np.allclose(constraint.prior.scores, expected)
    events = list(recommender.chat(said, decoding=decoding, max_new_tokens=40))
    listed = [int(event.id) for event in events if isinstance(event, Recommendation)]
    order = [item for item in np.argsort(-expected) if item not in (3, 8)]
    assert listed and listed == order[: len(listed)]
