"""The benchmark of catalog sizes makes, loads and asks a model of each form and size."""

import json

import pytest
from bench_catalog_size import FORMS, Options, measure, show, sizes, titles, write_dataset
from trained_models import backbone_at

from train_utils.catalog import load_catalog


def test_every_size_and_form_has_a_row_and_the_last_line_is_json(tmp_path, capsys):
    record = measure(Options(items="20,60", users=1, backbone=backbone_at(tmp_path / "tiny")))
    show(record)
    *table, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == record and len(table) == 2 + 2 * len(FORMS)
    assert [(row["items"], row["form"]) for row in record["rows"]] == [(n, form) for n in (20, 60) for form in FORMS]
    for row in record["rows"]:
        assert min(row[name] for name in ("made_s", "start_s", "memory_gib", "first_list_s", "list_s")) > 0


@pytest.mark.parametrize("items", ["", "19", "20,x", "20,,60", "-20"])
def test_a_wrong_size_is_one_line(items):
    with pytest.raises(ValueError, match="--items has"):
        sizes(items)


def test_titles_are_distinct_and_the_dataset_is_one_that_training_takes(tmp_path):
    assert sizes("20, 200000") == [20, 200_000]
    assert len(set(titles(70_000))) == 70_000
    write_dataset(tmp_path / "catalog", 30)
    catalog = load_catalog(tmp_path / "catalog")
    assert len(catalog.items) == 30 and all(len(events) == 18 for events in catalog.training_sequences())
