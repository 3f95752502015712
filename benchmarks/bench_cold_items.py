"""Items that were never trained: a model trained without a tenth of the catalog gets them by `add_items`.

    python benchmarks/bench_cold_items.py

The held-out items are taken out of the catalog and of all sequences; teacher and model are trained on the rest by the
scripts. Then the model gets rows for them, and lists for all users are scored: on targets that were held out, and on
the others, with and without the new items as competitors. Rivals: the same model with rows that are the mean of the
title's rows, similarity of titles and categories to the history, and popularity. The last line of the output is JSON.
"""

import json
import math
import os
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# Threads that spin at barriers block each other on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from machine import machine_name
from tqdm import tqdm
from transformers.utils import logging

from train_utils.add_items import add_items
from train_utils.catalog import Catalog, load_catalog
from train_utils.command import run_cli
from train_utils.dataset_folder import dataset_paths
from train_utils.files.atomic import write_json
from train_utils.files.json_files import read_json
from train_utils.models.cold_items import item_features
from train_utils.options import option, parse
from train_utils.param.items import AddOptions
from train_utils.recommender import Recommender

ROOT = Path(__file__).resolve().parent.parent
LIST, SHOWN, BATCH = 10, 10, 16
# (user's history, its newest items shown, target) as item indices
Case = tuple[Sequence[int], Sequence[int], int]
# cases -> a list of item indices for each
Ranker = Callable[[Sequence[Case]], list[list[int]]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Quality of lists for items that a model was not trained on."""

    data_path: str = option("data/dataset/ml-100k", "dataset folder; the warm dataset is written to data/dataset/")
    share: float = option(0.1, "share of the items that are held out of training", above=0, most=0.9)
    seed: int = option(0, "seed of the draw of items and of training", least=0)
    flags: str = option("", "further flags of main.py")
    users: int = option(0, "users whose lists are scored, drawn by the seed; 0 scores all", least=0)


def held_out(catalog: Catalog, share: float, seed: int) -> set[str]:
    """Draw the ids of the items to hold out."""
    ids = [item.id for item in catalog.items]
    return set(random.Random(f"{seed}/cold").sample(ids, round(share * len(ids))))


def write_warm(catalog: Catalog, cold: set[str], source: Path, folder: Path) -> None:
    """Write a dataset without the cold items: their metadata, and the training events of the others.

    A user's last two events are held out of training, as in the whole dataset; they are placeholders here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metas = read_json(dataset_paths(source)["metas"])
    write_json(folder / "metas.jsonl", {i: meta for i, meta in metas.items() if i not in cold})
    kept = {
        name: [i for i in catalog.ids(sorted(items)) if i not in cold] for name, items in catalog.categories.items()
    }
    write_json(folder / "category.jsonl", {name: ids for name, ids in kept.items() if ids})
    sequences = {}
    for user, events in zip(catalog.sequences, catalog.training_sequences(), strict=True):
        trained = [i for i in catalog.ids(events) if i not in cold]
        if len(trained) >= 2:
            sequences[user] = trained + trained[-2:]
    write_json(folder / "sequential.jsonl", sequences)


def cases_of(catalog: Catalog, users: int, seed: int) -> list[Case]:
    """Return the validation and the test event of drawn users; of all where `users` is 0."""
    events = [(user, seen, target) for part in ("valid", "test") for user, seen, target in catalog.split(part)]
    tested = list(dict.fromkeys(user for user, _, _ in events))
    drawn = set(random.Random(f"{seed}/users").sample(tested, min(users or len(tested), len(tested))))
    return [(seen, seen[-SHOWN:], target) for user, seen, target in events if user in drawn]


def run(*command: str) -> None:
    status = subprocess.run(command, cwd=ROOT, env=os.environ | {"RECIPE": "cpu", "ITEM_INDEX": "token"}).returncode
    if status:
        raise ValueError(f"{' '.join(command[:3])} ended with status {status}; its last lines say why")


def trained_model(name: str, options: Options) -> Path:
    """Train teacher and model on a dataset by the scripts, and return the merged model. What is finished is kept."""
    if not any((ROOT / "unirec/output" / name).glob("**/done.json")):
        run("bash", "scripts/unirec_train.sh", name)
    flags = ["--teacher", f"local:unirec/output/{name}", "--seed", str(options.seed), *options.flags.split()]
    run("bash", "scripts/train_RecLM_cgen.sh", name, *flags)
    run("bash", "scripts/run_SFT_merge.sh", name)
    return max((ROOT / "snap" / name / "cgen").glob("SFT_Epoch*"), key=lambda path: int(path.name[9:]))


def named(catalog: Catalog, items: Sequence[int]) -> list[str]:
    """Return items by their ids, or by their titles where another item's title is the id (the film "187")."""
    titles = set(catalog.titles)
    return [item.title if item.id in titles else item.id for item in (catalog.items[i] for i in items)]


def model_ranker(recommender: Recommender, deny: Sequence[str] = ()) -> Ranker:
    def rank(cases: Sequence[Case]) -> list[list[int]]:
        catalog, lists = recommender.catalog, []
        rules = {"deny": list(deny)} if deny else None
        for at in tqdm(range(0, len(cases), BATCH), unit="batch", desc="lists", disable=None):
            histories = [named(catalog, shown) for _, shown, _ in cases[at : at + BATCH]]
            answers = recommender.recommend_batch(histories, LIST, rules, max_history=SHOWN)
            lists += [catalog.indices(item.id for item in answer) for answer in answers]
        return lists

    return rank


def score_ranker(scores_of: Callable[[Case], np.ndarray]) -> Ranker:
    """Return a ranker by scores (float [items]) that hides what the user is shown to have consumed."""

    def rank(cases: Sequence[Case]) -> list[list[int]]:
        lists = []
        for case in cases:
            scores = np.array(scores_of(case), dtype=np.float64)
            scores[list(case[1])] = -np.inf
            lists.append(np.argsort(-scores, kind="stable")[:LIST].tolist())
        return lists

    return rank


def scores(cases: Sequence[Case], lists: Sequence[Sequence[int]]) -> dict[str, float]:
    places = [
        found.index(target) if target in found else None for (_, _, target), found in zip(cases, lists, strict=True)
    ]
    gains = [0.0 if place is None else 1 / math.log2(place + 2) for place in places]
    return {"hr@10": float(np.mean([place is not None for place in places])), "ndcg@10": float(np.mean(gains))}


def with_title_rows(recommender: Recommender, cold: Sequence[int]) -> Recommender:
    """Give the cold items rows that are the mean of their title's rows, the output row as long as the others."""
    chat, model = recommender.renderer, recommender.model
    ids = torch.tensor([chat.code_ids[item][0] for item in cold])
    warm = torch.tensor([code[0] for item, code in enumerate(chat.code_ids) if item not in set(cold)])
    with torch.no_grad():
        for table in (model.get_input_embeddings().weight, model.get_output_embeddings().weight):
            rows = torch.stack([table[chat.encode(chat.spell(chat.titles[item]))].float().mean(0) for item in cold])
            length = table[warm].float().norm(dim=1).mean()
            table[ids] = (rows / rows.norm(dim=1, keepdim=True) * length).to(table.dtype)
    return recommender


def measure(options: Options) -> dict[str, object]:
    logging.disable_progress_bar()
    source = Path(options.data_path)
    catalog = load_catalog(source)
    cold = held_out(catalog, options.share, options.seed)
    name = f"{catalog.name}-warm-{options.share:g}-{options.seed}"
    warm_folder = ROOT / "data/dataset" / name
    if not (warm_folder / "sequential.jsonl").exists():
        write_warm(catalog, cold, source, warm_folder)
    model = trained_model(name, options)
    full = ROOT / "snap" / name / "with-cold-items"
    add_items(AddOptions(model_name=str(model), data_path=str(source), output=str(full)))
    cold_indices = catalog.indices(sorted(cold))
    cases = cases_of(catalog, options.users, options.seed)
    new = [case for case in cases if catalog.items[case[2]].id in cold]
    old = [case for case in cases if catalog.items[case[2]].id not in cold]
    recommender = Recommender.load(str(full), catalog)
    table = recommender.model.get_input_embeddings().weight.detach().float().cpu().numpy()
    chat = recommender.renderer
    features = item_features(catalog, [chat.encode(chat.spell(title)) for title in catalog.titles], table)
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9)
    warm_counts = np.array(catalog.popularity, dtype=np.float64)
    warm_counts[cold_indices] = 0.0
    rows = {
        "predicted rows": model_ranker(recommender),
        "predicted rows, cold items barred": model_ranker(recommender, sorted(cold)),
        "similar titles and categories": score_ranker(lambda case: unit @ unit[list(case[1])].mean(axis=0)),
        "popularity": score_ranker(lambda case: warm_counts),
    }
    measured = {row: {"cold": scores(new, rank(new)), "warm": scores(old, rank(old))} for row, rank in rows.items()}
    titles = model_ranker(with_title_rows(recommender, cold_indices))
    measured["rows of the titles"] = {"cold": scores(new, titles(new)), "warm": scores(old, titles(old))}
    return {
        "machine": machine_name(),
        "items": len(catalog.items),
        "cold_items": len(cold),
        "cold_targets": len(new),
        "warm_targets": len(old),
        "rows": measured,
    }


def show(record: dict) -> None:
    print(record["machine"])
    print(f"{'':36}{'cold HR@10':>12}{'NDCG@10':>10}{'warm HR@10':>12}{'NDCG@10':>10}")
    for name, row in record["rows"].items():
        cells = [row[part][metric] for part in ("cold", "warm") for metric in ("hr@10", "ndcg@10")]
        print(f"{name:36}{cells[0]:12.3f}{cells[1]:10.3f}{cells[2]:12.3f}{cells[3]:10.3f}")
    print(json.dumps(record))


def main() -> None:
    show(measure(parse(Options)))


if __name__ == "__main__":
    run_cli(main)
