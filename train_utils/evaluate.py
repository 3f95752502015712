"""Samples -> completions -> metrics -> a result file that an interrupted run goes on with."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType

from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm

from train_utils.asking import Answer, EvalUser, eval_users
from train_utils.catalog import Catalog, dataset_files, load_catalog
from train_utils.files import manifest, write_json
from train_utils.launch import open_processes, own_device
from train_utils.metrics import aggregate, coverage, diversity, novelty, score_list, self_information
from train_utils.param import EvalOptions
from train_utils.rankers import rank_users
from train_utils.resumable import collect, forget
from train_utils.retrieval import FOLDER as RETRIEVAL
from train_utils.under_test import ModelUnderTest

PRIOR_WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


# -- scoring and the result file -------------------------------------------------------------------------------------

_NEAR = ("hr@10", "ndcg@10", "ood@10")


class Scorer:
    """Answers -> the records of a result file."""

    def __init__(self, catalog: Catalog):
        self.catalog = catalog
        ids = (item.id for item in catalog.items)
        self.information = self_information(dict(zip(ids, catalog.popularity, strict=True)))
        self.categories = {item.id: frozenset(item.categories) for item in catalog.items}

    def record(self, row: EvalUser, answer: Answer) -> dict:
        """The record of one user.

        A model that nothing constrained has more: each title as written, the rates with near titles counted as the
        catalogue's (`near_hr@10`, `near_ndcg@10`, `near_ood@10`), and whether the list was plain text (`plain_list`).
        """
        ids, target = self.catalog.ids, self.catalog.items[row.target].id
        kept_to = {i for i in answer.items if i is not None and row.wish.admits(self.catalog.index[i], self.catalog)}
        metrics = score_list(
            answer.items, target, history=set(ids(row.shown)), k_asked=row.wish.k,
            category=kept_to if row.wish.category else None, candidates=kept_to if row.wish.candidates else None,
        )
        metrics |= {"novelty@10": novelty(answer.items, self.information),
                    "diversity@10": diversity(answer.items, self.categories)}
        written: dict[str, object] = {}
        if answer.completion is not None:
            written |= {"prompt": answer.prompt, "completion": answer.completion}
        if answer.named is not None:
            near = [None if one.near is None else self.catalog.items[one.near].id for one in answer.named]
            scores = score_list(near, target, history=set(ids(row.shown)), k_asked=row.wish.k)
            metrics |= {f"near_{name}": scores[name] for name in _NEAR} | {"plain_list": float(answer.plain)}
            written["titles"] = [{"text": one.text, "edits": one.edits, "near": item}
                                 for one, item in zip(answer.named, near, strict=True)]
        return {"user": row.user, "target": target, "history": ids(row.shown), "asked": row.wish.told(self.catalog),
                "items": answer.items, "metrics": metrics, **written}


def run_test(options: EvalOptions) -> tuple[Path, dict]:
    """Scores one model or baseline on a split; returns the result file and what it holds.

    Answers are kept batch by batch beside the result, so an interrupted run goes on where it was and ends with the
    same file; under `accelerate launch` the processes share the users. The result holds no time and no path but those
    asked for: two runs give the identical file. The time is told beside it, in `<result>.timing.json`.

    Raises:
        ValueError: a missing model or dataset, a task that is not there, a prompt that does not fit.
    """
    named = [name for name in ("model_name", "ranker", "run_file") if getattr(options, name)]
    if len(named) != 1:
        raise ValueError(f"what is to be scored? give one of --model_name, --ranker and --run_file, got {len(named)}")
    output = Path(options.output) if options.output else default_output(options)
    catalog = load_catalog(options.data_path)
    users = eval_users(catalog, options)
    made_from = manifest(result_identity(options), model_inputs(options))
    scorer = Scorer(catalog)
    more: dict[str, object] = {}
    processes = open_processes(options.gpu)
    started = time.perf_counter()
    if options.ranker or options.run_file:
        answers, more = rank_users(catalog, users, options)
        records = {row.user: scorer.record(row, answer) for row, answer in zip(users, answers, strict=True)}
        seconds = time.perf_counter() - started
    else:
        under_test = ModelUnderTest(catalog, own_device(options, processes))
        if options.prior:
            more["prior"] = choose_prior_weight(catalog, options, under_test, processes)
        weight = float(more["prior"]["weight"]) if options.prior else 0.0

        def work(rows: Sequence[EvalUser]) -> list[dict]:
            (answers,) = under_test.answers(rows, [weight])
            return [scorer.record(row, answer) for row, answer in zip(rows, answers, strict=True)]

        records, seconds = collect(batches(users, options, under_test), work, output, made_from, processes,
                                   options.SFT_test_task)
    result = result_of(made_from, [records[row.user] for row in users], catalog, options.seed, more)
    if processes.is_main_process:
        write_result(output, result, seconds)
    forget(output, processes)
    return output, result


def write_result(output: Path, result: dict, seconds: float) -> None:
    """The result file; the time that it took lies beside it."""
    write_json(output, result)
    write_json(output.with_suffix(".timing.json"), {"seconds": seconds, "lists": result["n_users"]})


def result_of(made_from: dict, records: Sequence[dict], catalog: Catalog, seed: int,
              more: Mapping[str, object] = MappingProxyType({})) -> dict:
    """What a result file holds."""
    lists = [[i for i in record["items"] if i is not None][:10] for record in records]
    return {
        "manifest": made_from,
        "n_users": len(records),
        "metrics": aggregate([record["metrics"] for record in records], seed=seed),
        "coverage@10": coverage(lists, len(catalog.items)),
        **more,
        "users": list(records),
    }


def choose_prior_weight(catalog: Catalog, options: EvalOptions, under_test: ModelUnderTest,
                        processes: PartialState) -> dict[str, object]:
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
    scorer, found = Scorer(catalog), []
    shared = batches(users, options, under_test)[processes.process_index::processes.num_processes]
    for rows in tqdm(shared, desc="prior weight", unit="batch", mininterval=5,
                     disable=not processes.is_local_main_process):
        for weight, answers in zip(PRIOR_WEIGHTS, under_test.answers(rows, PRIOR_WEIGHTS), strict=True):
            found += [(weight, row.user, scorer.record(row, answer)["metrics"]["ndcg@10"])
                      for row, answer in zip(rows, answers, strict=True)]
    # Sorted: a sum depends on its order, which the number of processes shall not change.
    found = sorted(gather_object(found))
    means = {weight: sum(value for one, _, value in found if one == weight) / len(users) for weight in PRIOR_WEIGHTS}
    best = max(means, key=lambda weight: (means[weight], -weight))
    return {"weight": best, "ndcg@10": {str(weight): mean for weight, mean in means.items()},
            "validation_users": len(users)}


def batches(users: Sequence[EvalUser], options: EvalOptions, under_test: ModelUnderTest) -> list[list[EvalUser]]:
    """Batches of like length. They do not depend on what is done already, so that a resumed run has the same."""
    order = sorted(range(len(users)), key=lambda i: (len(under_test.prompt(users[i])), i))
    return [[users[i] for i in order[at:at + options.batch_size]] for at in range(0, len(order), options.batch_size)]


def default_output(options: EvalOptions) -> Path:
    name = f"{options.SFT_test_task}_{Path(options.data_path).resolve().name}_top{options.topk}.json"
    if other := options.ranker or Path(options.run_file).stem:
        return Path("snap/results") / other / name
    folder = Path(options.model_name)
    if not folder.is_dir():
        folder = Path("snap/results") / options.model_name.replace("/", "_")
    return folder / name


def result_identity(options: EvalOptions) -> dict:
    """The options that a result depends on."""
    return {k: v for k, v in asdict(options).items() if k not in ("output", "gpu", "trees")}


def model_inputs(options: EvalOptions) -> Iterator[Path]:
    """The files that a result depends on."""
    if options.run_file:
        yield Path(options.run_file)
    yield from dataset_files(options.data_path)
    if options.model_name:
        for pattern in ("*.safetensors", f"{RETRIEVAL}/*.safetensors"):
            yield from sorted(Path(options.model_name).glob(pattern))


def summary_row(name: str, result: dict) -> dict:
    """The row of a result in a table."""
    metrics = result["metrics"]
    shown = ("hr@1", "hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr@10", "ood@10", "repeat@10", "in_history@10",
             "correct_count", "short")
    row = {"model": name, **{key: metrics[key]["mean"] for key in shown}}
    return row | {f"{key}_ci": metrics[key]["ci"] for key in ("hr@10", "ndcg@10")}
