"""A dataset folder is read once, in either form, and what cannot be told apart or trusted is refused."""

import json
import pickle

import numpy as np
import pytest

from train_utils.catalog import Item, load_catalog, make_catalog
from train_utils.files.plain_pickle import restricted_load


def write_dataset(folder, metas=None, form="json"):
    metas = metas or {"1": {"title": "A", "title_t": "A (1)"}, "2": {"title": "B", "title_t": "B", "year": 1999}}
    folder.mkdir(exist_ok=True)
    if form == "json":
        (folder / "metas.jsonl").write_text(json.dumps(metas))
    else:
        (folder / "meta.pickle").write_bytes(pickle.dumps(metas))
    (folder / "category.jsonl").write_text(json.dumps({"Drama": [1, "2"], "War": ["2"]}))
    (folder / "sequential.jsonl").write_text(json.dumps({"u": [2, 1, 2, 1], "short": [1]}))
    return folder


@pytest.mark.parametrize("form", ["json", "pickle"])
def test_both_forms_give_the_same_catalog(tmp_path, form):
    catalog = load_catalog(write_dataset(tmp_path / "movies", form=form))
    assert catalog.name == "movies" and catalog.titles == ["A (1)", "B"]
    assert catalog.items[1].categories == ("Drama", "War") and catalog.items[1].attributes == {"year": 1999}
    assert catalog.sequences["u"] == (1, 0, 1, 0)
    assert catalog.split("test") == [("u", (1, 0, 1), 0)]
    assert catalog.split("valid") == [("u", (1, 0), 1)]
    assert catalog.in_category("War") == {1}


@pytest.mark.parametrize(
    "metas,complaint",
    [
        ({"1": {"title_t": "A"}, "2": {"title_t": "A"}}, "cannot be told apart"),
        ({"1": {"title_t": " "}, "2": {"title_t": "B"}}, "empty title"),
        ({"1": {"name": "A"}, "2": {"title_t": "B"}}, "has no text"),
        ({"1": {"title_t": "A"}}, "'2' is not in the catalog"),
    ],
)
def test_items_that_cannot_be_told_apart_are_refused(tmp_path, metas, complaint):
    with pytest.raises(ValueError, match=complaint):
        load_catalog(write_dataset(tmp_path, metas))


def test_an_empty_catalog_an_unknown_category_and_a_broken_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no items"):
        make_catalog("none", [])
    with pytest.raises(ValueError, match="known: x"):
        make_catalog("c", [Item("1", "A", ("x",))]).in_category("y")
    (write_dataset(tmp_path) / "category.jsonl").write_text('{"Drama": [')
    with pytest.raises(ValueError, match="not one JSON object"):
        load_catalog(tmp_path)


def test_pickles_of_plain_data_are_read_and_others_refused(tmp_path):
    path = tmp_path / "x.pickle"
    for value in ({"a": [1, 2.5, None, True, b"x"], "b": np.arange(3)}, {"s": np.float32(2)}):
        path.write_bytes(pickle.dumps(value))
        assert repr(restricted_load(path)) == repr(value)
    for payload in (
        b"cposix\nsystem\n(S'true'\ntR.",
        pickle.dumps(pytest.raises),
        pickle.dumps(Item),
        b"\x80\x04]",
        b"",
    ):
        path.write_bytes(payload)
        with pytest.raises(ValueError, match="plain data"):
            restricted_load(path)
    with pytest.raises(ValueError, match="are refused"):
        path.write_bytes(b"x" * 100)
        restricted_load(path, max_bytes=10)


def test_the_popularity_of_a_cold_catalog_is_the_attribute_that_its_folder_names(tmp_path):
    metas = {"1": {"title": "A", "fans": 7}, "2": {"title": "B", "fans": None}, "3": {"title": "C"}}
    folder = write_dataset(tmp_path / "cold", metas)
    (folder / "catalog.json").write_text('{"popularity": "fans"}')
    assert not load_catalog(folder).is_cold and load_catalog(folder).popularity == (2, 1, 0), "training events count"
    (folder / "sequential.jsonl").write_text("{}")
    catalog = load_catalog(folder)
    assert catalog.is_cold and catalog.popularity == (7, 0, 0) and catalog.training_events == (0, 0, 0)
    (folder / "catalog.json").unlink()
    assert load_catalog(folder).popularity == (0, 0, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[]", "wanted one"),
        ('{"popularity": "likes"}', "'popularity' is the text 'likes', wanted an attribute"),
        ('{"popularity": 3}', "'popularity' is the number 3, wanted an attribute"),
        ('{"popularity": "fans", "name": "x"}', "the key the text 'name' is unknown"),
        ('{"popularity": "year"}', "popularity 'year' of item '1' is the text 'old'"),
        ('{"popularity": "debt"}', "popularity 'debt' of item '1' is the number -1"),
        ('{"popularity": "many"}', "popularity 'many' of item '1' is the number"),
    ],
)
def test_a_wrong_popularity_is_one_line(tmp_path, settings, message):
    metas = {"1": {"title": "A", "fans": 7, "year": "old", "debt": -1, "many": 10**30}, "2": {"title": "B"}}
    folder = write_dataset(tmp_path / "wrong", metas)
    (folder / "catalog.json").write_text(settings)
    with pytest.raises(ValueError, match=message) as error:
        load_catalog(folder)
    assert "\n" not in str(error.value)
