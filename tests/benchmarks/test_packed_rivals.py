"""The rivals of the packed-bits benchmark allow what our grammar allows, at every position of a reply."""

import importlib.util
import json

import pytest
from packed_rivals import ENGINES, WHERE, measure, run_packed, token_of, word
from synthetic_catalog import World, synthetic_titles

WORLD = World(synthetic_titles(60, 4000), 4000)


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine != "ours"])
def test_a_rival_allows_the_tokens_that_ours_allows(engine):
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is installed by benchmarks/requirements.txt, and not for the tests")
    ours, theirs = measure("ours", WORLD, 20), measure(engine, WORLD, 20)
    assert theirs.digests == ours.digests and set(ours.digests) == set(WHERE)
    assert len(set(ours.digests.values())) == len(WHERE)
    assert all(value > 0 for value in (*theirs.row_us.values(), theirs.compile_s))


def test_tokens_and_their_texts_are_one_to_one():
    assert all(token_of(word(token)) == token for token in range(0, 1 << 18, 97))


def test_the_table_ends_with_json_and_names_what_failed(capsys):
    run_packed(40, 4000, 5, 600)
    records = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [record["engine"] for record in records] == list(ENGINES)
    assert all("failed" in record or record["row_us"]["root"] > 0 for record in records)
    assert "failed" not in records[0]
