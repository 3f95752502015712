"""Samples -> completions -> metrics -> a result file that an interrupted run goes on with."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm

from train_utils.asking import Answer, EvalUser, eval_users
from train_utils.catalog import Catalog, load_catalog
from train_utils.files import manifest
from train_utils.launch import open_processes, own_device
from train_utils.metrics import diversity, novelty, score_list, self_information
from train_utils.model import with_dtype
from train_utils.param import EvalOptions
from train_utils.rankers import rank_users
from train_utils.results import default_output, result_file, result_identity, result_inputs, result_of, write_result
from train_utils.resumable import collect, earlier_commits, forget
from train_utils.retrieval import has_retrieval
from train_utils.under_test import ModelUnderTest

logger = logging.getLogger(__name__)

PRIOR_WEIGHTS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_LARGEST_WEIGHT = 2.0**20


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
    if options.model_name:
        options = with_dtype(options)
    processes = open_processes(options.gpu)
    with result_file(output, options, processes.is_main_process):
        catalog = load_catalog(options.data_path)
        users = eval_users(catalog, options)
        tell_impossible(users, options, processes)
        rank = _score_lists if options.ranker or options.run_file else _score_model
        made_from, records, seconds, more = rank(catalog, users, options, output, processes)
        result = result_of(made_from, [records[row.user] for row in users], catalog, options.seed, more)
        if processes.is_main_process:
            write_result(output, result, seconds)
        forget(output, processes)
    return output, result


Scored = tuple[dict, Mapping[str, dict], float, Mapping[str, object]]  # manifest, records by user, seconds, what else


def _score_lists(catalog: Catalog, users: Sequence[EvalUser], options: EvalOptions, output: Path,
                 processes: PartialState) -> Scored:
    """Baselines, the teacher, and lists of a file."""
    made_from, scorer = manifest(result_identity(options), result_inputs(options)), Scorer(catalog)
    started = time.perf_counter()
    answers, more = rank_users(catalog, users, options)
    records = {row.user: scorer.record(row, answer) for row, answer in zip(users, answers, strict=True)}
    return made_from, records, time.perf_counter() - started, more


def _score_model(catalog: Catalog, users: Sequence[EvalUser], options: EvalOptions, output: Path,
                 processes: PartialState) -> Scored:
    """A language model."""
    more: dict[str, object] = {}
    under_test, scorer = ModelUnderTest(catalog, own_device(options, processes)), Scorer(catalog)
    made_from = manifest(result_identity(options), result_inputs(options))  # a hub's files are there only now
    shared = batches(users, options, under_test)  # a prompt that does not fit is found before the weight is chosen
    if options.prior:
        more["prior"] = choose_prior_weight(catalog, options, under_test, processes)
    weight = float(more["prior"]["weight"]) if options.prior else 0.0

    def work(rows: Sequence[EvalUser]) -> list[dict]:
        (answers,) = under_test.answers(rows, [weight])
        return [scorer.record(row, answer) for row, answer in zip(rows, answers, strict=True)]

    records, seconds = collect(shared, work, output, made_from, processes, options.SFT_test_task)
    if others := earlier_commits(output, made_from):
        made_from["begun_at_commits"] = others
    return made_from, records, seconds, more


def tell_impossible(users: Sequence[EvalUser], options: EvalOptions, processes: PartialState) -> None:
    """Users who consume the target again: where what they saw is hidden, nothing can hit it.

    Of a file's lists and of a model that nothing constrains nothing is hidden.
    """
    if options.run_file or options.model_name and not (options.use_CBS or has_retrieval(options.model_name)):
        return
    hidden = sum(row.target in row.hidden(options.hide_seen) for row in users)
    if hidden and processes.is_main_process:
        logger.warning("%d of %d targets are among the items that --hide_seen %s bars: users consume them again, and "
                       "they can only be missed; --hide_seen none counts them", hidden, len(users), options.hide_seen)


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
    scorer = Scorer(catalog)
    shared = batches(users, options, under_test)[processes.process_index::processes.num_processes]

    def measured(weights: Sequence[float]) -> dict[float, float]:
        """Mean NDCG@10 of each weight."""
        found = []
        for rows in tqdm(shared, desc=f"prior weight to {weights[-1]:.0f}", unit="batch", mininterval=5,
                         disable=not processes.is_local_main_process):
            for weight, answers in zip(weights, under_test.answers(rows, weights), strict=True):
                found += [(weight, row.user, scorer.record(row, answer)["metrics"]["ndcg@10"])
                          for row, answer in zip(rows, answers, strict=True)]
        # Sorted: a sum depends on its order, which the number of processes shall not change.
        found = sorted(gather_object(found))
        return {weight: sum(value for one, _, value in found if one == weight) / len(users) for weight in weights}

    best, means = best_weight(measured)
    return {"weight": best, "ndcg@10": {str(weight): mean for weight, mean in means.items()},
            "validation_users": len(users)}


def best_weight(measured: Callable[[Sequence[float]], dict[float, float]]) -> tuple[float, dict[float, float]]:
    """The smallest of the best weights, and what all that were tried give: larger ones until the best is not the last.

    Args:
        measured: weights, ascending -> the mean of each.
    """
    means = measured(PRIOR_WEIGHTS)
    while True:
        best, largest = max(means, key=lambda weight: (means[weight], -weight)), max(means)
        if best < largest:
            return best, means
        if largest >= _LARGEST_WEIGHT:
            logger.warning("the best prior weight is %.0f, the last one that is tried: larger ones may be better", best)
            return best, means
        means |= measured((2 * largest, 4 * largest))


def batches(users: Sequence[EvalUser], options: EvalOptions, under_test: ModelUnderTest) -> list[list[EvalUser]]:
    """Batches of like length. They do not depend on what is done already, so that a resumed run has the same."""
    order = sorted(range(len(users)), key=lambda i: (len(under_test.prompt(users[i])), i))
    return [[users[i] for i in order[at:at + options.batch_size]] for at in range(0, len(order), options.batch_size)]
