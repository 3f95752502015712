"""Input rows of item tokens that follow their output rows: they move with these and need no gradient."""

from dataclasses import replace

import pytest
import torch
from test_codes import model_and_batches

from train_utils.models.item_rows import TiedRows, trained_rows
from train_utils.samples.batch import collate
from train_utils.training.loop import LoopConfig, train
from train_utils.training.method import code_loss

CONFIG = LoopConfig(6, 1e-2, 0.1, 0.0, 1.0, 1.0, 0.0, item_lr=2e-2, average=0.9, beta2=0.98, eps=1e-8)


def rows_of(model):
    return [trained_rows(layer)[1] for layer in (model.get_input_embeddings(), model.get_output_embeddings())]


def run(folder, stop_at=None, **settings):
    """(model, weights that are saved) of six steps."""
    model, chat, _, samples = model_and_batches()

    def batches(step):
        if step == stop_at:
            raise KeyboardInterrupt
        return [collate(samples[at : at + 3], 1, True, seed=step + at) for at in (0, 3)]

    loss, tied = code_loss(chat, 0.2, tied_rows=True), TiedRows(model)
    weights = train(model, loss, batches, replace(CONFIG, **settings), folder, after_step=tied.update)
    return model, weights


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_input_rows_move_with_the_output_rows_and_twice_as_far(tmp_path, average):
    model, weights = run(tmp_path, average=average)
    inputs, outputs = rows_of(model)
    before_inputs, before_outputs = rows_of(model_and_batches()[0])
    assert torch.allclose(inputs - before_inputs, 2 * (outputs - before_outputs), atol=1e-6)
    assert (inputs - before_inputs).abs().max() > 0.01
    saved = [value for name, value in weights.items() if "trainable_tokens_delta" in name]
    assert len(saved) == 2 and all(any(torch.equal(value, rows) for value in saved) for rows in (inputs, outputs))


def test_an_interrupted_run_ends_as_a_whole_one(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "interrupted", stop_at=3)
    resumed, whole = run(tmp_path / "interrupted")[1], run(tmp_path / "whole")[1]
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("form", ["token", "rq_token_seq"])
def test_all_gradients_but_those_of_the_input_rows_are_as_without(form):
    gradients = {}
    for tied in (False, True):
        model, chat, _, samples = model_and_batches(form)
        value, _ = code_loss(chat, 0.2, tied_rows=tied)(model, collate(samples, 1, apart=True, seed=3))
        value.backward()
        gradients[tied] = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    (left_out,) = (name for name, gradient in gradients[True].items() if gradient is None)
    assert "embed" in left_out and gradients[False][left_out].abs().max() > 0
    for name in gradients[True].keys() - {left_out}:
        assert torch.equal(gradients[True][name], gradients[False][name])


def test_a_model_that_trains_no_rows_has_none_to_tie():
    model, *_ = model_and_batches()
    with pytest.raises(ValueError, match="nothing to tie"):
        TiedRows(model.base_model.model.model)
