"""The dense scope mask that training is measured against is the same loss, from a mask that is the tree."""

import pytest
import torch
from bench_train import Options, check
from dense_mask import UNLABELLED, DenseScope, dense_batch, dense_mask_loss
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny_chat
from tiny_samples import TITLES, drawn

from train_utils.models.adapters import add_lora
from train_utils.samples.batch import collate
from train_utils.samples.encode import ScopeLabels, encode_sample
from train_utils.samples.plan import SampleConfig
from train_utils.training.method import cgen_loss

EOI = 99
TITLE_LISTS = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=8)
PUBLISHED = SampleConfig(max_history=4, topk=4, multi_round_ratio=0.5)


@pytest.fixture(scope="module")
def model_chat():
    return tiny_chat(TITLES)


def talks_of(chat, n=7):
    source = drawn(chat, PUBLISHED)
    return source, source.talks(range(n))


def gradients(model, loss):
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.autograd.grad(loss, trained)


@given(TITLE_LISTS, st.data())
def test_the_scope_allows_what_titles_that_are_left_go_on_with(titles, data):
    listed = data.draw(st.lists(st.sampled_from(titles), max_size=5))
    for position, (title, scopes) in enumerate(zip(listed, DenseScope(titles, EOI).of_list(listed), strict=True)):
        # A label is always allowed, even where its title was listed before.
        left = [[*other, EOI] for other in titles if other == title or other not in listed[:position]]
        spelled = [*title, EOI]
        expected = [{other[at] for other in left if other[:at] == spelled[:at]} for at in range(len(spelled))]
        assert [set(allowed) for allowed in scopes] == expected
        assert all(len(set(allowed)) == len(allowed) for allowed in scopes)


def test_the_mask_forbids_nothing_outside_answered_items(model_chat):
    model, chat = model_chat
    _, talks = talks_of(chat)
    vocabulary = model.get_output_embeddings().out_features
    batch = dense_batch(talks, chat, DenseScope(chat.title_ids, chat.eoi), 1, vocabulary)
    for row, talk in enumerate(talks):
        inside = set()
        for start, item in talk.rendered.items:
            if talk.rendered.labeled[start]:
                inside |= set(range(start, start + len(chat.title_ids[item]) + 1))
        assert set(batch.forbidden[row].any(1).nonzero().flatten().tolist()) == inside


def test_a_label_is_what_the_assistant_wrote_and_is_allowed(model_chat):
    model, chat = model_chat
    _, talks = talks_of(chat)
    vocabulary = model.get_output_embeddings().out_features
    batch = dense_batch(talks, chat, DenseScope(chat.title_ids, chat.eoi), 1, vocabulary)
    assert not batch.forbidden.gather(2, batch.labels.clamp(min=0)[..., None])[batch.labels != UNLABELLED].any()
    for row, talk in enumerate(talks):
        written = [token for token, on in zip(talk.rendered.ids, talk.rendered.labeled, strict=True) if on]
        assert batch.labels[row][batch.labels[row] != UNLABELLED].tolist() == written
        assert batch.ids[row][batch.mask[row].bool()].tolist() == talk.rendered.ids


def test_the_dense_mask_has_our_loss_and_gradient():
    model, chat = tiny_chat(TITLES)
    adapted = add_lora(model, [chat.soi, chat.eoi], 4, 8, dropout=0.0)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    source, talks = talks_of(chat)
    choices = ScopeLabels(chat.trie)
    sparse, _ = cgen_loss(adapted, collate([encode_sample(chat, choices, talk, source.config) for talk in talks], 1))
    vocabulary = model.get_output_embeddings().out_features
    batch = dense_batch(talks, chat, DenseScope(chat.title_ids, chat.eoi), 1, vocabulary)
    dense, _ = dense_mask_loss(adapted, batch)
    assert dense.item() == pytest.approx(sparse.item(), rel=1e-5)
    for own, theirs in zip(gradients(adapted, sparse), gradients(adapted, dense), strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-6)


def test_steps_that_would_train_other_samples_are_refused(monkeypatch):
    monkeypatch.setattr("bench_train.find_spec", lambda package: package)
    with pytest.raises(ValueError, match="--steps is 9, wanted a multiple of 8"):
        check(Options(steps=9))


def test_a_missing_trl_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setattr("bench_train.find_spec", lambda package: None)
    with pytest.raises(ValueError, match="trl is missing; pip install -r benchmarks/requirements.txt"):
        check(Options())
