"""Test run: evaluation cases -> predictions -> metrics -> result file, resumable."""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState

from train_utils.catalog import Catalog, load_catalog
from train_utils.evaluation.cases import EvalCase, eval_cases
from train_utils.evaluation.llm import LLMRecommender, batches, load_llm
from train_utils.evaluation.partial_results import delete_partials, earlier_commits, run_resumable
from train_utils.evaluation.prior_weight import choose_prior_weight
from train_utils.evaluation.rankers import file_lists, rank_users
from train_utils.evaluation.result_reader import is_user_record
from train_utils.evaluation.results import (
    default_output,
    result_file,
    result_identity,
    result_inputs,
    result_of,
    write_result,
)
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import EvalPlan, ModelPlan
from train_utils.manifest import manifest
from train_utils.models.backbone import with_dtype
from train_utils.param.evaluation import EvalOptions, HideSeen
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
    plan = EvalPlan.from_options(options)
    output = Path(options.output) if options.output else default_output(options)
    if options.model_name:
        options = with_dtype(options)
    processes = init_processes(options.gpu)
    with result_file(output, options, processes.is_main_process):
        catalog = load_catalog(options.data_path)
        users = eval_cases(catalog, plan.task, plan.split)
        hides = plan.decoding.constrained if isinstance(plan, ModelPlan) else not options.run_file
        if hides and processes.is_main_process:
            warn_impossible(users, plan.split.hide_seen)
        if isinstance(plan, ModelPlan):
            made_from, records, seconds, more = _score_model(catalog, users, options, plan, output, processes)
        else:
            made_from, records, seconds, more = _score_lists(catalog, users, options, plan)
        result = result_of(made_from, [records[row.user] for row in users], catalog, options.seed, more)
        if processes.is_main_process:
            write_result(output, result, seconds)
        delete_partials(output, processes)
    return output, result


Scored = tuple[dict, Mapping[str, dict], float, Mapping[str, object]]  # manifest, user -> record, seconds, more entries


def _score_lists(catalog: Catalog, users: Sequence[EvalCase], options: EvalOptions, plan: EvalPlan) -> Scored:
    """Score a baseline, the teacher, or the lists of a file."""
    made_from, scorer = manifest(result_identity(options), result_inputs(options)), Scorer(catalog)
    started = time.perf_counter()
    if options.run_file:
        answers, more = file_lists(options.run_file, catalog, users)
    else:
        answers, more = rank_users(options.ranker, catalog, users, plan.split, options.teacher, options.tune)
    records = {row.user: scorer.record(row, answer) for row, answer in zip(users, answers, strict=True)}
    return made_from, records, time.perf_counter() - started, more


def _score_model(
    catalog: Catalog,
    users: Sequence[EvalCase],
    options: EvalOptions,
    plan: ModelPlan,
    output: Path,
    processes: PartialState,
) -> Scored:
    """Score a language model."""
    more: dict[str, Any] = {}
    llm = LLMRecommender(catalog, load_llm(catalog, own_device(options, processes)), plan)
    scorer = Scorer(catalog)
    made_from = manifest(result_identity(options), result_inputs(options))  # after the model, because a hub downloads
    more["sequence_weight"] = llm.sequence_weight
    shared = batches(users, llm)  # before the weight is chosen, to reject a prompt that does not fit
    weight = 0.0
    if plan.prior:
        more["prior"] = choose_prior_weight(catalog, plan.prior, llm, processes)
        weight = float(more["prior"]["weight"])

    def work(rows: Sequence[EvalCase]) -> list[dict]:
        (answers,) = llm.answers(rows, [weight])
        return [scorer.record(row, answer) for row, answer in zip(rows, answers, strict=True)]

    records, seconds = run_resumable(shared, work, output, made_from, processes, plan.task.name, is_user_record)
    if others := earlier_commits(output, made_from):
        made_from["begun_at_commits"] = others
    return made_from, records, seconds, more


def warn_impossible(users: Sequence[EvalCase], hide_seen: HideSeen) -> None:
    """Warn about users whose target is a repeat: no list can hit it if their consumed items are hidden.

    Not for run files and unconstrained models, which hide no items.
    """
    hidden = sum(row.target in row.hidden(hide_seen) for row in users)
    if hidden:
        logger.warning(
            "%d of %d targets are among the items that `hide_seen` %s hides: users consume them again, and "
            "they can only be missed; `hide_seen` none counts them",
            hidden,
            len(users),
            hide_seen,
        )
