"""Promises of the teacher inside the process: the server's answers, from the checkpoint alone."""

import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import train
from hypothesis import given, settings
from hypothesis import strategies as st
from server_app import ServerLimits
from server_wire import InferenceRequest, inference_content, join_answers, json_response, split_query, to_query
from teacher_model import TeacherModel, load_teacher
from teacher_running import ALL, HISTORIES, places, running, trained
from teacher_world import N_ITEMS, write_ring

from train_utils.teacher.checkpoint import MODELS
from train_utils.teacher.inference import CPU_BLOCK_ROWS
from train_utils.teacher.local import LocalTeacher, as_sent
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import TeacherError
from train_utils.teacher.ranking import top_k

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--epochs", "2", "--batch_size", "32", "--embedding_size", "16", "--hidden_size", "16")
CONVOLVED = ("--inner_size", "32", "--conv_size", "5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return trained(tmp_path_factory.mktemp("teacher"))


@pytest.fixture(scope="module")
def checkpoint(folder) -> Path:
    (path,) = folder.glob("output/*/SASRec.pth")
    return path


@pytest.fixture(scope="module")
def teacher(checkpoint) -> LocalTeacher:
    return open_teacher(f"local:{checkpoint}")


@pytest.fixture
def changed(checkpoint, tmp_path):
    """change(content) -> path of a checkpoint with the changed content."""

    def save(change) -> Path:
        content = torch.load(checkpoint, weights_only=True)
        change(content)
        torch.save(content, tmp_path / "changed.pth")
        return tmp_path / "changed.pth"

    return save


@pytest.fixture(scope="module", params=list(MODELS))
def of_each_model(request, tmp_path_factory, folder) -> Path:
    """A folder as `folder`, for each model of the library."""
    if request.param == "SASRec":
        return folder
    other = tmp_path_factory.mktemp(request.param)
    write_ring(other / "data")
    flags = [*SMALL, *(CONVOLVED if "Conv" in request.param else ()), "--has_item_bias", "true"]
    assert train.main(["--dataset", "ring", "--model", request.param, *places(other), *flags]) == 0
    return other


def test_the_answers_are_the_server_s(of_each_model):
    teacher = open_teacher(f"local:{of_each_model / 'output'}")
    histories = [*HISTORIES, [], ALL]
    with running([of_each_model]) as url:
        server = open_teacher(url)
        for k in (1, 7, N_ITEMS):
            assert teacher.top_k(histories, k, scores=True) == server.top_k(histories, k, scores=True)
            assert teacher.top_k(histories, k) == server.top_k(histories, k)
        server.close()


def served(teacher: TeacherModel, histories: list[list[str]], k: int) -> tuple[list[list[str]], list[list[float]]]:
    """Items and probabilities as a client of the server reads them."""
    request = InferenceRequest(users=[""] * len(histories), item_lists=histories, k=k, return_scores=True)
    query = to_query(request, "ring", teacher.catalog)
    pieces = [piece for piece, _ in split_query(query, ServerLimits().batch_rows)]
    answer = join_answers(teacher.answer(pieces))
    content = json.loads(json_response(inference_content(query, answer, True)).body)
    return content["inference"], content["scores"]


def test_a_checkpoint_gives_the_same_items_and_probabilities_here_and_in_the_server(of_each_model):
    (path,) = of_each_model.glob("output/*/*.pth")
    here, server = LocalTeacher(path), load_teacher(path, of_each_model / "data", "cpu")
    longer = ALL[5:] + ALL[:3]
    assert len(longer) > server.max_seq_len
    histories = [[], longer, *HISTORIES, *([ALL[start], ALL[-end]] for start in range(9) for end in range(2, 20))]
    for size in (1, 2, 15, 16, 17, 64, 65, len(histories)):
        for k in (1, 7, N_ITEMS):
            assert here.top_k(histories[:size], k, scores=True) == served(server, histories[:size], k)


@given(st.lists(st.floats(0, 1, width=32), max_size=50))
def test_probabilities_are_the_numbers_that_the_server_sends(values):
    probabilities = np.array(values, np.float32)
    assert as_sent(probabilities) == json.loads(json_response({"scores": probabilities}).body)["scores"]


def test_a_history_is_hidden_and_a_list_is_short_only_when_the_catalog_ends(teacher):
    lists, probabilities = teacher.top_k(HISTORIES, N_ITEMS, scores=True)
    for history, items, shares in zip(HISTORIES, lists, probabilities, strict=True):
        assert sorted(items + list(set(history))) == sorted(ALL)
        assert sum(shares) == pytest.approx(1) and shares == sorted(shares, reverse=True)


def test_an_empty_history_gets_the_popular_items(teacher, checkpoint):
    popularity = torch.load(checkpoint, weights_only=True)["popularity"].numpy()
    order = np.lexsort((np.arange(1, N_ITEMS + 1), -popularity[1:]))
    assert teacher.top_k([[]], N_ITEMS) == [[ALL[number] for number in order]]


def test_a_history_gets_the_same_answer_alone_and_in_any_batch(of_each_model):
    teacher = open_teacher(f"local:{of_each_model / 'output'}")
    many = ([*HISTORIES, []] * CPU_BLOCK_ROWS)[: 5 * CPU_BLOCK_ROWS + 3]
    together = list(zip(*teacher.top_k(many, 9, scores=True), strict=True))
    for number, history in enumerate([*HISTORIES, []]):
        alone = list(zip(*teacher.top_k([history], 9, scores=True), strict=True))
        assert all(answer == alone[0] for answer in together[number :: len(HISTORIES) + 1])
    assert teacher.top_k([], 3, scores=True) == ([], [])


def test_many_threads_each_get_their_own_answer(teacher):
    expected = [teacher.top_k([history], 5) for history in HISTORIES]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda history: teacher.top_k([history], 5), HISTORIES * 20)) == expected * 20


def test_unknown_items_are_named(teacher):
    unknown = [f"x{number:02}" for number in range(25)]
    with pytest.raises(TeacherError, match="'x00', .*'x19' and 5 more"):
        teacher.top_k([ALL[:2], unknown], 3)
    with pytest.raises(TeacherError, match="PAD"):
        teacher.top_k([["[PAD]"]], 3)


@pytest.mark.parametrize("k", [0, -1, N_ITEMS + 1])
def test_a_bad_k_is_refused(teacher, k):
    with pytest.raises(TeacherError, match=rf"1\.\.{N_ITEMS}, the size of the catalog, got {k}"):
        teacher.top_k([ALL[:2]], k)


def test_a_folder_means_its_newest_finished_run(checkpoint, tmp_path):
    with pytest.raises(TeacherError, match="does not exist"):
        LocalTeacher(tmp_path / "nowhere")
    with pytest.raises(TeacherError, match="no finished run.*scripts/unirec_train.sh"):
        LocalTeacher(tmp_path)
    for number, name in enumerate(("newest", "oldest", "unfinished")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "SASRec.pth").symlink_to(checkpoint)
        if name != "unfinished":
            (tmp_path / name / "done.json").touch()
            os.utime(tmp_path / name / "done.json", (9 - number, 9 - number))
    assert LocalTeacher(tmp_path).path == tmp_path / "newest" / "SASRec.pth"
    assert LocalTeacher(tmp_path / "oldest").path == tmp_path / "oldest" / "SASRec.pth"
    with pytest.raises(TeacherError, match="no finished run"):
        LocalTeacher(tmp_path / "unfinished")
    assert LocalTeacher(tmp_path / "unfinished" / "SASRec.pth").top_k([ALL[:1]], 1)


def test_a_checkpoint_without_its_catalog_says_to_serve_it(changed):
    with pytest.raises(TeacherError, match=r"scripts/unirec_serve.sh NAME PORT and use `teacher` http"):
        LocalTeacher(changed(lambda content: content.pop("raw_ids")))


class Command:
    """Runs when it is unpickled by a reader that allows everything."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_checkpoint_cannot_run_code(changed, tmp_path):
    with pytest.raises(TeacherError, match="not a checkpoint of tensors and plain values"):
        LocalTeacher(changed(lambda content: content.update(optimizer=Command(tmp_path / "ran"))))
    # The library evaluates this setting as Python.
    hostile = {"use_features": 1, "features_shape": f"__import__('os').mkdir({str(tmp_path / 'ran')!r})"}
    with pytest.raises(TeacherError, match="use_features is 1"):
        LocalTeacher(changed(lambda content: content["config"].update(hostile)))
    assert not (tmp_path / "ran").exists()


def config(**settings):
    return lambda content: content["config"].update(settings)


def weights(**tensors):
    return lambda content: content["state_dict"].update(tensors)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("config"),
        lambda content: content.update(state_dict=[1]),
        lambda content: content["raw_ids"].pop(),
        lambda content: content["raw_ids"].append(ALL[0]),
        lambda content: content.update(raw_ids=["[PAD]", *range(N_ITEMS)]),
        lambda content: content.update(raw_ids=ALL),
        lambda content: content.update(popularity=torch.zeros(N_ITEMS, dtype=torch.int64)),
        lambda content: content.update(popularity=torch.full((N_ITEMS + 1,), -1)),
        lambda content: content.update(popularity=torch.zeros(N_ITEMS + 1)),
        lambda content: content["state_dict"].popitem(),
        weights(**{"item_embedding.weight": torch.zeros(N_ITEMS + 1, 17)}),
        weights(**{"item_embedding.weight": torch.full((N_ITEMS + 1, 16), torch.nan)}),
        weights(**{"LayerNorm.weight": "text"}),
        weights(more=torch.zeros(1)),
        config(model="os.system"),
        config(model=["SASRec"]),
        config(model="GRU4Rec"),
        config(n_items=10**12),
        config(embedding_size=10**12, hidden_size=10**12),
        config(n_layers=10**12),
        config(max_seq_len=10**12),
        config(max_seq_len=0),
        config(max_seq_len="10"),
        config(n_heads=0),
        config(n_heads=3),
        config(hidden_act="exec"),
        config(tau=0.0),
        config(tau=torch.ones(2)),
        config(distance_type="mlp"),
        config(use_text_emb=torch.ones(2)),
        config(has_user_emb=True),
        config(init_method="none"),
        lambda content: content["config"].pop("n_layers"),
        lambda content: content["config"].pop("inner_size"),
    ],
)
def test_a_checkpoint_that_makes_no_sense_is_one_line(changed, change):
    path = changed(change)
    with pytest.raises(TeacherError) as refused:
        LocalTeacher(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(checkpoint, tmp_path_factory, data):
    whole = bytearray(checkpoint.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "SASRec.pth"
    path.write_bytes(whole[: data.draw(st.sampled_from([len(whole), len(whole) // 2, 100, 0]))])
    try:
        assert len(LocalTeacher(path).top_k([ALL[:3]], 3)[0]) == 3
    except TeacherError as error:
        assert "\n" not in str(error)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=100)
@given(data=st.data())
def test_a_damaged_pickle_is_refused_or_read(checkpoint, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "SASRec.pth"
    with zipfile.ZipFile(checkpoint) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = bytearray(old.read(entry))
            if entry.filename.endswith("data.pkl"):
                for _ in range(data.draw(st.integers(1, 3))):
                    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
            new.writestr(entry.filename, bytes(content))
    try:
        assert LocalTeacher(path).top_k([ALL[:3]], 1)
    except TeacherError as error:
        assert "\n" not in str(error)


def test_equal_scores_go_by_item_and_probabilities_cover_all_open_items():
    none = -np.inf
    scores = np.array([[none, 1, 3, 3, 1, 1], [none, none, 2, none, none, none]], np.float32)
    (items, only), (shares, one) = top_k(torch.from_numpy(scores), scores > none, np.array([4, 4]))
    assert items.tolist() == [2, 3, 1, 4] and only.tolist() == [2] and one.tolist() == [1]
    np.testing.assert_allclose(shares * (2 * np.e**2 + 3), [np.e**2, np.e**2, 1, 1])


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | environment)  # fmt: skip


def test_an_http_teacher_loads_neither_torch_nor_the_library():
    code = ("import sys; from train_utils.teacher.open import open_teacher; open_teacher('localhost:1');"
            "assert not {'torch', 'unirec'} & set(sys.modules)")  # fmt: skip
    assert run_python(code).returncode == 0


def test_a_missing_library_is_named_with_its_remedy(checkpoint):
    # Without the library, `unirec` is this repository's own folder of scripts.
    code = ("import importlib.machinery, sys\n"
            "class Hide(importlib.machinery.PathFinder):\n"
            "    @classmethod\n"
            "    def find_spec(cls, name, path=None, target=None):\n"
            "        return super().find_spec(name, sys.path[:1], target) if name == 'unirec' else None\n"
            "sys.meta_path.insert(0, Hide)\n"
            "from train_utils.teacher.open import open_teacher\n"
            f"open_teacher({f'local:{checkpoint}'!r})")  # fmt: skip
    refused = run_python(code)
    assert "pip install --no-deps -r requirements-unirec.txt" in refused.stderr.splitlines()[-1]


def test_item_vectors_come_in_the_order_of_the_ids_and_score_as_the_teacher_does(teacher):
    ids = [raw for raw in reversed(teacher._model.catalog.raw_ids) if raw != "[PAD]"]
    vectors = teacher.item_vectors(ids)
    assert len(vectors) == N_ITEMS and vectors.dtype == np.float32
    rows = [teacher._model.catalog.index[raw] for raw in ids]
    assert (vectors == teacher._model.vectors.detach().numpy()[rows]).all()
    with pytest.raises(TeacherError, match="'none'"):
        teacher.item_vectors([ids[0], "none"])
