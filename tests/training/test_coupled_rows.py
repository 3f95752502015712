"""Input rows of item tokens that also take the steps of their output rows."""

from dataclasses import replace

import pytest
import torch
from test_codes import model_and_batches

from train_utils.models.item_rows import CoupledRows, trained_rows
from train_utils.samples.batch import collate
from train_utils.training.loop import LoopConfig, train
from train_utils.training.method import code_loss

CONFIG = LoopConfig(6, 1e-2, 0.1, 0.0, 1.0, 1.0, 0.0, item_lr=2e-2, average=0.9, beta2=0.98, eps=1e-8)


def rows_of(model):
    return [trained_rows(layer)[1] for layer in (model.get_input_embeddings(), model.get_output_embeddings())]


def run(folder, stop_at=None, coupled=True, **settings):
    """(model, weights that are saved) of a run of six steps."""
    model, chat, _, samples = model_and_batches()

    def batches(step):
        if step == stop_at:
            raise KeyboardInterrupt
        return [collate(samples[at : at + 3], 1, True, seed=step + at) for at in (0, 3)]

    rows = CoupledRows(model) if coupled else None
    return model, train(model, code_loss(chat, 0.2), batches, replace(CONFIG, **settings), folder, coupled=rows)


def test_input_rows_take_their_own_step_and_twice_that_of_the_output_rows(tmp_path):
    before = [rows.detach().clone() for rows in rows_of(model_and_batches()[0])]
    once = {"steps": 1, "average": 0.0}
    alone, _ = run(tmp_path / "alone", coupled=False, **once)
    coupled, weights = run(tmp_path / "coupled", **once)
    (own, outputs), (inputs, same_outputs) = rows_of(alone), rows_of(coupled)
    assert torch.equal(outputs, same_outputs)
    assert torch.allclose(inputs - before[0], (own - before[0]) + 2 * (outputs - before[1]), atol=1e-6)
    saved = [value for name, value in weights.items() if "trainable_tokens_delta" in name]
    assert len(saved) == 2 and all(any(torch.equal(value, rows) for value in saved) for rows in (inputs, outputs))


def test_an_interrupted_run_ends_as_a_whole_one(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "interrupted", stop_at=3)
    resumed, whole = run(tmp_path / "interrupted")[1], run(tmp_path / "whole")[1]
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_model_that_trains_no_rows_has_none_to_couple():
    model, *_ = model_and_batches()
    with pytest.raises(ValueError, match="trains no rows of the same tokens"):
        CoupledRows(model.base_model.model.model)
