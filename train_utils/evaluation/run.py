"""Test run: evaluation cases -> predictions -> metrics -> result file, resumable."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState

from train_utils.catalog import Catalog, load_catalog
from train_utils.evaluation.cases import EvalCase, eval_cases
from train_utils.evaluation.eval_task import check_options
from train_utils.evaluation.llm import LLMRecommender, batches
from train_utils.evaluation.partial_results import delete_partials, earlier_commits, run_resumable
from train_utils.evaluation.prior_weight import choose_prior_weight
from train_utils.evaluation.rankers import rank_users
from train_utils.evaluation.results import (
    default_output,
    result_file,
    result_identity,
    result_inputs,
    result_of,
    write_result,
)
from train_utils.evaluation.scoring import Scorer
from train_utils.manifest import manifest
from train_utils.models.backbone import with_dtype
from train_utils.models.retrieval_head import has_retrieval
from train_utils.param import EvalOptions
from train_utils.processes import init_processes, own_device

logger = logging.getLogger(__name__)


def run_test(options: EvalOptions) -> tuple[Path, dict]:
    """Score one model or baseline on a split.

    Records are written batch by batch next to the result, so an interrupted run resumes and ends with the same file.
    Under `accelerate launch` the processes share the users. The result contains no time and only the paths given as
    options: two runs give identical files. `<result>.timing.json` has the time.

    Returns:
        The result file and its content.

    Raises:
        ValueError: the model or dataset is missing, the task is unknown, or a prompt does not fit.
    """
    named = [name for name in ("model_name", "ranker", "run_file") if getattr(options, name)]
    if len(named) != 1:
        raise ValueError(f"expected exactly one of --model_name, --ranker and --run_file, got {len(named)}")
    output = Path(options.output) if options.output else default_output(options)
    if options.model_name:
        check_options(options)
        options = with_dtype(options)
    processes = init_processes(options.gpu)
    with result_file(output, options, processes.is_main_process):
        catalog = load_catalog(options.data_path)
        users = eval_cases(catalog, options)
        tell_impossible(users, options, processes)
        rank = _score_lists if options.ranker or options.run_file else _score_model
        made_from, records, seconds, more = rank(catalog, users, options, output, processes)
        result = result_of(made_from, [records[row.user] for row in users], catalog, options.seed, more)
        if processes.is_main_process:
            write_result(output, result, seconds)
        delete_partials(output, processes)
    return output, result


Scored = tuple[dict, Mapping[str, dict], float, Mapping[str, object]]  # manifest, user -> record, seconds, more entries


def _score_lists(
    catalog: Catalog, users: Sequence[EvalCase], options: EvalOptions, output: Path, processes: PartialState
) -> Scored:
    """Score a baseline, the teacher, or the lists of a file."""
    made_from, scorer = manifest(result_identity(options), result_inputs(options)), Scorer(catalog)
    started = time.perf_counter()
    answers, more = rank_users(catalog, users, options)
    records = {row.user: scorer.record(row, answer) for row, answer in zip(users, answers, strict=True)}
    return made_from, records, time.perf_counter() - started, more


def _score_model(
    catalog: Catalog, users: Sequence[EvalCase], options: EvalOptions, output: Path, processes: PartialState
) -> Scored:
    """Score a language model."""
    more: dict[str, Any] = {}
    llm, scorer = LLMRecommender(catalog, own_device(options, processes)), Scorer(catalog)
    made_from = manifest(result_identity(options), result_inputs(options))  # after the model, because a hub downloads
    shared = batches(users, options, llm)  # before the weight is chosen, to reject a prompt that does not fit
    if options.prior:
        more["prior"] = choose_prior_weight(catalog, options, llm, processes)
    weight = float(more["prior"]["weight"]) if options.prior else 0.0

    def work(rows: Sequence[EvalCase]) -> list[dict]:
        (answers,) = llm.answers(rows, [weight])
        return [scorer.record(row, answer) for row, answer in zip(rows, answers, strict=True)]

    records, seconds = run_resumable(shared, work, output, made_from, processes, options.SFT_test_task)
    if others := earlier_commits(output, made_from):
        made_from["begun_at_commits"] = others
    return made_from, records, seconds, more


def tell_impossible(users: Sequence[EvalCase], options: EvalOptions, processes: PartialState) -> None:
    """Warn about users whose target is a repeat: no list can hit it if their consumed items are hidden.

    Run files and unconstrained models hide no items.
    """
    if options.run_file or options.model_name and not (options.use_CBS or has_retrieval(options.model_name)):
        return
    hidden = sum(row.target in row.hidden(options.hide_seen) for row in users)
    if hidden and processes.is_main_process:
        logger.warning(
            "%d of %d targets are among the items that --hide_seen %s bars: users consume them again, and "
            "they can only be missed; --hide_seen none counts them",
            hidden,
            len(users),
            options.hide_seen,
        )
