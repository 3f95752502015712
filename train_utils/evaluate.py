"""Samples -> completions -> metrics -> a result file that an interrupted run goes on with."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

from train_utils.baselines import ItemKNN, Popularity, Ranker, RecentPopularity
from train_utils.catalog import Catalog, load_catalog
from train_utils.files import manifest, write_json
from train_utils.metrics import aggregate, coverage, score_list
from train_utils.param import EvalOptions
from train_utils.retrieval import FOLDER as RETRIEVAL
from train_utils.teacher import open_teacher
from train_utils.under_test import Answer, EvalUser, ModelUnderTest, eval_users

PRIOR_WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


# -- rankers that are no language model ------------------------------------------------------------------------------


def rank_users(catalog: Catalog, users: Sequence[EvalUser], options: EvalOptions) -> list[Answer]:
    """Answers of `--ranker`, over the same candidates as a model's."""
    hidden = [row.hidden(options.hide_seen) for row in users]
    if options.ranker == "teacher":
        teacher = open_teacher(options.teacher)
        if options.hide_seen == "none":
            raise ValueError("--ranker teacher hides what it is shown; use --hide_seen visible or all")
        return [Answer(list(ids)) for ids in teacher.top_k([catalog.ids(h) for h in hidden], options.topk)]
    rankers: dict[str, Ranker] = {
        "popularity": Popularity(), "recent-popularity": RecentPopularity(), "item-knn": ItemKNN()
    }
    ranker = rankers[options.ranker].fit([list(s) for s in catalog.training_sequences()], len(catalog.items))
    lists = ranker.rank([list(row.shown) for row in users], [set(h) for h in hidden], options.topk)
    return [Answer(catalog.ids(int(i) for i in row if i >= 0)) for row in lists]


# -- scoring and the result file -------------------------------------------------------------------------------------


def score(catalog: Catalog, row: EvalUser, answer: Answer, options: EvalOptions) -> dict:
    """The record of one user in a result file."""
    metrics = score_list(
        answer.items, catalog.items[row.target].id, history=set(catalog.ids(row.shown)), k_asked=options.topk
    )
    record = {"user": row.user, "target": catalog.items[row.target].id, "items": answer.items, "metrics": metrics}
    return record if answer.completion is None else record | {"completion": answer.completion}


def run_test(options: EvalOptions) -> tuple[Path, dict]:
    """Scores one model or baseline on a split; returns the result file and what it holds.

    Answers are kept batch by batch in `<result>.partial`, so an interrupted run goes on where it was and ends with
    the same file. The result holds no time and no path but those asked for: two runs give the identical file.

    Raises:
        ValueError: a missing model or dataset, a task that is not there, a prompt that does not fit.
    """
    output = Path(options.output) if options.output else default_output(options)
    catalog = load_catalog(options.data_path)
    users = eval_users(catalog, options)
    made_from = manifest(_identity(options), _inputs(options))
    prior: dict[str, object] = {}
    if options.ranker:
        records = [score(catalog, row, answer, options)
                   for row, answer in zip(users, rank_users(catalog, users, options), strict=True)]
    else:
        under_test = ModelUnderTest(catalog, options)
        if options.prior:
            prior = choose_prior_weight(catalog, options, under_test)
        partial = output.with_name(output.name + ".partial")
        records = _resumable(catalog, users, options, partial, made_from, under_test, prior.get("weight", 0.0))
    lists = [[i for i in record["items"] if i is not None][:10] for record in records]
    result = {
        "manifest": made_from,
        "n_users": len(records),
        "metrics": aggregate([record["metrics"] for record in records], seed=options.seed),
        "coverage@10": coverage(lists, len(catalog.items)),
        **({"prior": prior} if prior else {}),
        "users": records,
    }
    write_json(output, result)
    output.with_name(output.name + ".partial").unlink(missing_ok=True)
    return output, result


def choose_prior_weight(catalog: Catalog, options: EvalOptions, under_test: ModelUnderTest) -> dict[str, object]:
    """The weight that is asked for, or the one with the best NDCG@10 for users of the validation split.

    Returns:
        {"weight": float}, and with auto {"ndcg@10": {weight: mean}, "validation_users": int}.

    Raises:
        ValueError: a weight that is no number, or auto for the validation split itself.
    """
    if options.prior_weight != "auto":
        try:
            return {"weight": float(options.prior_weight)}
        except ValueError:
            raise ValueError(f"--prior_weight is {options.prior_weight!r}, wanted a number or auto") from None
    if options.split == "valid":
        raise ValueError("--prior_weight auto is chosen by the validation split; give a number to score that split")
    everyone = replace(options, split="valid", users=0)
    users = eval_users(catalog, replace(everyone, users=min(options.prior_users, len(eval_users(catalog, everyone)))))
    found: dict[float, list[float]] = {weight: [] for weight in PRIOR_WEIGHTS}
    for rows in tqdm(batches(users, options, under_test), desc="prior weight", unit="batch", mininterval=5):
        for weight, answers in zip(PRIOR_WEIGHTS, under_test.answers(rows, PRIOR_WEIGHTS), strict=True):
            found[weight] += [score(catalog, row, answer, options)["metrics"]["ndcg@10"]
                              for row, answer in zip(rows, answers, strict=True)]
    means = {weight: sum(values) / len(values) for weight, values in found.items()}
    best = max(means, key=lambda weight: (means[weight], -weight))
    return {"weight": best, "ndcg@10": {str(weight): mean for weight, mean in means.items()},
            "validation_users": len(users)}


def batches(users: Sequence[EvalUser], options: EvalOptions, under_test: ModelUnderTest) -> list[list[EvalUser]]:
    """Batches of like length. They do not depend on what is done already, so that a resumed run has the same."""
    order = sorted(range(len(users)), key=lambda i: (len(under_test.prompt(users[i])), i))
    return [[users[i] for i in order[at:at + options.batch_size]] for at in range(0, len(order), options.batch_size)]


def _resumable(catalog: Catalog, users: Sequence[EvalUser], options: EvalOptions, partial: Path,
               made_from: dict, under_test: ModelUnderTest, prior_weight: float) -> list[dict]:
    done = _read_partial(partial, made_from)
    with partial.open("a") as file:
        for rows in tqdm(batches(users, options, under_test), desc=options.SFT_test_task, unit="batch", mininterval=5):
            if all(row.user in done for row in rows):
                continue
            (answers,) = under_test.answers(rows, [prior_weight])
            records = [score(catalog, row, answer, options) for row, answer in zip(rows, answers, strict=True)]
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            file.flush()
            os.fsync(file.fileno())
            done |= {record["user"]: record for record in records}
    return [done[row.user] for row in users]


def _read_partial(partial: Path, made_from: dict) -> dict[str, dict]:
    """Records of an interrupted run of the same manifest; starts the file anew otherwise."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    lines = partial.read_text(encoding="utf-8").splitlines() if partial.exists() else []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the line that was being written when the run was killed
    if not records or records[0] != made_from:
        records = [made_from]
    partial.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return {record["user"]: record for record in records[1:]}


def default_output(options: EvalOptions) -> Path:
    name = f"{options.SFT_test_task}_{Path(options.data_path).resolve().name}_top{options.topk}.json"
    folder = Path("snap/results") / options.ranker if options.ranker else Path(options.model_name)
    if not options.ranker and not folder.is_dir():
        folder = Path("snap/results") / options.model_name.replace("/", "_")
    return folder / name


def _identity(options: EvalOptions) -> dict:
    return {k: v for k, v in asdict(options).items() if k not in ("output", "gpu", "trees")}


def _inputs(options: EvalOptions) -> Iterator[Path]:
    yield from (Path(options.data_path) / name for name in ("metas.jsonl", "sequential.jsonl", "category.jsonl"))
    if options.model_name:
        for pattern in ("*.safetensors", f"{RETRIEVAL}/*.safetensors"):
            yield from sorted(Path(options.model_name).glob(pattern))


def summary_row(name: str, result: dict) -> dict:
    """The row of a result in a table."""
    metrics = result["metrics"]
    shown = ("hr@1", "hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr@10", "ood@10", "repeat@10", "in_history@10",
             "correct_count", "short")
    row = {"model": name, **{key: round(metrics[key]["mean"], 4) for key in shown}}
    return row | {f"{key}_ci": [round(edge, 4) for edge in metrics[key]["ci"]] for key in ("hr@10", "ndcg@10")}
