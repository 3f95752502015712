"""Items that a model was not trained on: rows from titles and categories, all else as it was; one line for a misuse."""

import json

import numpy as np
import pytest
import torch
from tiny import coded_chat, tiny_chat
from tiny_samples import TITLES, small_catalog, write_small_catalog

from train_utils.add_items import add_items
from train_utils.add_items import main as add_items_main
from train_utils.constraint.item_rules import ItemRules
from train_utils.item_codes import ItemCodes, one_token_each, read_item_codes, save_item_codes, with_items
from train_utils.models.backbone import load_backbone
from train_utils.models.cold_items import item_features, predicted_rows
from train_utils.param.items import AddOptions
from train_utils.recommender import Recommender

CPU = torch.device("cpu")
KNOWN = 15  # items of the small catalog that the saved model knows
RNG = np.random.default_rng(0)


def known_model(folder, form="token"):
    """Write a merged model with codes for the first items of the small catalog."""
    model, chat = coded_chat(TITLES[:KNOWN], form)
    codes = ItemCodes(form, tuple(map(str, range(KNOWN))), chat.codes.codes)
    model.save_pretrained(folder)
    chat.tokenizer.save_pretrained(folder)
    save_item_codes(codes, folder)
    return folder


def test_a_linear_map_from_features_to_rows_is_found_again():
    features, matrix = RNG.normal(size=(60, 5)), RNG.normal(size=(5, 8))
    rows = features @ matrix + 3
    known = np.arange(60) % 6 > 0
    unread = np.where(known[:, None], rows, np.nan)
    predicted = predicted_rows(features, unread, known, np.full(60, 9))
    np.testing.assert_allclose(predicted, rows[~known], atol=0.05)


def test_a_row_that_was_hardly_trained_counts_little():
    features, known = np.ones((40, 1)), np.arange(40) < 39
    rows = np.where(np.arange(40)[:, None] < 13, 5.0, 1.0)
    counts = np.where(np.arange(40) < 13, 0, 100)
    assert predicted_rows(features, rows, known, counts)[0, 0] == pytest.approx(1.0, abs=0.01)


def test_features_are_titles_and_categories():
    catalog, table = small_catalog(), RNG.normal(size=(50, 6)).astype(np.float32)
    titles = [[i % 7, 20 + i] for i in range(len(TITLES))]
    features = item_features(catalog, titles, table)
    assert features.shape == (len(TITLES), 6 + len(catalog.categories))
    words, kinds = features[:, :6], features[:, 6:]
    assert (words**2).sum(1).mean() == pytest.approx(1, rel=1e-4) and (kinds**2).sum(1).mean() == pytest.approx(1, 1e-4)
    same = [i for i, item in enumerate(catalog.items) if item.categories == ("Comedy",)]
    assert (kinds[same] == kinds[same[0]]).all()


@pytest.mark.parametrize("form", ["token", "token_title"])
def test_new_items_get_rows_and_all_else_stays(tmp_path, form):
    write_small_catalog(tmp_path / "small")
    old = known_model(tmp_path / "old", form)
    options = AddOptions(model_name=str(old), data_path=str(tmp_path / "small"), output=str(tmp_path / "new"))
    assert add_items(options) == (len(TITLES) - KNOWN, KNOWN)

    codes = read_item_codes(tmp_path / "new")
    assert codes.form == form and codes.codes[:KNOWN] == read_item_codes(old).codes
    assert set(codes.ids) == {item.id for item in small_catalog().items}
    (_, before), (tokenizer, after) = (load_backbone(str(folder), CPU, "float32") for folder in (old, options.output))
    ids = [tokenizer.convert_tokens_to_ids(code[0]) for code in codes.codes[KNOWN:]]
    now = after.state_dict()
    for name, weights in before.state_dict().items():
        torch.testing.assert_close(now[name][: len(weights)], weights, rtol=0, atol=0)
    for table in (after.get_input_embeddings().weight, after.get_output_embeddings().weight):
        assert len(table) == len(tokenizer) and table[ids].abs().sum(1).min() > 0
        assert len(torch.unique(table[ids], dim=0)) == len(ids), "items of different titles differ"

    assert after.config.item_form == form
    model = Recommender.load(options.output, options.data_path, dtype="float32")
    answer = model.recommend(history=[TITLES[0]], k=3, rules=ItemRules(allow=[item for item in ["15", "16", "17"]]))
    assert {item.id for item in answer} == {"15", "16", "17"}


def test_tokens_of_new_items_go_on_counting():
    codes = one_token_each("abc", ())
    more = with_items(codes, "cdae", {*codes.tokens})
    assert more.ids == ("a", "b", "c", "d", "e") and more.tokens[3:] == ("<item_3>", "<item_4>")
    assert with_items(codes, "d", {"<item_3>"}).tokens[3:] == ("<catalog_item_3>",)


def test_what_cannot_be_added_is_one_line(tmp_path, capsys):
    write_small_catalog(tmp_path / "small")
    old = known_model(tmp_path / "old")
    model, chat = tiny_chat(TITLES)
    model.save_pretrained(tmp_path / "titles")
    chat.tokenizer.save_pretrained(tmp_path / "titles")
    known_model(tmp_path / "several", "rq_token_seq")
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "item_index.json").write_text((old / "item_index.json").read_text())
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "item_index.json").write_text(json.dumps({"form": "token", "codes": {"x": ["<item_0>"]}}))

    def told(name, output="new"):
        options = AddOptions(
            model_name=str(tmp_path / name), data_path=str(tmp_path / "small"), output=str(tmp_path / output)
        )
        with pytest.raises(ValueError) as error:
            add_items(options)
        assert "\n" not in str(error.value)
        return str(error.value)

    unknown, taken = (known_model(tmp_path / name) for name in ("unknown", "taken"))
    for folder, token in ((unknown, "<item_99>"), (taken, "<SOI>")):
        content = json.loads((folder / "item_index.json").read_text())
        content["codes"]["3"] = [token]
        (folder / "item_index.json").write_text(json.dumps(content))
    full = known_model(tmp_path / "full")
    (full / "manifest.json").write_text(json.dumps({"config": {"train_stage": "SFT", "peft": "full"}}))
    assert "the code <item_99> is no token that the model has" in told("unknown")
    assert "the code <SOI> is no token that the model has" in told("taken")
    assert "which this command did not write" in told("old", "full")
    assert "there is no such folder" in told("missing")
    assert "spells its items by their titles" in told("titles")
    assert "items of the form rq_token_seq cannot be added" in told("several")
    assert "no folder of a merged model" in told("adapter")
    assert "has a token for 0 of the 20 items" in told("foreign")
    assert "holds the model" in told("old", "old")
    add_items_main(["--model_name", str(old), "--data_path", f"{tmp_path}/small", "--output", f"{tmp_path}/new"])
    assert "5 items added to 15 known ones" in capsys.readouterr().out
    assert "has a token for each of the 20 items" in told("new", "newer")
    assert not (tmp_path / "newer").exists()
    # The command replaces what it wrote.
    add_items_main(["--model_name", str(old), "--data_path", f"{tmp_path}/small", "--output", f"{tmp_path}/new"])
