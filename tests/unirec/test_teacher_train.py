"""Promises of the teacher's training: each event predicted once, no peeping, exact resumption."""

import json
import os
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import train
from byte_dropout import use_byte_dropout
from hypothesis import given
from hypothesis import strategies as st
from next_item_loss import PopularNegatives, full_softmax, make_loss, sampled_softmax
from sasrec_model import (
    build_model,
    default_config,
    item_logits,
    load_checkpoint,
    predicts_everywhere,
    user_states,
)
from sasrec_training import RESUME_NAME, Trainer, learning_rate, ranking_metrics
from teacher_world import N_ITEMS, TINY, next_on_ring, write_ring
from unirec_files import read_unirec_data
from windows import last_items, training_windows

from train_utils.teacher.checkpoint import MODELS, load_values
from train_utils.teacher.inference import item_vectors, last_state
from train_utils.unirec_folder import read_pickle


@pytest.fixture(scope="module")
def ring(tmp_path_factory) -> Path:
    return write_ring(tmp_path_factory.mktemp("ring") / "data")


@pytest.fixture(scope="module")
def finished(ring, tmp_path_factory) -> Path:
    """Output folder after the command has trained the ring to the end."""
    output = tmp_path_factory.mktemp("output")
    assert train.main(command(ring, output)) == 0
    return output


def command(ring: Path, output: Path) -> list[str]:
    return [
        "--dataset", "ring", "--data_path", str(ring), "--output_path", str(output), *TINY,
        "--epochs", "30", "--batch_size", "64", "--learning_rate", "0.01",
    ]  # fmt: skip


@given(
    lengths=st.lists(st.integers(3, 40), min_size=1, max_size=8),
    length=st.integers(1, 10),
    data=st.data(),
    seed=st.integers(0, 99),
)
def test_every_training_event_is_predicted_exactly_once_from_what_came_before(lengths, length, data, seed):
    targets = data.draw(st.integers(1, length))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = np.arange(1, offsets[-1] + 1)  # each event its own item: an item names its place
    inputs, labels = training_windows(offsets, items, length, targets, np.random.default_rng(seed))

    predicted = sorted(labels[labels > 0].tolist())
    assert predicted == sorted(
        item for start, end in zip(offsets[:-1], offsets[1:], strict=True) for item in items[start + 1 : end - 2]
    )
    assert (inputs[labels > 0] == labels[labels > 0] - 1).all()
    for window in inputs:
        seen = window[window > 0]
        assert (np.diff(seen) == 1).all() and (window[: length - len(seen)] == 0).all()


def test_last_items_are_left_padded_and_stop_before_the_target():
    offsets, items = np.array([0, 3, 8]), np.array([1, 2, 3, 4, 5, 6, 7, 8])
    assert last_items(offsets, items, back=1, length=4).tolist() == [[0, 0, 1, 2], [4, 5, 6, 7]]
    assert last_items(offsets, items, back=2, length=4).tolist() == [[0, 0, 0, 1], [0, 4, 5, 6]]


def small(model: str = "SASRec", n_items: int = 50, **settings) -> dict:
    """A complete configuration of a model without training."""
    return default_config(model) | {"exp_name": model, "n_users": 3, "n_items": n_items} | settings


@pytest.mark.parametrize("name", [name for name in MODELS if predicts_everywhere(build_model(small(name)))])
def test_states_of_all_positions_end_in_the_library_s_state_and_never_see_the_future(name):
    model = build_model(small(name)).eval()
    inputs = torch.tensor([[0, 0, 4, 9, 7, 1, 2, 3, 8, 6], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]])
    states = user_states(model, inputs)
    torch.testing.assert_close(states[:, -1], model.forward_user_emb(item_seq=inputs))
    changed = inputs.clone()
    changed[:, 6:] = 30
    torch.testing.assert_close(user_states(model, changed)[:, 2:6], states[:, 2:6])


@pytest.mark.parametrize("name", MODELS)
def test_every_model_starts_with_the_library_s_own_full_softmax(name):
    model = build_model(small(name)).eval()
    inputs = torch.tensor([[0, 0, 4, 9, 7, 1, 2, 3, 8, 6], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]])
    labels = torch.tensor([7, 40])
    library = model.train()(item_id=labels, item_seq=inputs, item_seq_len=(inputs > 0).sum(1))[0]
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    library = model(item_id=labels, item_seq=inputs, item_seq_len=(inputs > 0).sum(1))[0]
    torch.testing.assert_close(full_softmax(model, user_states(model, inputs)[:, -1], labels), library)


def test_sampled_softmax_over_every_item_is_full_softmax():
    model = build_model(small(has_item_bias=True, tau=0.5))
    states, labels = torch.randn(6, 128), torch.tensor([1, 2, 3, 49, 3, 9])
    every = torch.arange(50)
    torch.testing.assert_close(
        sampled_softmax(model, states, labels, every, torch.zeros(50)), full_softmax(model, states, labels)
    )


def test_sampled_softmax_of_many_draws_comes_close_to_full_softmax():
    torch.manual_seed(0)
    config = small(loss_type="softmax", n_sample_neg_train=50_000, neg_by_pop_alpha=0.75, init_std=1.0)
    model = build_model(config)
    popularity = np.arange(50) ** 2
    loss = make_loss(model, config, popularity, np.random.default_rng(0))
    states, labels = torch.randn(64, 128) / 8, torch.randint(1, 50, (64,))
    every = torch.nn.functional.cross_entropy(item_logits(model, states)[:, 1:], labels - 1)  # without the padding
    torch.testing.assert_close(loss(states, labels), every, rtol=0.01, atol=0.01)


def test_negatives_follow_popularity_and_are_never_the_padding():
    sampler = PopularNegatives(np.array([99, 0, 1, 3]), alpha=1.0)
    np.testing.assert_allclose(sampler.probability, [0, 1 / 7, 2 / 7, 4 / 7])
    drawn = np.bincount(sampler.draw(70_000, np.random.default_rng(0)), minlength=4)
    np.testing.assert_allclose(drawn, 70_000 * sampler.probability, rtol=0.05)
    np.testing.assert_allclose(sampler.log_count(7), np.log([1, 1, 2, 4]), atol=1e-6)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_byte_dropout_drops_the_share_that_it_should_and_keeps_the_mean(p):
    layer = torch.nn.Dropout(p)
    use_byte_dropout(layer, np.random.default_rng(0))
    out = layer(torch.ones(1000, 100))
    assert abs(float((out == 0).float().mean()) - p) < 0.004
    assert abs(float(out.mean()) - (p < 1)) < 0.01
    assert torch.equal(layer.eval()(torch.ones(3)), torch.ones(3))


def test_the_judged_weights_are_the_moving_average_of_the_steps(ring):
    data = read_unirec_data(ring)
    config = small(n_items=data.n_items, ema_decay=0.5, batch_size=64, max_seq_len=10)
    trainer = Trainer(data, config)
    average = trainer.model.item_embedding.weight.detach().clone()
    step, optimizer_step = 0, trainer.optimizer.step

    def watched():
        nonlocal step, average
        optimizer_step()
        step += 1
        decay = min(0.5, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * trainer.model.item_embedding.weight.detach()

    trainer.optimizer.step = watched
    trainer.train_epoch(1)
    assert step > 3
    torch.testing.assert_close(trainer.judged.item_embedding.weight, average)


def test_metrics_equal_values_counted_by_hand():
    scores = torch.arange(20, 0, -1).float().repeat(4, 1)  # item i has rank i + 1
    hidden = torch.zeros(4, 20, dtype=torch.bool)
    hidden[1, :2] = True
    hidden[3, 5] = True
    hit, gain = ranking_metrics(scores, hidden, torch.tensor([2, 2, 10, 5]))
    assert hit.tolist() == [1, 1, 0, 0]  # rank 3; rank 1 after two hidden; rank 11; the target itself hidden
    np.testing.assert_allclose(gain, [0.5, 1, 0, 0])


def test_a_killed_training_continues_to_the_same_weights(ring, tmp_path):
    slow = ["--learning_rate", "0.001", "--epochs", "8"]  # still improving at the end
    assert train.main([*command(ring, tmp_path / "whole"), *slow]) == 0
    script = [sys.executable, train.__file__, *command(ring, tmp_path / "killed"), *slow]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True, env=one_thread) as process:
        while not process.stdout.readline().startswith("epoch 3"):
            assert process.poll() is None
        process.kill()
    whole, killed = (next((tmp_path / name).iterdir()) for name in ("whole", "killed"))
    assert not (killed / "done.json").exists()
    stopped_at = load_values(killed / RESUME_NAME)["progress"]["epoch"]
    assert train.main([*command(ring, tmp_path / "killed"), *slow]) == 0

    ours, theirs = (load_values(run / "SASRec.pth") for run in (killed, whole))
    assert 3 <= stopped_at < ours["cur_epoch"] == theirs["cur_epoch"]
    assert all(torch.equal(ours["state_dict"][name], theirs["state_dict"][name]) for name in theirs["state_dict"])


def test_the_rate_falls_along_a_cosine_or_stays():
    config = {"learning_rate": 1.0, "epochs": 4, "scheduler": "cosine"}
    np.testing.assert_allclose([learning_rate(config, done) for done in (0, 2, 4, 9)], [1, 0.5, 0.02, 0.02])
    assert learning_rate(config | {"scheduler": "none"}, 3) == 1.0
    with pytest.raises(ValueError, match="cosine or none"):
        learning_rate(config | {"scheduler": "reduce"}, 0)


def test_the_command_learns_the_ring_and_says_how_well(finished):
    run = next(finished.iterdir())
    report = json.loads((run / "done.json").read_text())
    assert report["metrics"]["test"]["hide_visible"]["ndcg@10"] > 0.9
    assert {"config", "seed", "inputs_sha256", "versions", "git_commit"} <= report["manifest"].keys()
    curves, *others = sorted(run.iterdir(), key=lambda path: not path.name.startswith("events.out.tfevents"))
    assert curves.name.startswith("events.out.tfevents") and curves.stat().st_size > 1000
    assert sorted(path.name for path in others) == ["SASRec.pth", "done.json", "run.json"]
    assert len(report["metrics"]["epoch_seconds"]) == report["metrics"]["epochs"]
    model = load_checkpoint(run / "SASRec.pth").model
    scores = model.forward_user_emb(item_seq=torch.tensor([[0] * 7 + [3, 4, 5]])) @ model.item_embedding.weight.T
    assert scores.argmax() == next_on_ring(5)


def test_the_same_command_again_finds_the_finished_run(finished, ring, capsys):
    assert train.main(command(ring, finished)) == 0
    assert "already trained" in capsys.readouterr().out
    assert len(list(finished.iterdir())) == 1


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_of_any_model_loads_into_the_library_s_own_class_and_back(ring, tmp_path, name):
    small_size = ("--embedding_size", "16", "--hidden_size", "16", "--epochs", "1", "--batch_size", "64")
    assert train.main([*command(ring, tmp_path)[:6], "--model", name, *small_size]) == 0
    path = next(tmp_path.glob(f"*/{name}.pth"))
    content = torch.load(path, weights_only=True)
    of_unirec = {"config", "cur_epoch", "cur_step", "best_valid_score", "state_dict", "optimizer", "scheduler"}
    assert of_unirec <= content.keys()
    assert content["raw_ids"][1] == "m101" and int(content["popularity"].sum()) > 0

    plain = library_class(name)(content["config"]).eval()
    plain.load_state_dict(content["state_dict"])
    inputs = torch.tensor([[0] * 7 + [3, 4, 5]])
    lengths = torch.tensor([3])
    ours = load_checkpoint(path).model
    with torch.no_grad():
        theirs = plain.forward_user_emb(item_seq=inputs, item_seq_len=lengths)
    torch.testing.assert_close(last_state(ours, inputs).detach(), theirs)


def library_class(name: str) -> type:
    return getattr(import_module(f"unirec.model.sequential.{name.lower()}"), name)


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_as_unirec_s_trainer_writes_it_loads_here(tmp_path, name):
    keys = ("ema_decay", "targets_per_window", "mixed_precision")  # ours; UniRec has others instead
    config = {key: value for key, value in small(name).items() if key not in keys}
    model = library_class(name)(config | {"device": "cpu"}).eval()
    optimizer = torch.optim.Adam(model.parameters())
    window = {"item_seq": torch.ones(1, 10, dtype=torch.int64), "item_seq_len": torch.tensor([10])}
    model.train()(item_id=torch.tensor([1]), **window)[0].backward()
    optimizer.step()
    content = {
        "config": config | {"use_wandb": False, "metrics": "['hit@1']", "state": "INFO"},
        "cur_epoch": 3,
        "cur_step": 0,
        "best_valid_score": {"ndcg@10": 0.1},
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": None,
    }
    torch.save(content, tmp_path / f"{name}.pth")
    ours = load_checkpoint(tmp_path / f"{name}.pth").model
    torch.testing.assert_close(item_vectors(ours), model.forward_item_emb(torch.arange(50)).detach())


def test_the_command_trains_with_sampled_softmax(ring, tmp_path):
    sampled = ["--loss_type", "softmax", "--n_sample_neg_train", "10", "--use_tensorboard", "false"]
    assert train.main([*command(ring, tmp_path), *sampled]) == 0
    run = next(tmp_path.iterdir())
    report = json.loads((run / "done.json").read_text())
    assert report["metrics"]["test"]["hide_visible"]["ndcg@10"] > 0.8
    assert sorted(path.name for path in run.iterdir()) == ["SASRec.pth", "done.json", "run.json"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--epochs", "0"),
        ("--optimizer", "sgd"),
        ("--targets_per_window", "11"),
        ("--ema_decay", "1"),
        ("--learning_rate", "nan"),
        ("--learning_rate", "0"),
        ("--tau", "inf"),
        ("--seed", "-1"),
        ("--seed", "10000000000000000000000"),
        ("--attn_dropout_prob", "1.5"),
        ("--n_heads", "0"),
        ("--n_heads", "3"),
        ("--device", "abacus"),
        ("--mixed_precision", "fp8"),
        ("--distance_type", "mlp"),
        ("--has_user_emb", "true"),
        ("--loss_type", "softmax", "--n_sample_neg_train", "0"),
        ("--model", "ConvFormer", "--conv_size", "11"),
    ],
)
def test_bad_settings_are_one_line_and_status_2(ring, tmp_path, capsys, flags):
    code = train.main(["--dataset", "ring", "--data_path", str(ring), "--output_path", str(tmp_path), *flags])
    lines = capsys.readouterr().err.strip().splitlines()
    assert code == 2 and len(lines) == 1 and lines[0].startswith("error: ")


@pytest.mark.parametrize("name", ["no-such-dataset", "../ring"])
def test_a_wrong_dataset_is_one_line_and_status_2(name, capsys):
    assert train.main(["--dataset", name]) == 2
    assert capsys.readouterr().err.count("\n") == 1


class Attack:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize("content", [pickle.dumps(Attack()), b"", pickle.dumps([1, 2])[:-2], b"not a pickle"])
def test_hostile_and_broken_pickles_are_refused(tmp_path, content):
    path = tmp_path / "train.pkl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="train.pkl"):
        read_pickle(path)


def test_a_hostile_checkpoint_is_refused(tmp_path):
    path = tmp_path / "SASRec.pth"
    torch.save({"config": Attack(), "state_dict": {}}, path)
    with pytest.raises(ValueError, match="SASRec.pth"):
        load_checkpoint(path)


def test_data_that_disagree_with_their_map_are_refused(ring, tmp_path):
    for path in ring.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    frame = read_pickle(ring / "valid.pkl")
    frame.assign(item_id=N_ITEMS + 1).to_pickle(tmp_path / "valid.pkl")
    with pytest.raises(ValueError, match="item ints must lie in"):
        read_unirec_data(tmp_path)
    frame.iloc[1:].to_pickle(tmp_path / "valid.pkl")
    with pytest.raises(ValueError, match="one event of each"):
        read_unirec_data(tmp_path)
