"""A result file belongs to its settings and inputs: nothing is mixed up, overwritten unseen, or made for nothing."""

import copy
import dataclasses
import json
import logging
import multiprocessing
import shutil
from pathlib import Path

import pytest
import torch
from accelerate import PartialState
from test_evaluate import CATALOG, ROOT, options_of, world  # noqa: F401 - a fixture
from tiny_samples import TITLES

from train_utils.evaluation.multi_round import run_multi_round
from train_utils.evaluation.partial_results import delete_partials, run_resumable
from train_utils.evaluation.results import default_output, result_identity, result_inputs
from train_utils.evaluation.run import run_test
from train_utils.files.atomic import digest, exclusively
from train_utils.models.adapters import add_lora, save_adapter
from train_utils.models.backbone import load_backbone
from train_utils.models.control_rows import add_item_tokens
from train_utils.models.merge import newest_adapter, run_merge
from train_utils.models.trained import backbone_of, load_trained
from train_utils.options import parse
from train_utils.param.evaluation import EvalOptions
from train_utils.param.training import TrainOptions
from train_utils.report.comparison import name_of

CPU = torch.device("cpu")
SETTINGS = [
    {}, {"use_CBS": False}, {"CBS_type": 1}, {"decoding": "rank"}, {"decoding": "best"}, {"prior": "teacher"},
    {"prior": "popularity"}, {"prior": "popularity", "prior_weight": "0.5"},
    {"prior": "teacher", "prior_reduce": "max"},
    {"use_control_symbol": True}, {"force_items": True}, {"hide_seen": "all"}, {"split": "valid"}, {"users": 3},
    {"seed": 1}, {"max_history": 2}, {"topk": 2}, {"SFT_test_task": "SFTTestSeqRanking"}, {"engine": "hf"},
    {"dtype": "bfloat16"}, {"marked_history": False}, {"enforce_request": True}, {"teacher": "http://[::1]:99/x"},
    {"idx": False}, {"gen_max_length": 41}, {"batch_size": 5}, {"backbone": "x/y"},
    {"sequence_weight": "0"},
]  # fmt: skip


def test_the_default_path_tells_the_settings_apart(world):  # noqa: F811
    """Whatever a result depends on, but what lies in the files that it was made of."""
    paths = [default_output(options_of(world, **settings)) for settings in SETTINGS]
    assert len(set(paths)) == len(paths)
    assert all(path.parent == world / "model" and path.suffix == ".json" for path in paths)
    assert default_output(options_of(world, gpu="auto", output="x")) == paths[0]
    covered = {name for settings in SETTINGS for name in settings}
    left = set(result_identity(options_of(world))) - covered
    assert left == {"data_path", "model_name", "FA2", "candidate_num", "max_token_length", "share_chat_gpt",
                    "prior_users", "ranker", "tune", "run_file", "GSM8K_data_path", "url"}  # fmt: skip
    many = {f.name: True for f in dataclasses.fields(EvalOptions) if f.type == "bool" or f.type is bool}
    long = default_output(options_of(world, **many, teacher="file:" + "x" * 300, prior="teacher"))
    assert len(long.name) <= 200 and long != default_output(
        options_of(world, **many, teacher="file:" + "x" * 301, prior="teacher")
    )


def test_names_in_a_report_tell_default_results_of_one_model_apart(world):  # noqa: F811
    paths = [default_output(options_of(world, **settings)) for settings in SETTINGS]
    assert len({name_of(path) for path in paths if "top3" in path.name and "SeqRec" in path.name}) >= len(paths) - 2
    assert name_of("a/bert/SFTTestSeqRec_films_top10.json") == "bert"


def test_a_result_of_other_settings_is_kept_and_no_other_file_is_written_over(world, tmp_path, caplog):  # noqa: F811
    output = tmp_path / "r.json"
    options = options_of(world, ranker="popularity", model_name="", output=str(output))
    first = run_test(options)[1]
    run_test(options)
    assert not (tmp_path / "r.old1.json").exists()
    with caplog.at_level(logging.WARNING):
        second = run_test(dataclasses.replace(options, topk=2))[1]
    assert json.loads((tmp_path / "r.old1.json").read_text()) == json.loads(json.dumps(first))
    assert json.loads(output.read_text()) == json.loads(json.dumps(second))
    run_test(options)
    assert json.loads((tmp_path / "r.old2.json").read_text()) == json.loads(json.dumps(second))
    assert "held a result of other settings (topk)" in caplog.text
    output.write_text("notes")
    with pytest.raises(ValueError, match="r.json is there and no result file"):
        run_test(options)
    assert output.read_text() == "notes"


def test_settings_that_read_alike_as_a_name_have_paths_of_their_own(world):  # noqa: F811
    for name, texts in {
        "teacher": ("file:a/b", "file:a-b"),
        "backbone": ("x/y", "x-y", "x_y"),
        "share_chat_gpt": ("", "a/b.json", "a-b.json"),
    }.items():
        paths = {
            default_output(options_of(world) if value is None else _with(options_of(world), name, value))
            for value in (None, *texts)
        }
        assert len(paths) == len(texts) + 1
    listed = [_with(options_of(world, model_name=""), "run_file", path) for path in ("a/x.tsv", "b/x.tsv", "b/x.csv")]
    assert len({default_output(options) for options in listed}) == 3


def _with(options: EvalOptions, name: str, value: object) -> EvalOptions:
    """Options with a path that need not be there."""
    object.__setattr__(changed := copy.copy(options), name, value)
    return changed


def test_a_result_of_other_inputs_is_kept_with_its_time(world, tmp_path):  # noqa: F811
    data, output = tmp_path / "films", tmp_path / "r.json"
    shutil.copytree(options_of(world).data_path, data)
    options = options_of(world, ranker="popularity", model_name="", data_path=str(data), output=str(output))
    first = run_test(options)[1]
    (tmp_path / "r.timing.json").write_text("1")
    with (data / "sequential.jsonl").open("a") as file:
        file.write("\n")
    run_test(options)
    assert json.loads((tmp_path / "r.old1.json").read_text()) == json.loads(json.dumps(first))
    assert (tmp_path / "r.old1.timing.json").read_text() == "1"
    run_test(options)
    assert not (tmp_path / "r.old2.json").exists()


def test_a_test_that_fails_leaves_the_result_of_other_settings_where_it_is(world, tmp_path):  # noqa: F811
    output = tmp_path / "r.json"
    options = options_of(world, ranker="popularity", model_name="", output=str(output))
    run_test(options)
    kept = output.read_bytes()
    with pytest.raises(ValueError):
        run_test(dataclasses.replace(options, topk=2, data_path="nowhere"))
    assert output.read_bytes() == kept and not (tmp_path / "r.old1.json").exists()


def test_a_link_and_the_result_behind_it_are_one_output(world, tmp_path):  # noqa: F811
    output, link = tmp_path / "r.json", tmp_path / "other" / "link.json"
    link.parent.mkdir()
    link.symlink_to(output)
    with exclusively(output), pytest.raises(ValueError, match="is being written by another process"):
        run_test(options_of(world, ranker="popularity", model_name="", output=str(link)))
    run_test(options_of(world, ranker="popularity", model_name="", output=str(link)))
    assert link.is_symlink() and json.loads(output.read_text())["n_users"]


@pytest.mark.parametrize("name", ["r?.json", "r*.json", "r[1].json", "[!x].json"])
def test_what_is_kept_of_a_result_is_that_of_its_own_name_alone(tmp_path, name):
    others = [tmp_path / f"{other}.partial.0" for other in ("r1.json", "rr.json", "1.json")]
    for path in others:
        path.write_text("{}\n")
    run_resumable([], list, tmp_path / name, {"config": {}}, PartialState(), "x")
    assert (tmp_path / f"{name}.partial.0").exists()
    delete_partials(tmp_path / name, PartialState())
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_bad_output_is_told_before_the_work(world, tmp_path):  # noqa: F811
    nowhere = {"data_path": "nowhere"}  # the dataset would be missed first, were it read first
    with pytest.raises(ValueError, match="`output` is the folder .*, wanted a file"):
        run_test(options_of(world, **nowhere, output=str(tmp_path)))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be written .*give another `output`"):
        run_test(options_of(world, **nowhere, output=str(tmp_path / "file" / "r.json")))


def test_one_output_has_one_writer_at_a_time_and_a_dead_one_is_none(world, tmp_path):  # noqa: F811
    output = tmp_path / "r.json"
    options = options_of(world, ranker="popularity", model_name="", output=str(output))
    held, wait = multiprocessing.Event(), multiprocessing.Event()

    def hold():
        with exclusively(output):
            held.set()
            wait.wait()

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    held.wait()
    with pytest.raises(ValueError, match="r.json is being written by another process"):
        run_test(options)
    process.kill()
    process.join()
    run_test(options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "r.timing.json"]


# -- what a result depends on ----------------------------------------------------------------------


def adapter_at(folder: Path, base: str) -> Path:
    tokenizer, model = load_backbone(base, CPU, "float32")
    add_item_tokens(tokenizer, model)
    control = tokenizer.convert_tokens_to_ids(["<SOI>", "<EOI>"])
    save_adapter(add_lora(model, control, 2, 2, 0.0), tokenizer, folder, {})
    return folder


def test_every_file_that_decides_a_result_is_among_its_inputs(world, tmp_path):  # noqa: F811
    base, adapter = tmp_path / "base", tmp_path / "runs/Epoch01_SFT"
    shutil.copytree(world / "model", base)
    adapter_at(adapter, str(base))
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher/SASRec.pth").touch()
    (tmp_path / "x.gguf").touch()
    options = options_of(
        world,
        SFT_test_task="SFTTestSeqRec-MR",
        model_name=str(adapter),
        prior="teacher",
        teacher=f"local:{tmp_path / 'teacher'}",
    )
    inputs = {path.relative_to(tmp_path) if path.is_relative_to(tmp_path) else path for path in result_inputs(options)}
    wanted = {
        f"runs/Epoch01_SFT/{name}"
        for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json")
    }
    wanted |= {f"base/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")}
    wanted |= {"teacher/SASRec.pth"}
    assert {Path(name) for name in wanted} <= inputs
    assert {world / "chat.json", world / "data/metas.jsonl"} <= inputs
    assert any("chat_template" in path.name for path in inputs)
    assert Path("x.gguf") in {
        path.relative_to(tmp_path)
        for path in result_inputs(options_of(world, model_name=str(tmp_path / "x.gguf")))
        if path.is_relative_to(tmp_path)
    }


@pytest.mark.parametrize("file", ["tokenizer.json", "config.json", "chat_template.jinja"])
def test_records_of_another_tokenizer_template_or_configuration_are_not_gone_on_with(world, tmp_path, file):  # noqa: F811
    model = tmp_path / "model"
    shutil.copytree(world / "model", model)
    options = options_of(world, model_name=str(model), output=str(tmp_path / "r.json"))
    before = {str(path): digest(path) for path in result_inputs(options)}
    path = model / file
    path.write_text(path.read_text() + " ")
    assert before != {str(path): digest(path) for path in result_inputs(options)}


class Alone:
    """One process of a launch of one."""

    process_index, num_processes, is_main_process, is_local_main_process = 0, 1, True, True

    def wait_for_everyone(self) -> None:
        pass


@dataclasses.dataclass(frozen=True)
class Row:
    user: str


def test_an_interrupted_test_goes_on_behind_a_commit_and_starts_anew_for_other_inputs(tmp_path):
    rows, output, done = [[Row("a")], [Row("b")], [Row("c")]], tmp_path / "r.json", []

    def work(batch):
        if len(done) == 2 and not gone_on:
            raise KeyboardInterrupt
        done.append(batch[0].user)
        return [{"user": row.user} for row in batch]

    made_from = {"config": {"topk": 3}, "inputs": {"x": "1"}, "commit": "one", "packages": {}}
    gone_on = False
    with pytest.raises(KeyboardInterrupt):
        run_resumable(rows, work, output, made_from, Alone(), "test")
    gone_on = True
    records, _ = run_resumable(rows, work, output, made_from | {"commit": "two"}, Alone(), "test")
    assert done == ["a", "b", "c"] and set(records) == {"a", "b", "c"}
    for other in ({"inputs": {"x": "2"}}, {"config": {"topk": 4}}, {"packages": {"torch": "9"}}):
        done.clear()
        run_resumable(rows, work, output, made_from | other, Alone(), "test")
        assert done == ["a", "b", "c"]


# -- adapters --------------------------------------------------------------------------------------


def test_an_adapter_is_loaded_from_any_working_directory(world, tmp_path, monkeypatch):  # noqa: F811
    shutil.copytree(world / "model", tmp_path / "repo/snap/base/tiny")
    monkeypatch.chdir(tmp_path / "repo")
    adapter_at(Path("snap/films/cgen/Epoch01_SFT"), "snap/base/tiny")
    assert (
        json.loads(Path("snap/films/cgen/Epoch01_SFT/adapter_config.json").read_text())["base_model_name_or_path"]
        == "snap/base/tiny"
    )
    weights = load_trained("snap/films/cgen/Epoch01_SFT", CPU, "float32")[1].state_dict()
    for folder, name in (
        (tmp_path, "repo/snap/films/cgen/Epoch01_SFT"),
        (Path("/"), str(tmp_path / "repo/snap/films/cgen/Epoch01_SFT")),
    ):
        monkeypatch.chdir(folder)
        assert Path(backbone_of(name)).resolve() == tmp_path / "repo/snap/base/tiny"
        found = load_trained(name, CPU, "float32")[1].state_dict()
        assert all(torch.equal(found[key], weights[key]) for key in weights)
    moved = tmp_path / "elsewhere/adapter"
    shutil.copytree(tmp_path / "repo/snap/films/cgen/Epoch01_SFT", moved)
    with pytest.raises(ValueError, match="base model 'snap/base/tiny' of the adapter '.*adapter' .*`backbone`"):
        load_trained(str(moved), CPU, "float32")
    found = load_trained(str(moved), CPU, "float32", backbone=str(tmp_path / "repo/snap/base/tiny"))[1].state_dict()
    assert all(torch.equal(found[key], weights[key]) for key in weights)
    with pytest.raises(ValueError, match="is no adapter: it needs no base model"):
        load_trained(str(world / "model"), CPU, "float32", backbone="x")


def test_an_adapter_is_tested_and_merged_with_the_base_that_it_names(world, tmp_path):  # noqa: F811
    adapter = adapter_at(tmp_path / "run/Epoch01_SFT", str(world / "model"))
    options = options_of(world, model_name=str(adapter), users=2, output=str(tmp_path / "r.json"))
    assert run_test(options)[1]["n_users"] == 2
    merged = run_merge(TrainOptions(output=str(tmp_path / "run"), train_stage="SFT_Merge"))
    assert merged == tmp_path / "run/SFT_Epoch1"


def test_the_newest_adapter_is_that_of_the_most_epochs(tmp_path):
    for epochs in (20, 99, 100, 3):
        folder = tmp_path / f"Epoch{epochs:02d}_SFT"
        folder.mkdir()
        (folder / "manifest.json").touch()
    assert newest_adapter(tmp_path).name == "Epoch100_SFT"


# -- numbers that make no sense --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--batch_size 0", "--batch_size is 0, wanted 1 or more"),
        ("--users -3", "--users is -3, wanted 0 or more"),
        ("--topk 0", "--topk is 0, wanted 1 or more"),
        ("--max_history 0", "--max_history is 0, wanted 1 or more"),
        ("--prior_users -1", "--prior_users is -1, wanted 1 or more"),
        ("--gen_max_length 0", "--gen_max_length is 0, wanted 1 or more"),
    ],
)
def test_a_senseless_number_is_one_line(capsys, flags, message):
    with pytest.raises(SystemExit) as stopped:
        parse(EvalOptions, ["--data_path", "x", *flags.split()])
    assert stopped.value.code == 2
    errors = capsys.readouterr().err
    assert message in errors and errors.count("\n") == 1


@pytest.mark.parametrize(("name", "value"), [
    ("lr", 0.0), ("lr", float("nan")), ("soft_labels", 1.1), ("epoch", 0), ("gradient_accumulation_steps", -1),
    ("warmup_ratio", 2.0), ("multi_round_ratio", -0.1), ("max_segment", 0), ("peft", "loora"), ("SFT_actor_lora_r", 0),
])  # fmt: skip
def test_options_are_checked_when_they_are_made(name, value):
    with pytest.raises(ValueError, match=f"`{name}` is .*, wanted "):
        TrainOptions(**{name: value})


# -- small catalogs, and users who consume again -------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"ranker": "popularity", "model_name": ""},
        {"decoding": "rank"},
        {"force_items": True},
        {"ranker": "markov", "model_name": "", "tune": False},
    ],
)
def test_a_list_longer_than_the_catalog_gives_what_there_is(world, tmp_path, how):  # noqa: F811
    result = run_test(
        options_of(world, topk=40, max_history=25, gen_max_length=999, output=str(tmp_path / "r.json"), **how)
    )[1]
    for record in result["users"]:
        left = len(TITLES) - len(set(record["history"]))
        assert record["asked"]["k"] == left == len(set(record["items"]))
    assert result["metrics"]["short"]["mean"] == 0


@pytest.fixture(scope="module")
def again(world, tmp_path_factory):  # noqa: F811
    """Options of a test whose every target is an item that its user has just been shown, and GSM8K's file."""
    folder = tmp_path_factory.mktemp("again")
    shutil.copytree(world / "data", folder / "data")
    sequences = json.loads((world / "data/sequential.jsonl").read_text())
    (folder / "data/sequential.jsonl").write_text(
        json.dumps({user: [*ids[:-1], ids[-3]] for user, ids in sequences.items()})
    )
    (folder / "sums.jsonl").write_text(json.dumps({"question": "1 + 1?", "answer": "#### 2"}) + "\n")
    (folder / "run.csv").write_text("".join(f"{user},{ids[-3]}\n" for user, ids in sequences.items()))
    return options_of(
        world, data_path=str(folder / "data"), GSM8K_data_path=str(folder / "sums.jsonl"), gen_max_length=8
    )


def said_of_hidden(caplog):
    return [said for said in caplog.messages if "users consume them again" in said]


@pytest.mark.parametrize("tested", ["ranker", "model", "multi-round"])
def test_targets_that_are_hidden_because_they_come_again_are_told(again, tmp_path, caplog, tested):
    test = run_multi_round if tested == "multi-round" else run_test
    options = dataclasses.replace(again, output=str(tmp_path / "r.json"), users=3)
    if tested == "ranker":
        options = dataclasses.replace(options, model_name="", ranker="popularity")
    test(options)
    (said,) = said_of_hidden(caplog)
    assert said.startswith("3 of 3 targets are among the items that `hide_seen` visible hides")
    assert said.endswith("`hide_seen` none counts them")
    caplog.clear()
    test(dataclasses.replace(options, hide_seen="none", output=str(tmp_path / "s.json")))
    assert not said_of_hidden(caplog)


@pytest.mark.parametrize("tested", ["file", "model"])
def test_where_nothing_is_hidden_no_target_is_told_to_be(again, tmp_path, caplog, tested):
    """A file's lists are taken as they are, and so is what a model writes that nothing constrains."""
    options = dataclasses.replace(again, output=str(tmp_path / "r.json"), users=3)
    if tested == "file":
        run_file = str(Path(again.data_path).parent / "run.csv")
        result = run_test(dataclasses.replace(options, model_name="", run_file=run_file))[1]
        assert result["metrics"]["hr@1"]["mean"] == 1
    else:
        run_test(dataclasses.replace(options, use_CBS=False))
    assert not said_of_hidden(caplog)
