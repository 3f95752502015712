"""The generated dumps are in the true format, and the rival gives what the published recipe gives here."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import preprocess_rival
import pytest
import train
from amazon_raw import Shape, write_amazon
from bench_literals import literal_eval, ours
from bench_preprocess import resident_bytes
from build_dataset import build_dataset
from byte_tokenizer import byte_tokenizer
from data_preprocess import main
from raw_samples import amazon_2018
from readers.amazon import AMAZON_2018, AMAZON_2023, read_amazon
from readers.literals import text_columns
from select_events import Filters
from small_events import plain_rules
from steam_raw import write_steam
from teacher_world import TINY

FIELDS = {
    2018: {"overall", "verified", "reviewTime", "reviewerID", "asin", "reviewerName", "reviewText", "summary",
           "unixReviewTime"},
    2023: {"rating", "title", "text", "images", "asin", "parent_asin", "user_id", "timestamp", "helpful_vote",
           "verified_purchase"},
}  # fmt: skip


@pytest.mark.parametrize(("year", "release"), [(2018, AMAZON_2018), (2023, AMAZON_2023)])
def test_a_generated_dump_is_read_whole_and_is_the_same_for_a_seed(tmp_path, year, release):
    shape = Shape.of_movies(3000, seed=5)
    first, again = ([path.read_bytes() for path in write_amazon(tmp_path / name, "Toys", shape, year)] for name in "ab")
    assert first == again
    records = [json.loads(line) for line in gzip.decompress(first[0]).splitlines()]
    assert len(records) == 3000 and all(set(record) >= FIELDS[year] for record in records)
    raw = read_amazon(tmp_path / "a", "", release)
    assert len(raw.events.time) == 3000 and not raw.rejected[raw.files[0].name]
    assert raw.events.time_unit == ("seconds" if year == 2018 else "milliseconds")


def test_generated_reviews_of_steam_are_what_literal_eval_reads_and_hardly_a_line_is_not_plain(tmp_path):
    write_steam(path := tmp_path / "steam_reviews.json.gz", Shape(2000, 300, 40))
    assert ours(path) == literal_eval(path) and len(ours(path)[0]) == 2000
    lines = gzip.decompress(path.read_bytes()).splitlines()
    plain = text_columns(["username", "product_id", "date"])
    assert sum(plain(line) is None for line in lines) < 20


def test_the_rival_draws_the_users_that_the_published_recipe_draws_here(tmp_path):
    amazon_2018(tmp_path)
    lines = gzip.decompress((tmp_path / "Toys_5.json.gz").read_bytes()).splitlines()[:-1]  # it knows no broken lines
    (tmp_path / "Toys_5.json.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    byte_tokenizer().save_pretrained(tmp_path)
    paths = [str(tmp_path / name) for name in ("Toys_5.json.gz", "meta_Toys.json.gz")]
    preprocess_rival.main(*paths, str(tmp_path), str(tmp_path / "out"), k="1", events="2")
    filters = Filters(min_events_per_user=2, max_events_per_user=2, keep="first", users=10_000, with_replacement=True)
    dataset = build_dataset(read_amazon(tmp_path, "Toys"), plain_rules(), filters, need_category=True)
    assert json.loads((tmp_path / "out/sequential.jsonl").read_text()) == dataset.sequences


def test_a_generated_dump_of_2023_reaches_the_teacher_s_training(tmp_path, capsys):
    write_amazon(tmp_path / "raw", "Toys", Shape(4000, 300, 60), 2023)
    byte_tokenizer().save_pretrained(tmp_path / "tokenizer")
    argv = [
        *("amazon-2023", "toys", "--k_core", "5", "--tokenizer_path", str(tmp_path / "tokenizer")),
        *("--raw_path", str(tmp_path / "raw"), "--data_path", str(tmp_path / "toys")),
        *("--unirec_data_path", str(tmp_path / "unirec"), "--unirec_config_path", str(tmp_path / "toys.yaml")),
    ]
    assert main(argv) == 0
    assert Path(tmp_path / "toys/report.html").exists()
    options = ["--dataset", "toys", "--data_path", str(tmp_path / "unirec"), "--output_path", str(tmp_path / "out")]
    assert train.main([*options, *TINY, "--epochs", "1"]) == 0
    assert "ndcg@10" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform != "linux", reason="/proc has the memory of child processes")
def test_the_memory_of_a_command_is_that_of_its_processes_together():
    program = "block = bytearray(64 << 20); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        alone, both = resident_bytes(child.pid), resident_bytes(os.getpid())
        child.communicate(b"\n")
    assert both - alone > 10 << 20 and alone > 64 << 20
    assert resident_bytes(child.pid) == 0
