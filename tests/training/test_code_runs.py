"""A run with item codes is trained, merged, tested, continued and talked to, in each form; misfits are one line."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import codes_of_levels
from tiny_samples import TITLES, FixedTeacher, write_small_catalog
from trained_models import backbone_at

from train_utils.catalog import load_catalog
from train_utils.conversation.preferences import Change
from train_utils.dialogue.readers import make_reader
from train_utils.evaluation.multi_round import run_multi_round
from train_utils.evaluation.run import run_test
from train_utils.item_codes import load_item_codes, uni_paths, write_uni_index
from train_utils.leakage.__main__ import LeakageOptions, report_of
from train_utils.models.backbone import model_files
from train_utils.models.merge import run_merge
from train_utils.param.chat import ChatOptions
from train_utils.param.evaluation import EvalOptions
from train_utils.param.training import TrainOptions
from train_utils.priors import SEQUENCE_WEIGHT
from train_utils.recommender import Recommendation, Recommender
from train_utils.serving.chat_session import ChatSession
from train_utils.serving.domains import Domains
from train_utils.training import run_samples, sft
from train_utils.training.loop import train
from train_utils.training.ret import run_sft_embedding

FORMS = ("token", "token_title", "rq_token_seq")


class Teacher(FixedTeacher):
    def close(self):
        """Nothing is held open."""


def options(root: Path, form: str, **changed) -> TrainOptions:
    settings = dict(
        data_path=str(root / "small"), backbone=str(root / "base"), output=str(root / "run"), item_index=form,
        gpu="cpu", dtype="float32", sequences=True, max_sequence=4, conversations=4, epoch=1, batch_size=4,
        gradient_accumulation_steps=2, lora_layers=1, lora_dropout=0.0, share_chat_gpt="",
        SFT_train_tasks="SFTSeqRec,SFTAlignment,SFTReading", decision_weight=2.0,
        tensorboard=False, average=0.9, soft_labels=0.5, history_weight=0.5, max_history=3, topk=4,
    )  # fmt: skip
    return TrainOptions(**settings | changed)


@pytest.fixture(scope="module")
def patched():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_samples, "open_teacher", lambda spec: Teacher())
        yield


@pytest.fixture(scope="module", params=FORMS)
def run(request, tmp_path_factory, patched):
    """(root folder, item form, adapter, merged model)."""
    root = tmp_path_factory.mktemp("codes")
    write_small_catalog(root / "small")
    write_uni_index(codes_of_levels(len(TITLES)), *uni_paths(root / "small", "small"))
    backbone_at(root / "base")
    made = options(root, request.param)
    adapter = sft.run_sft(made)
    return root, request.param, adapter, run_merge(made)


def test(root: Path, model: Path, name: str, **changed) -> EvalOptions:
    return EvalOptions(
        data_path=str(root / "small"), model_name=str(model), output=str(root / name), gpu="cpu", dtype="float32",
        use_CBS=True, decoding="rank", topk=4, max_history=3, share_chat_gpt="", **changed,
    )  # fmt: skip


test.__test__ = False


def test_the_adapter_and_the_merged_model_keep_the_codes_and_list_distinct_items(run):
    root, form, adapter, merged = run
    catalog = load_catalog(root / "small")
    codes = load_item_codes(adapter, catalog)
    assert codes == load_item_codes(merged, catalog) and codes.form == form
    assert codes.sequences, "the run passed over histories of bare codes"
    lists = []
    for name, model in (("adapter.json", adapter), ("merged.json", merged)):
        _, result = run_test(test(root, model, name))
        assert result["metrics"]["ood@10"]["mean"] == result["metrics"]["repeat@10"]["mean"] == 0
        assert result["metrics"]["short"]["mean"] == 0 and result["n_users"] == 9
        lists.append([user["items"] for user in result["users"]])
    assert lists[0] == lists[1]
    assert any(path.name == "item_index.json" for path in model_files(str(merged)))


@pytest.mark.parametrize("weight", ["auto", "0"])
def test_a_result_says_with_which_weight_the_bare_history_was_asked(run, weight):
    root, form, _, merged = run
    _, result = run_test(test(root, merged, f"weight-{weight}.json", sequence_weight=weight))
    one_token = form != "rq_token_seq"
    assert result["sequence_weight"] == (SEQUENCE_WEIGHT if one_token and weight == "auto" else 0.0)


def test_a_model_that_was_trained_to_read_reads(run):
    root, _, adapter, merged = run
    for model in (adapter, merged):
        recommender = Recommender.load(model, root / "small", device="cpu", dtype="float32")
        assert isinstance(make_reader("model", recommender).read("3 like red moon"), Change)


def test_every_item_can_be_listed_by_its_title(run):
    root, _, _, merged = run
    recommender = Recommender.load(merged, root / "small", device="cpu", dtype="float32")
    listed = recommender.recommend(["1"], k=19)
    assert {item.id for item in listed} == {str(i) for i in range(20) if i != 1}
    assert {item.title for item in listed} == set(TITLES) - {TITLES[1]}


def test_the_engine_writes_what_generate_writes(run):
    root, _, _, merged = run
    answers = []
    for engine in ("own", "hf"):
        plan = replace(test(root, merged, f"{engine}.json", engine=engine), decoding="greedy")
        answers.append([user["completion"] for user in run_test(plan)[1]["users"]])
    assert answers[0] == answers[1]


def test_a_model_without_its_codes_is_refused(run, tmp_path):
    root, form, _, merged = run
    alone = tmp_path / "alone"
    shutil.copytree(merged, alone, ignore=shutil.ignore_patterns("item_index.json"))
    with pytest.raises(
        ValueError, match=f"writes items as {form}, and there is no item_index.json next to it; copy it"
    ):
        Recommender.load(alone, root / "small", device="cpu")
    with pytest.raises(ValueError, match="there is no item_index.json next to it"):
        sft.run_sft(options(root, form, backbone=str(alone), output=str(tmp_path / "on")))
    with pytest.raises(ValueError, match=f"has items of the form '{form}', and `item_index` is 'title_t'"):
        titles = {"item_index": "title_t", "sequences": False, "conversations": 0, "backbone": str(merged)}
        titles["SFT_train_tasks"] = "SFTSeqRec"
        sft.run_sft(options(root, form, output=str(tmp_path / "titles"), **titles))


def test_an_adapter_without_its_codes_is_refused(run, tmp_path):
    root, form, adapter, _ = run
    alone = tmp_path / adapter.name
    shutil.copytree(adapter, alone, ignore=shutil.ignore_patterns("item_index.json"))
    with pytest.raises(ValueError, match=f"writes items as {form}, and there is no item_index.json next to it"):
        Recommender.load(alone, root / "small", device="cpu")
    with pytest.raises(ValueError, match="there is no item_index.json next to it"):
        run_merge(options(root, form, SFT_load=str(alone), merge_output=str(tmp_path / "merged")))


def test_own_labels_need_predictions_after_the_history(tmp_path):
    untrained = {"sequences": False, "conversations": 0, "history_weight": 0.0}
    with pytest.raises(ValueError, match="give `sequences`, or `history_weight` above 0"):
        sft.run_sft(options(tmp_path, "token", own_labels=1.0, **untrained))
    with pytest.raises(ValueError, match="`own_labels` needs one token per item"):
        sft.run_sft(options(tmp_path, "rq_token_seq", own_labels=1.0))


def test_rows_can_be_coupled_where_an_adapter_trains_rows_of_item_tokens(tmp_path):
    titles = {"sequences": False, "conversations": 0}
    with pytest.raises(ValueError, match="`item_index` is 'title_t' and `peft` 'lora'"):
        sft.run_sft(options(tmp_path, "title_t", coupled_rows=True, **titles))
    with pytest.raises(ValueError, match="`item_index` is 'token' and `peft` 'full'"):
        sft.run_sft(options(tmp_path, "token", coupled_rows=True, peft="full"))


def test_rates_of_lora_matrices_reach_the_loop(tmp_path):
    for ratio in (1.0, 3.0):
        assert sft.loop_config(options(tmp_path, "token", loraplus_lr_ratio=ratio), 5).loraplus_lr_ratio == ratio


def test_rates_of_lora_matrices_are_refused_where_there_is_no_lora(tmp_path):
    with pytest.raises(ValueError, match="`loraplus_lr_ratio` is 4.0, and `peft` full trains no LoRA"):
        sft.run_sft(options(tmp_path, "token", loraplus_lr_ratio=4.0, peft="full"))


def test_alignment_needs_item_tokens(tmp_path):
    titles = {"sequences": False, "conversations": 0}
    with pytest.raises(ValueError, match="SFTAlignment, which says what item tokens mean"):
        sft.run_sft(options(tmp_path, "title_t", **titles))


def test_a_finished_run_is_not_trained_again_and_another_form_is_refused(run):
    root, form, adapter, _ = run
    written = (adapter / "manifest.json").stat().st_mtime_ns
    assert sft.run_sft(options(root, form)) == adapter
    assert (adapter / "manifest.json").stat().st_mtime_ns == written
    other = next(one for one in FORMS if one != form)
    with pytest.raises(ValueError, match="run with other"):
        sft.run_sft(options(root, other))


def test_a_run_that_was_stopped_ends_with_the_weights_of_an_unbroken_one(run, monkeypatch):
    root, form, adapter, _ = run
    broken = options(root, form, output=str(root / "broken"), save_seconds=0.0)

    def stopped(model, loss, stream, *more):
        def until(step):
            if step == 1:
                raise KeyboardInterrupt
            return stream(step)

        return train(model, loss, until, *more)

    monkeypatch.setattr(sft, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        sft.run_sft(broken)
    monkeypatch.setattr(sft, "train", train)
    resumed, whole = (load_file(folder / "adapter_model.safetensors") for folder in (sft.run_sft(broken), adapter))
    assert resumed.keys() == whole.keys() and all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_part_of_an_epoch_is_that_part_of_the_steps(run):
    root, form, adapter, _ = run
    part = sft.run_sft(options(root, form, output=str(root / "part"), epoch=0.5))
    assert part.name == "Epoch01_SFT"
    steps, whole = (len((folder.parent / "times.jsonl").read_text().splitlines()) for folder in (part, adapter))
    assert 1 <= steps == math.ceil(whole / 2) < whole


def test_a_file_of_samples_has_whole_epochs(tmp_path):
    with pytest.raises(ValueError, match="`epoch` is 1.5, and a file has whole epochs; give 2"):
        run_samples.run_export(options(tmp_path, "token", epoch=1.5, train_data_file=str(tmp_path / "sft.json")))


def test_a_model_with_codes_is_trained_on_in_its_form_with_its_rows(run):
    root, form, adapter, merged = run
    again = options(root, form, backbone=str(merged), output=str(root / "again"))
    continued = sft.run_sft(again)
    catalog = load_catalog(root / "small")
    assert load_item_codes(continued, catalog) == load_item_codes(adapter, catalog)
    other = next(one for one in FORMS if one != form)
    with pytest.raises(ValueError, match=f"form '{form}', and `item_index` is '{other}'") as error:
        sft.run_sft(options(root, other, backbone=str(merged), output=str(root / "other")))
    assert "\n" not in str(error.value)


def test_a_dataset_whose_items_lack_codes_is_one_line(run):
    root, _, adapter, merged = run
    if not (root / "longer").exists():
        write_small_catalog(root / "longer")
        metas = json.loads((root / "longer/metas.jsonl").read_text()) | {"20": {"title": "a new one"}}
        (root / "longer/metas.jsonl").write_text(json.dumps(metas))
    for model in (adapter, merged):
        with pytest.raises(ValueError, match="no code for 1 of the 21 items of catalog 'longer', such as '20'") as told:
            Recommender.load(model, root / "longer", device="cpu", dtype="float32")
        assert "\n" not in str(told.value)
    with pytest.raises(ValueError, match="no code for 1 of the 21"):
        run_test(replace(test(root, merged, "longer.json"), data_path=str(root / "longer")))


def test_a_chat_shows_titles_and_reads_back_what_it_listed(run):
    root, _, _, merged = run
    recommender = Recommender.load(merged, device="cpu", dtype="float32")
    with torch.no_grad():  # opens items often
        recommender.model.get_output_embeddings().weight[recommender.renderer.soi] *= 20
    chat = ChatOptions(model_name=str(merged), max_new_tokens=30)
    session = ChatSession(Domains(recommender, {"small": root / "small"}), chat, "small")
    shown = [event for line in ("red moon 2", "more") for event in session.handle(line)]
    titles = [event.title for event in shown if isinstance(event, Recommendation)]
    assert set(titles) <= set(TITLES) - {"red moon 2"}
    assert not any("<item_" in str(event) or "<a_" in str(event) for event in shown)
    assert len(session.dialogue.exchanges) == 2
    notices = [*session.handle("/domain none"), *session.handle("/domain small")]
    assert "20 titles" in notices[-1].text


def test_the_multi_round_test_and_the_leakage_report_open_it(run):
    root, form, adapter, merged = run
    questions = root / "questions.jsonl"
    questions.write_text(
        "".join(json.dumps({"question": f"{i} + 1?", "answer": f"#### {i + 1}"}) + "\n" for i in (1, 2))
    )
    plan = EvalOptions(
        data_path=str(root / "small"), model_name=str(merged), output=str(root / "rounds.json"), gpu="cpu",
        dtype="float32", use_CBS=True, topk=4, max_history=3, gen_max_length=20, GSM8K_data_path=str(questions),
        share_chat_gpt="",
    )  # fmt: skip
    two_turns = run_multi_round(plan)[1]
    assert {"gsm8k", "csn_items", "csn_none"} <= two_turns["metrics"].keys()
    assert two_turns["sequence_weight"] == (0.0 if form == "rq_token_seq" else SEQUENCE_WEIGHT)
    options = LeakageOptions(
        data_path=str(root / "small"), model_name=str(adapter), gpu="cpu", dtype="float32", probes=2
    )
    assert report_of(options)["memorization"]


def test_codes_of_a_dataset_that_has_none_are_one_line_before_training(tmp_path, patched):
    write_small_catalog(tmp_path / "small")
    backbone_at(tmp_path / "base")
    with pytest.raises(ValueError, match=r"small.index.json does not exist.*make_codes --data_path") as error:
        sft.run_sft(options(tmp_path, "rq_token_seq"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", FORMS)
def test_reclm_ret_has_no_item_tokens(tmp_path, form):
    with pytest.raises(ValueError, match=f"`item_index` is '{form}', and RecLM-ret finds items by vectors") as error:
        run_sft_embedding(options(tmp_path, form))
    assert "\n" not in str(error.value)


def test_sequences_of_titles_are_refused_before_anything_is_loaded():
    with pytest.raises(ValueError, match="`sequences` trains on item tokens"):
        sft.run_sft(TrainOptions(data_path="missing", backbone="missing", sequences=True))


def test_reclm_ret_does_not_learn_to_read(tmp_path):
    titles = options(tmp_path, "title_t", sequences=False, conversations=0, SFT_train_tasks="SFTSeqRec,SFTReading")
    with pytest.raises(ValueError, match="SFTReading, and RecLM-ret finds items by vectors"):
        run_sft_embedding(titles)
