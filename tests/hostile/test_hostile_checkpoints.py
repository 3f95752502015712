"""Checkpoints and arrays: the server and `local:` accept the same files, and refuse the same ones in one line."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from damage import faults
from fuzz_checkpoints import CATALOG, IDS, READERS, checkpoint
from safetensors.torch import save_file
from sasrec_model import load_checkpoint, save_torch

from train_utils.files.array_files import load_npy, load_npz
from train_utils.files.atomic import digest
from train_utils.files.torch_file import load_torch
from train_utils.models.retrieval_head import Retrieval, load_retrieval, save_retrieval
from train_utils.teacher.checkpoint import WHOLE_NUMBERS, check_settings
from train_utils.teacher.inference import checked_vectors
from train_utils.teacher.local import LocalTeacher
from train_utils.teacher.protocol import TeacherError
from train_utils.training.checkpoint import Progress, TrainState, restore, save


def assert_same(actual: object, expected: object) -> None:
    if isinstance(expected, torch.Tensor):
        assert actual.dtype == expected.dtype and torch.equal(actual, expected)
    elif isinstance(expected, dict):
        assert list(actual) == list(expected)
        for key in expected:
            assert_same(actual[key], expected[key])
    elif isinstance(expected, list | tuple):
        for ours, theirs in zip(actual, expected, strict=True):
            assert_same(ours, theirs)
    else:
        assert actual == expected


@pytest.mark.parametrize("mapped", [False, True])
def test_files_of_torch_save_come_as_torch_reads_them(tmp_path, mapped):
    layer = torch.nn.Linear(3, 4)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    whole = torch.arange(24.0).reshape(4, 6)
    content = {
        "plain": {"a": 1, "b": [2.5, (None, True)], "shape": torch.Size([1, 2])}, "state": layer.state_dict(),
        "optimizer": optimizer.state_dict(), "views": [whole, whole.t(), whole[1:, 2:], whole[0, 0]],
        "types": [torch.ones(3, dtype=getattr(torch, name)) for name in ("bfloat16", "float16", "int8", "bool")],
        "empty": torch.empty(0, 5), "parameter": torch.nn.Parameter(torch.ones(2)), "random": torch.get_rng_state(),
    }  # fmt: skip
    path = tmp_path / "x.pt"
    torch.save(content, path)
    actual = load_torch(path, mapped)
    assert_same(actual, torch.load(path, weights_only=True))
    torch.save(actual["views"][3], tmp_path / "y.pt")
    assert (tmp_path / "y.pt").stat().st_size < 4096  # its storage, not the mapped file


@pytest.mark.parametrize("mapped", [False, True])
def test_tensors_may_be_far_larger_than_what_is_said_about_them(tmp_path, mapped):
    path, large = tmp_path / "x.pt", torch.zeros(1 << 23, dtype=torch.int8)
    torch.save({"a": large, "b": [large, large[1:]]}, path)
    assert len(load_torch(path, mapped)["b"][1]) == len(large) - 1


def with_pickle(change, content: object) -> bytes:
    """The archive of torch.save with a changed data.pkl."""
    buffer, changed = io.BytesIO(), io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name.endswith("data.pkl") else data)
    return changed.getvalue()


def stride_of(strides: tuple[int, int], size: tuple[int, int]):
    """A change of the pickle of a 2 x 3 tensor of float32."""

    def change(data: bytes) -> bytes:
        def pair(values: tuple[int, int]) -> bytes:
            return b"".join(b"J" + struct.pack("<i", value) for value in values) + b"\x86"

        assert data.count(b"K\x02K\x03\x86") == 1 and data.count(b"K\x03K\x01\x86") == 1
        return data.replace(b"K\x02K\x03\x86", pair(size)).replace(b"K\x03K\x01\x86", pair(strides))

    return change


TENSOR = {"x": torch.arange(6.0).reshape(2, 3)}
HOSTILE = {
    "a nested key": with_pickle(lambda data: b"\x80\x02})" + b"\x85" * 200_000 + b"K\x01s.", TENSOR),
    "10^12 elements": with_pickle(
        lambda data: b"\x80\x04]\x94" + b"".join(b"(" + b"h" + bytes([n]) + (b"h" + bytes([n])) * 9 + b"l\x94"
                                                   for n in range(12)) + b".", TENSOR),
    "a tensor longer than its storage": with_pickle(stride_of((3, 1), (2, 4)), TENSOR),
    "a tensor of one value 10^12 times": with_pickle(stride_of((0, 0), (1_000_000, 1_000_000)), TENSOR),
    "a tensor with a negative stride": with_pickle(stride_of((-3, 1), (2, 3)), TENSOR),
    "a tensor of 10^9 empty rows": with_pickle(stride_of((0, 1), (1_000_000_000, 0)), TENSOR),
    "a function": with_pickle(lambda data: b"cposix\nsystem\n(S'true'\ntR.", TENSOR),
    "no pickle": with_pickle(lambda data: b"", TENSOR),
    "no archive": b"x" * 1000,
    "an empty file": b"",
    "a legacy file": pickle.dumps({"x": 1}),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_hostile_archive_is_one_line(tmp_path, what, mapped):
    path = tmp_path / "x.pt"
    path.write_bytes(HOSTILE[what])
    with pytest.raises(ValueError, match="x.pt") as error:
        load_torch(path, mapped)
    assert "\n" not in str(error.value)


def test_a_packed_entry_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "x.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(100 << 20))
    with pytest.raises(ValueError, match="packed, or larger than the file"):
        load_torch(path)


def config(**settings):
    return lambda content: content["config"].update(settings)


CHANGES = {
    "10^7 layers": config(n_layers=10**7),
    "as many layers as tensors": lambda content: (
        content["config"].update(n_layers=5000),
        content["state_dict"].update(dict.fromkeys((f"x{n}" for n in range(9000)), torch.zeros(0))),
    ),
    "more tensors than a model has": lambda content: content["state_dict"].update(
        dict.fromkeys((f"x{n}" for n in range(10_000)), torch.zeros(0))
    ),
    "10^12 items": lambda content: (content["config"].update(n_items=10**12), content.pop("raw_ids")),
    "a window of 10^9": config(max_seq_len=10**9),
    "a window of 10^4": config(max_seq_len=10**4),
    "a width of 10^9": config(hidden_size=10**9, embedding_size=10**9),
    "10^9 heads": config(n_heads=10**9),
    "no heads": config(n_heads=0),
    "a temperature of 0": config(tau=0.0),
    "no temperature": config(tau=float("nan")),
    "a dropout of 5": config(hidden_dropout_prob=5),
    "a name of a million parts": config(exp_name="a." * 1_000_000),
    "a true size": config(n_layers=True),
    "a size that is a text": config(inner_size="8"),
    "another model": config(model="os.system"),
    "a model that is a list": config(model=["SASRec"]),
    "a negative popularity": lambda content: content["popularity"].sub_(100),
    "a popularity that overflows": lambda content: content["popularity"].fill_(2**62),
    "a popularity of other items": lambda content: content.update(popularity=torch.zeros(3, dtype=torch.int64)),
    "equal ids": lambda content: content["raw_ids"].__setitem__(slice(1, 3), ["i1", "i1"]),
    "ids that are numbers": lambda content: content.update(raw_ids=list(range(len(IDS)))),
    "ids without padding": lambda content: content["raw_ids"].__setitem__(0, "i99"),
    "ids of more items": lambda content: content["raw_ids"].append("i99"),
    "weights that are not finite": lambda content: content["state_dict"]["item_embedding.weight"].fill_(torch.nan),
    "weights of another size": lambda content: content["state_dict"].update(
        {"item_embedding.weight": torch.zeros(len(IDS), 9)}
    ),
    "weights that are texts": lambda content: content["state_dict"].update({"item_embedding.weight": "x"}),
    "no weights": lambda content: content.pop("state_dict"),
    "a list": lambda content: content.update(config=[1]),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_the_server_and_local_refuse_the_same_checkpoints(tmp_path, what):
    content = checkpoint()
    CHANGES[what](content)
    path = tmp_path / "SASRec.pth"
    save_torch(path, content)

    def serve(path: Path) -> None:
        checked_vectors(load_checkpoint(path))

    for load in (serve, LocalTeacher):
        with pytest.raises(TeacherError, match="SASRec.pth") as error:
            load(path)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_a_file_of_unirec_with_settings_that_are_not_read_is_served(tmp_path):
    content = checkpoint()
    for name in ("raw_ids", "popularity"):
        content.pop(name)
    content["config"] |= {"metrics": ["hit@5", {"a": 1}], "layer_norm_eps": "1e-10", "features_shape": "[]"}
    content["optimizer"] = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "betas": (1, 2)}]}
    content["best_valid_score"] = np.float64(0.5)
    save_torch(tmp_path / "SASRec.pth", content)
    loaded = load_checkpoint(tmp_path / "SASRec.pth")
    assert loaded.raw_ids is None and loaded.model.n_items == len(IDS)
    with pytest.raises(TeacherError, match="does not carry its items' ids"):
        LocalTeacher(tmp_path / "SASRec.pth")


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
def test_the_ends_of_each_range_are_allowed_and_what_lies_outside_is_refused(name):
    least, most = WHOLE_NUMBERS[name]
    good = {"model": "SASRec", "distance_type": "dot"}
    check_settings(good | {name: least})
    check_settings(good | {name: most})
    for value in (least - 1, most + 1, float(least), None):
        with pytest.raises(TeacherError, match=f"{name} is .*, wanted a whole number in"):
            check_settings(good | {name: value})


@pytest.fixture
def run(tmp_path) -> tuple[TrainState, Path]:
    """A run and the folder of its only checkpoint."""
    layer = torch.nn.Linear(2, 2)
    training = TrainState(Accelerator(cpu=True), layer, layer, torch.optim.AdamW(layer.parameters()))
    save(training, Progress(3), {"seed": 1}, tmp_path)
    return training, tmp_path / "step-00000003"


@pytest.mark.parametrize(
    "content",
    [
        *(
            HOSTILE[what]
            for what in ("a nested key", "10^12 elements", "a tensor of one value 10^12 times", "a function")
        ),
        *({}, [], {"weights": 5, "optimizer": 5}, {"weights": {"weight": torch.ones(3)}, "optimizer": {}}),
    ],
)
def test_a_hostile_state_of_a_run_is_one_line_though_its_digest_fits(run, content):
    training, folder = run
    path = folder / "state.pt"
    assert restore(training, {"seed": 1}, folder.parent) == Progress(3)
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"files": {"state.pt": digest(path)}}))
    with pytest.raises(ValueError, match="state.pt") as error:
        restore(training, {"seed": 1}, folder.parent)
    assert "\n" not in str(error.value)


# -- arrays ------------------------------------------------------------------------------------------------------------
def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def header(shape: str, descr: str = "'<f4'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


BROKEN_ARRAYS = {
    "10^12 elements": npy(header("(1000000000000,)"), b"x" * 8),
    "10^12 empty rows": npy(header("(1000000000000, 0)")),
    "a negative length": npy(header("(-1,)"), b"x" * 8),
    "objects": npy(header("(1,)", "'|O'"), pickle.dumps([1])),
    "fields": npy(header("(1,)", "[('a', '<f4')]"), b"x" * 4),
    "a header that is nested": npy("(" * 5000),
    "a header that is no Python": npy("{'descr': \n"),
    "a long header": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}",
    "another version": b"\x93NUMPY\x09\x00",
    "half a file": npy(header("(8,)"), b"x" * 9),
    "an empty file": b"",
}


@pytest.mark.parametrize("what", BROKEN_ARRAYS)
def test_a_broken_array_is_one_line(tmp_path, what):
    path = tmp_path / "x.npy"
    path.write_bytes(BROKEN_ARRAYS[what])
    with pytest.raises(ValueError, match="x.npy is no array of numbers") as error:
        load_npy(path)
    assert "\n" not in str(error.value)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", BROKEN_ARRAYS[what])
    with pytest.raises(ValueError, match="x.npz holds no arrays") as error:
        load_npz(tmp_path / "x.npz")
    assert "\n" not in str(error.value)


def test_arrays_come_as_numpy_reads_them(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.eye(3, 2)),
        "c": np.array(3),
        "d": np.empty(0),
    }
    np.savez(tmp_path / "x.npz", **arrays)
    actual = load_npz(tmp_path / "x.npz")
    assert actual.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(actual[name], array)
        np.save(tmp_path / "x.npy", array)
        np.testing.assert_array_equal(load_npy(tmp_path / "x.npy"), array)


@pytest.mark.parametrize(
    "tensors",
    [
        {"items": torch.ones(9, 0)},
        {"items": torch.ones(3, 2)},
        {"items": torch.ones(9)},
        {"items": torch.tensor(1.0)},
        {"other": torch.ones(9, 2)},
        {"projection.0.weight": torch.ones(0, 10**9)},
        {"projection.0.weight": torch.ones(3)},
        {"projection.2.weight": torch.ones(0)},
    ],
)
def test_a_retrieval_head_whose_tensors_do_not_fit_is_one_line(tmp_path, tensors):
    weights = Retrieval(2, torch.ones(len(CATALOG.items), 2)).state_dict()
    save_retrieval(weights, CATALOG, tmp_path)
    is_item = "items" in tensors or "other" in tensors
    file = tmp_path / "retrieval" / f"{'item_vectors' if is_item else 'projection'}.safetensors"
    save_file(tensors if is_item else {name: w for name, w in weights.items() if name != "items"} | tensors, file)
    with pytest.raises(ValueError, match="is damaged") as error:
        load_retrieval(tmp_path, CATALOG)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("config", ["[]", "{}", "[" * 100_000, '{"ids_sha256": 1}', "\xff"])
def test_a_broken_description_of_a_retrieval_head_is_one_line(tmp_path, config):
    save_retrieval(Retrieval(2, torch.ones(len(CATALOG.items), 2)).state_dict(), CATALOG, tmp_path)
    (tmp_path / "retrieval" / "config.json").write_text(config, encoding="latin-1")
    with pytest.raises(ValueError) as error:
        load_retrieval(tmp_path, CATALOG)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_files_are_read_or_refused(reader):
    assert faults(reader, range(40)) == []
