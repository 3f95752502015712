"""Promises of the search for leaks: planted ones are found, clean data pass, probes are what their words say."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_events import write_temporal
from tiny import tiny_model, tiny_tokenizer

from train_utils.catalog import Catalog, Item, make_catalog
from train_utils.leakage import __main__ as leakage
from train_utils.leakage.memorization import compare, probe_next_items, probe_titles, score_continuations
from train_utils.leakage.split import count_split, count_teacher, read_teacher_data
from train_utils.unirec_folder import read_pickle

TITLES = [
    "red moon",
    "blue river night",
    "green start",
    "a list of items",
    "the end",
    "return 1 2 3",
    "night moon",
    "the green item",
    "titles",
    "recommend a river",
]


class Careless(Catalog):
    """A catalog that trains on everything."""

    def training_sequences(self):
        return list(self.sequences.values())


def walks(n_users: int = 6, length: int = 9) -> Catalog:
    """Users who walk through the titles, each from another place on."""
    sequences = {f"u{u}": [str((u + step) % len(TITLES)) for step in range(length)] for u in range(n_users)}
    return make_catalog("walks", [Item(str(i), title) for i, title in enumerate(TITLES)], sequences)


# -- counts ----------------------------------------------------------------------------------------------------------


def test_targets_in_the_history_and_repeats_are_counted():
    sequences = {"u": "abcab", "v": "abcdd", "w": "ab"}
    catalog = make_catalog("c", [Item(i, i) for i in "abcd"], sequences)
    actual = count_split(catalog, visible=2)
    assert actual["users"] == {"tested": 2, "training_only": 1}
    assert actual["repeats"] == {"events": 3}
    assert actual["target_in_history"] == {"valid_visible": 0, "valid_all": 1, "test_visible": 1, "test_all": 2}
    assert actual["held_out_in_training"] == {"valid": 0, "test": 0}


def test_held_out_events_in_the_training_sequences_are_found():
    catalog = walks()
    leaking = Careless(catalog.name, catalog.items, catalog.sequences, catalog.index)
    actual = count_split(leaking, 10)
    assert actual["held_out_in_training"] == {"valid": 6, "test": 6}
    assert leakage.leaks_of({"split": actual}) == ["12 held-out events in the training sequences"]


def test_the_teacher_s_surplus_is_told_by_part_and_an_item_met_twice_counts_twice():
    catalog = make_catalog("c", [Item(i, i) for i in "abcd"], {"u": "abcab", "v": "abcd"})
    clean = {"u": Counter("abc"), "v": Counter("ab")}
    valid = {"u": Counter("a"), "v": Counter("c")}
    files = {"train": clean, "user_history": clean, "valid": valid}
    nothing = {"valid": 0, "test": 0, "other": 0}
    # u's target b is trained on legally: u had it before.
    assert count_teacher(catalog, files) == {"train": nothing, "user_history": nothing, "valid": {"test": 0}}
    leaking = {"u": Counter("abcab"), "v": Counter("abd"), "stranger": Counter("dd")}
    actual = count_teacher(catalog, {**files, "train": leaking, "valid": {**valid, "v": Counter("d")}})
    assert actual == {"train": {"valid": 1, "test": 2, "other": 2}, "user_history": nothing, "valid": {"test": 1}}


def test_a_planted_event_in_the_teacher_s_files_ends_with_one_line_and_status_1(tmp_path, capsys):
    folder = write_temporal(tmp_path)
    argv = ["--data_path", str(folder / "data"), "--teacher_data", str(folder / "unirec")]
    leakage.main([*argv, "--output", str(tmp_path / "clean.json")])
    assert leakage.leaks_of(json.loads((tmp_path / "clean.json").read_text())) == []
    train, test = (read_pickle(folder / "unirec" / f"{name}.pkl") for name in ("train", "test"))
    train.loc[len(train)] = test.loc[0]
    train.to_pickle(folder / "unirec" / "train.pkl")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        leakage.main([*argv, "--output", str(tmp_path / "leak.json")])
    output = capsys.readouterr()
    assert ended.value.code == 1 and output.err.count("\n") == 1
    assert output.err.startswith("leak: 1 test events in the teacher's train.pkl;")
    assert json.loads((tmp_path / "leak.json").read_text())["teacher"]["train"] == {"valid": 0, "test": 1, "other": 0}


def test_files_that_are_no_tables_of_the_map_are_refused(tmp_path):
    folder = write_temporal(tmp_path) / "unirec"
    read_pickle(folder / "train.pkl").assign(item_id=99).to_pickle(folder / "train.pkl")
    with pytest.raises(ValueError, match="train.pkl is no table"):
        read_teacher_data(folder)
    (folder / "train.pkl").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match="not plain data"):
        read_teacher_data(folder)
    (folder / "train.pkl").unlink()
    with pytest.raises(ValueError, match="lacks train.pkl"):
        read_teacher_data(folder)


# -- probes ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_and_tokenizer():
    tokenizer = tiny_tokenizer()
    return tiny_model(len(tokenizer)), tokenizer


def test_continuations_score_as_the_whole_text_read_alone_and_greedy_is_what_generate_writes(model_and_tokenizer):
    model, _ = model_and_tokenizer
    prompt = [5, 9, 30]
    greedy = model.generate(torch.tensor([[*prompt, 7]]), max_new_tokens=4, do_sample=False, eos_token_id=None)[0, 4:]
    rows = [((7,), greedy.tolist()), ((), (8, 44)), ((3, 4, 5), (6,)), ((7,), (*greedy.tolist()[:-1], 2))]
    for start in (prompt, prompt[:1]):
        scored = score_continuations(model, start, rows)
        for (given, rest), one in zip(rows, scored, strict=True):
            ids = [*start, *given, *rest]
            logits = model(torch.tensor([ids])).logits[0].log_softmax(-1).detach()
            alone = sum(float(logits[at - 1, ids[at]]) for at in range(len(ids) - len(rest), len(ids)))
            assert one.log_probability == pytest.approx(alone, abs=1e-4)
    assert [one.greedy for one in score_continuations(model, prompt, rows)] == [True, False, False, False]


def test_probes_are_the_same_by_the_same_seed_and_an_untrained_model_knows_nothing(model_and_tokenizer):
    catalog = walks()
    titles, others, again = (probe_titles(*model_and_tokenizer, catalog, 5, seed) for seed in (0, 1, 0))
    assert titles == again != others
    assert titles["probes"] == 5 and 0 <= titles["completed"] <= 1
    assert titles["difference"] == pytest.approx(titles["true"] - titles["control"])
    assert titles["ci"][0] <= titles["difference"] <= titles["ci"][1] and 0 < titles["p"] <= 1
    items = probe_next_items(*model_and_tokenizer, catalog, 50, 0)
    assert items == probe_next_items(*model_and_tokenizer, catalog, 50, 0)
    assert items["probes"] == len(catalog.sequences) and items["p"] > 0.01


def test_a_model_that_learned_the_dataset_by_heart_is_found_out():
    """Twenty users of distinct histories, read again and again, as a dataset's file would be."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(len(tokenizer), tied=False).train()
    rng = np.random.default_rng(0)
    titles = sorted({"".join(rng.choice(list("abcdefgh"), 6)) for _ in range(60)})
    sequences = {f"u{u}": [str(i) for i in rng.choice(60, 8, replace=False)] for u in range(20)}
    catalog = make_catalog("heart", [Item(str(i), title) for i, title in enumerate(titles)], sequences)
    before = probe_next_items(model.eval(), tokenizer, catalog, 20, 0)
    texts = ["".join(f"{titles[i]}\n" for i in items[:6]) for items in catalog.training_sequences()]
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(tokenizer(text)["input_ids"]) for text in texts], True, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = model(ids, labels=ids.masked_fill(ids == 0, -100)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    after = probe_next_items(model.eval(), tokenizer, catalog, 20, 0)
    assert before["p"] > 0.01
    assert after["p"] < 0.001 and after["ci"][0] > 1


def test_the_paired_difference_is_counted_by_hand():
    actual = compare([1.0, 2.0, 3.0], [0.0, 2.0, 1.0], 0)
    assert (actual["probes"], actual["true"], actual["control"], actual["difference"]) == (3, 2.0, 1.0, 1.0)
    assert actual["ci"][0] >= 0 and actual["p"] == pytest.approx(0.5, abs=0.03)


def test_catalogs_too_small_to_be_probed_are_refused(model_and_tokenizer):
    catalog = walks()
    with pytest.raises(ValueError, match="more than 5 training events"):
        probe_next_items(*model_and_tokenizer, walks(length=7), 5, 0)
    few = replace(catalog, items=catalog.items[:5])
    with pytest.raises(ValueError, match="two tokens or more"):
        probe_titles(*model_and_tokenizer, few, 5, 0)


def test_the_command_probes_a_model_s_folder_and_repeats_itself(tmp_path, model_and_tokenizer, capsys):
    model, tokenizer = model_and_tokenizer
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    catalog, data = walks(), tmp_path / "data"
    data.mkdir()
    (data / "metas.jsonl").write_text(json.dumps({item.id: {"title_t": item.title} for item in catalog.items}))
    (data / "category.jsonl").write_text("{}")
    (data / "sequential.jsonl").write_text(json.dumps({u: catalog.ids(s) for u, s in catalog.sequences.items()}))
    argv = ["--data_path", str(data), "--model_name", str(tmp_path / "model"), "--gpu", "cpu", "--probes", "4"]
    for name in ("one", "two"):
        leakage.main([*argv, "--output", str(tmp_path / f"{name}.json")])
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert set(json.loads((tmp_path / "one.json").read_text())) == {"manifest", "split", "memorization"}
    assert "title halves completed by greedy decoding" in capsys.readouterr().out
    for flags, complaint in ((["--probes", "1"], "wanted 2 or more"), (["--max_history", "0"], "wanted 1 or more")):
        with pytest.raises(SystemExit):
            leakage.main([*argv, *flags])
        assert complaint in capsys.readouterr().err


def test_a_bad_output_of_the_search_is_one_line_before_the_work_and_stays(tmp_path):
    (tmp_path / "metas.jsonl").write_text("{}")
    for output, complaint in (
        (tmp_path, "is the folder"),
        (tmp_path / "metas.jsonl", "which another command wrote"),
        (tmp_path / "metas.jsonl" / "r.json", "cannot be written"),
    ):
        with pytest.raises(ValueError, match=complaint):
            leakage.main(["--data_path", "nowhere", "--output", str(output)])
    assert (tmp_path / "metas.jsonl").read_text() == "{}"
