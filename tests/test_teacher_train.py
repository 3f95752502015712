"""Promises of the teacher's training: each event predicted once, no peeping, exact resumption."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import train
from hypothesis import given
from hypothesis import strategies as st
from sasrec_model import all_position_states, build_model, default_config, load_checkpoint, load_torch
from sasrec_training import RESUME_NAME, learning_rate, ranking_metrics
from teacher_world import N_ITEMS, TINY, next_on_ring, write_ring
from unirec_files import read_pickle, read_unirec_data
from windows import last_items, training_windows


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
        item
        for start, end in zip(offsets[:-1], offsets[1:], strict=True)
        for item in items[start + 1 : end - 2]
    )
    assert (inputs[labels > 0] == labels[labels > 0] - 1).all()
    for window in inputs:
        seen = window[window > 0]
        assert (np.diff(seen) == 1).all() and (window[: length - len(seen)] == 0).all()


def test_last_items_are_left_padded_and_stop_before_the_target():
    offsets, items = np.array([0, 3, 8]), np.array([1, 2, 3, 4, 5, 6, 7, 8])
    assert last_items(offsets, items, back=1, length=4).tolist() == [[0, 0, 1, 2], [4, 5, 6, 7]]
    assert last_items(offsets, items, back=2, length=4).tolist() == [[0, 0, 0, 1], [0, 4, 5, 6]]


def test_states_of_all_positions_end_in_the_library_s_state_and_never_see_the_future():
    model = build_model(default_config() | {"exp_name": "t", "n_users": 3, "n_items": 50}).eval()
    inputs = torch.tensor([[0, 0, 4, 9, 7, 1, 2, 3, 8, 6], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]])
    states = all_position_states(model, inputs)
    torch.testing.assert_close(states[:, -1], model.forward_user_emb(item_seq=inputs))
    changed = inputs.clone()
    changed[:, 6:] = 30
    torch.testing.assert_close(all_position_states(model, changed)[:, 2:6], states[:, 2:6])


def test_metrics_equal_values_counted_by_hand():
    scores = torch.arange(20, 0, -1).float().repeat(4, 1)  # item i stands at rank i + 1
    hidden = torch.zeros(4, 20, dtype=torch.bool)
    hidden[1, :2] = True
    hidden[3, 5] = True
    hit, gain = ranking_metrics(scores, hidden, torch.tensor([2, 2, 10, 5]))
    assert hit.tolist() == [1, 1, 0, 0]  # rank 3; rank 1 behind two hidden; rank 11; the target itself hidden
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
    stopped_at = load_torch(killed / RESUME_NAME, "cpu")["progress"]["epoch"]
    assert train.main([*command(ring, tmp_path / "killed"), *slow]) == 0

    ours, theirs = (load_torch(run / "SASRec.pth", "cpu") for run in (killed, whole))
    assert 3 <= stopped_at < ours["cur_epoch"] == theirs["cur_epoch"]
    assert all(
        torch.equal(ours["state_dict"][name], theirs["state_dict"][name]) for name in theirs["state_dict"]
    )


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
    assert sorted(path.name for path in run.iterdir()) == ["SASRec.pth", "done.json", "run.json"]
    model = load_checkpoint(run / "SASRec.pth").model
    scores = (
        model.forward_user_emb(item_seq=torch.tensor([[0] * 7 + [3, 4, 5]])) @ model.item_embedding.weight.T
    )
    assert scores.argmax() == next_on_ring(5)


def test_the_same_command_again_finds_the_finished_run(finished, ring, capsys):
    assert train.main(command(ring, finished)) == 0
    assert "already trained" in capsys.readouterr().out
    assert len(list(finished.iterdir())) == 1


def test_the_checkpoint_loads_into_the_library_s_own_class(finished):
    from unirec.model.sequential.sasrec import SASRec

    content = torch.load(next(finished.iterdir()) / "SASRec.pth", weights_only=True)
    assert {"config", "cur_epoch", "best_valid_score", "state_dict"} <= content.keys()
    plain = SASRec(content["config"])
    plain.load_state_dict(content["state_dict"])
    assert plain.n_items == N_ITEMS + 1


@pytest.mark.parametrize("flags", [("--epochs", "0"), ("--optimizer", "sgd"), ("--targets_per_window", "11")])
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
