"""Small files that a run keeps for its next start: partial results, stage records, logs, manifests, codes, samples."""

import json
from dataclasses import dataclass
from pathlib import Path

import stage
from damage import Reader
from fuzz_results import WORDS, result
from tiny import tiny_chat
from tiny_samples import CONFIG, TITLES, drawn, small_catalog

from train_utils.conversation.reader import RequestReader
from train_utils.dialogue.dialogue import Dialogue
from train_utils.dialogue.weights import Weights, read_weights, write_weights
from train_utils.evaluation.partial_results import earlier_commits, run_resumable
from train_utils.evaluation.result_reader import is_user_record, read_manifest
from train_utils.files.atomic import write_json
from train_utils.item_codes import load_item_codes, one_token_each, read_item_codes, read_uni_index, save_item_codes
from train_utils.manifest import settings_in
from train_utils.models.item_vectors import item_vectors
from train_utils.prompts.messages import ItemPart
from train_utils.recommender import Recommender
from train_utils.samples.static_file import StaticSamples, export_samples
from train_utils.serving.saved_chat import read_chat, save_chat
from train_utils.serving.saved_chat import resume as resume_chat
from train_utils.training.run_folder import claim
from train_utils.training.run_log import RunLog

MADE_FROM = {"config": {"topk": 3}, "inputs": {"x": "1"}, "commit": "one", "packages": {}}
CATALOG = small_catalog()
MODEL, CHAT = tiny_chat(TITLES)
RECOMMENDER = Recommender(MODEL, CHAT, CATALOG)


class Alone:
    """One process of a launch of one."""

    process_index, num_processes, is_main_process, is_local_main_process = 0, 1, True, False

    def wait_for_everyone(self) -> None:
        pass


@dataclass(frozen=True)
class Row:
    """User of a test."""

    user: str


USERS = result(1)["users"]


def resume(folder: Path) -> tuple[dict, float]:
    batches = [[Row(user["user"])] for user in USERS]
    of_user = {user["user"]: user for user in USERS}
    earlier_commits(folder / "r.json", MADE_FROM)
    return run_resumable(
        batches, lambda rows: [of_user[row.user] for row in rows], folder / "r.json", MADE_FROM, Alone(), "x",
        is_user_record,
    )  # fmt: skip


def read_partial(folder: Path) -> None:
    records, seconds = resume(folder)
    assert {user["user"] for user in USERS} <= records.keys() and all(map(is_user_record, records.values()))
    assert 0 <= seconds < 1e15


def stage_of(folder: Path) -> stage.Stage:
    (folder / "input").touch()
    return stage.Stage("a", folder, (str(folder / "input"),), (), (folder / "out",), ("touch", str(folder / "out")))


def write_stage(folder: Path) -> None:
    made = stage_of(folder)
    (folder / "out").write_text("x" * (1 << 20))
    with stage.digest_cache(folder / "digests.cache") as digest:
        mark, output = stage.fingerprint(made, digest), stage.describe_output(folder / "out", digest)
    write_json(made.record, {"name": "a", "fingerprint": mark, "seconds": 1.0, "outputs": {str(folder / "out"): output},
                             "finished_at": "2026-01-01"})  # fmt: skip


def read_stage(folder: Path) -> None:
    made = stage_of(folder)
    with stage.digest_cache(folder / "digests.cache") as digest:
        done = stage.up_to_date(made, stage.fingerprint(made, digest), digest)
    if done is not None:
        f"{done['finished_at'][:10]} {done['seconds']:.1f}"
    assert all(0 <= seconds < 1e9 for seconds in stage.read_seconds(folder).values())


def write_log(folder: Path) -> None:
    log = RunLog(folder, 0, tensorboard=False)
    for step in range(9):
        log.write(step, {"loss": 1.0})
        log.write_time(step, 0.5)


def read_log(folder: Path) -> None:
    RunLog(folder, 5, tensorboard=False)
    for name in ("log.jsonl", "times.jsonl"):
        assert all(json.loads(line)["step"] < 5 for line in (folder / name).read_text().splitlines())


def write_manifests(folder: Path) -> None:
    write_json(folder / "config.json", MADE_FROM)
    write_json(folder / "r.json", {"manifest": MADE_FROM})


def read_manifests(folder: Path) -> None:
    settings_in(folder / "config.json")
    claim(folder, MADE_FROM, overwrite=False)
    read_manifest(folder / "r.json")


def write_codes(folder: Path) -> None:
    ids = [item.id for item in CATALOG.items]
    save_item_codes(one_token_each(ids, ()), folder)
    write_json(folder / "x.index.json", {str(row): [f"<a_{row}>", "<b_1>"] for row in range(len(ids))})
    (folder / "x.item2id").write_text("".join(f"{item}\t{row}\n" for row, item in enumerate(ids)))


def read_codes(folder: Path) -> None:
    for read in (
        lambda: load_item_codes(folder, CATALOG),
        lambda: read_item_codes(folder),
        lambda: read_uni_index(folder / "x.index.json", folder / "x.item2id", CATALOG),
    ):
        codes = read()
        if codes is not None:
            assert set(codes.other_tokens).isdisjoint(codes.tokens)


def write_samples(folder: Path) -> None:
    export_samples(drawn(CHAT), 1, folder / "sft.json")


def read_samples(folder: Path) -> None:
    source = StaticSamples(folder / "sft.json", CATALOG, CHAT, CONFIG)
    source.talks(range(min(9, source.samples(1))))


def ones(texts):
    import numpy as np

    return np.ones((len(texts), 3), dtype=np.float32)


def write_vectors(folder: Path) -> None:
    item_vectors(CATALOG, folder / "v.npy", "m", encoder=ones)


def read_vectors(folder: Path) -> None:
    item_vectors(CATALOG, folder / "v.npy", "m", encoder=ones)


def talk() -> Dialogue:
    """A conversation with a list, a liked title and a history."""
    made = Dialogue(RECOMMENDER, RequestReader(CATALOG, RECOMMENDER.named_titles), max_new_tokens=20)
    made.profile = (0,)
    heard = made.hear(f"I liked {TITLES[1]}, give me 2 titles")
    assert heard is not None
    made.record(heard.user, ["1. ", ItemPart(2), "\n"])
    return made


def write_chat(folder: Path) -> None:
    save_chat(folder / "chat.json", talk(), CATALOG.name)


def read_saved_chat(folder: Path) -> None:
    resumed = talk()
    resume_chat(read_chat(folder / "chat.json"), resumed)
    heard = resumed.hear("2 more")
    assert heard is not None
    resumed.plan(heard, None)
    resumed.preferences.describe(CATALOG)


def write_chat_weights(folder: Path) -> None:
    write_weights(folder, CATALOG.name, Weights())


READERS = [
    Reader("partial results", resume, read_partial, WORDS),
    Reader("stage records", write_stage, read_stage, WORDS),
    Reader("run logs", write_log, read_log, WORDS),
    Reader("manifests", write_manifests, read_manifests, WORDS),
    Reader("item code files", write_codes, read_codes, (*WORDS, b'["<a_1>"]', b"<a_1>", b"\t", b"\x85")),
    Reader("static samples", write_samples, read_samples, (*WORDS, b"<SOI>", b"<EOI>")),
    Reader("item vectors", write_vectors, read_vectors, WORDS),
    Reader("saved conversations", write_chat, read_saved_chat, WORDS),
    Reader("weights of conversations", write_chat_weights, lambda folder: read_weights(folder, CATALOG.name), WORDS),
]
