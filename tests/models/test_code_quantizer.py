"""Codes of several levels: equal by seed, one owner each, near items in one branch; the command that makes them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiny_samples import small_catalog, write_small_catalog

import train_utils.make_codes as command
from train_utils.catalog import load_catalog
from train_utils.item_codes import load_uni_index
from train_utils.models.code_quantizer import code_tokens, report_on, residual_codes, scaled

RNG = np.random.default_rng(0)
GROUPS = np.repeat(np.eye(4) * 10, 5, axis=0)  # 20 vectors around 4 places
NEAR = (GROUPS + RNG.normal(size=(20, 4))).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=st.sampled_from([-1.0, 0.0, 2.0])),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_codes_are_distinct_whatever_the_vectors(vectors, levels, size):
    codes = residual_codes(vectors, levels, size, 0)
    made = code_tokens(codes, [str(i) for i in range(len(vectors))])  # raises where two items share a code
    assert codes.min() >= 0 and codes.max() < size
    lengths = {len(code) for code in made.codes}
    assert lengths <= {levels, levels + 1}
    for code, one in zip(made.codes, codes.tolist(), strict=True):
        assert (len(code) > levels) == ((codes == one).all(1).sum() > 1)
    report = report_on(codes, size)
    assert report.collisions == np.mean([len(code) > levels for code in made.codes])
    assert report.depth == pytest.approx(np.mean([len(code) for code in made.codes]))
    assert report.longest == max(len(code) for code in made.codes)
    for level, use in enumerate(report.levels):
        tokens = [code[level] for code in made.codes if len(code) > level]
        counts = np.unique(tokens, return_counts=True)[1] / len(tokens)
        assert use.used == pytest.approx(len(counts) / use.tokens)
        assert use.entropy == pytest.approx(-(counts * np.log2(counts)).sum())


def test_near_items_share_their_first_token_and_the_seed_decides_all():
    codes = residual_codes(NEAR, 2, 4, 3)
    assert len(np.unique(codes[:, 0])) == 4
    assert (codes[:, 0].reshape(4, 5) == codes[::5, :1]).all()
    assert (residual_codes(NEAR, 2, 4, 3) == codes).all()


def test_kinds_of_vectors_are_brought_to_one_scale():
    parts = [scaled(NEAR), scaled(1000 * NEAR + 7)]
    assert [float((part**2).sum(1).mean()) for part in parts] == pytest.approx([1, 1], rel=1e-4)
    assert not scaled(np.ones((3, 2), dtype=np.float32)).any()


@pytest.mark.parametrize("vectors", [np.full((3, 2), np.nan), np.ones(3), np.ones((0, 2))])
def test_vectors_that_are_no_table_of_numbers_are_refused(vectors):
    with pytest.raises(ValueError, match="wanted .items, d. of finite numbers"):
        residual_codes(vectors, 2, 4, 0)


class FakeTeacher:
    def __init__(self, path):
        self.path = path

    def item_vectors(self, ids):
        return NEAR[[int(i) for i in ids]]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    write_small_catalog(tmp_path / "small")
    monkeypatch.setattr(command, "LocalTeacher", FakeTeacher)
    encoder = lambda texts: RNG.normal(size=(len(texts), 6))  # noqa: E731
    monkeypatch.setattr("train_utils.models.item_vectors.sentence_encoder", lambda *arguments: encoder)
    return tmp_path / "small"


def run(folder, *more):
    command.main(["--data_path", str(folder), "--teacher", f"local:{folder}", "--levels", "2", "--size", "4", *more])


@pytest.mark.parametrize(("kind", "width"), [("teacher", 4), ("text", 6), ("both", 10)])
def test_the_command_writes_the_files_that_training_reads_and_reports(folder, capsys, kind, width):
    run(folder, "--vectors", kind)
    shown = capsys.readouterr().out
    catalog = load_catalog(folder)
    codes = load_uni_index(folder, catalog)
    assert np.load(folder / f"small.emb-{kind}.npy").shape == (20, width)
    assert codes.ids == tuple(item.id for item in small_catalog().items)
    assert "20 items" in shown and "entropy" in shown and shown.splitlines()[-1].endswith("small.index.json")
    levels = {line.split()[0]: line.split() for line in shown.splitlines()[4:-1]}
    assert list(levels)[:2] == ["a", "b"] and levels["a"][1] == "4"
    before = (folder / "small.index.json").read_bytes()
    run(folder, "--vectors", kind, "--overwrite")
    assert (folder / "small.index.json").read_bytes() == before


def test_codes_that_are_there_are_not_replaced_unasked(folder):
    run(folder, "--vectors", "teacher")
    with pytest.raises(ValueError, match="`overwrite`"):
        run(folder, "--vectors", "text")


def test_an_interrupted_command_leaves_no_codes_of_two_runs(folder, monkeypatch):
    run(folder, "--vectors", "teacher")

    def killed(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("train_utils.item_codes.json.dumps", killed)
    with pytest.raises(KeyboardInterrupt):
        run(folder, "--vectors", "teacher", "--seed", "5", "--overwrite")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="small.index.json does not exist"):
        load_uni_index(folder, load_catalog(folder))


def test_the_teachers_vectors_need_a_teacher_of_this_machine(folder):
    with pytest.raises(ValueError, match="wanted local:PATH"):
        command.main(["--data_path", str(folder), "--vectors", "both"])


def test_a_dataset_without_codes_is_one_line_that_names_the_command(folder):
    (folder / "small.index.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"small.item2id does not exist.*python -m train_utils.make_codes --data_path"):
        load_uni_index(folder, load_catalog(folder))
