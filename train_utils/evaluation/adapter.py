"""Test stages of main.py: score an unmerged adapter as task_test.py scores a model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from train_utils.evaluation.eval_task import EvalTask
from train_utils.evaluation.results import summary_row
from train_utils.evaluation.run import run_test
from train_utils.models.merge import adapter_of, named_backbone
from train_utils.models.retrieval_head import has_retrieval
from train_utils.param.evaluation import EvalOptions
from train_utils.param.training import TrainOptions

_OWN = {"output", "batch_size", "teacher", "backbone"}  # shared names with different meanings


def eval_options(options: TrainOptions, adapter: Path) -> EvalOptions:
    """Return the options of task_test.py that score the adapter; the result goes into the adapter's folder."""
    shared = {f.name for f in fields(EvalOptions)} & {f.name for f in fields(TrainOptions)} - _OWN
    return EvalOptions(
        **{name: getattr(options, name) for name in shared},
        model_name=str(adapter),
        use_CBS=True,
        batch_size=options.test_batch_size,
        backbone=named_backbone(options),
    )


@dataclass(frozen=True)
class AdapterResult:
    """Result of an adapter test.

    Attributes:
        row: row of the result table; None for the analysis of embeddings.
        numbers: name -> value of the analysis of embeddings; empty otherwise.
        note: line below the table: the conditions and the written file.
    """

    row: dict[str, object] | None
    numbers: Mapping[str, float]
    note: str


def run_adapter_test(options: TrainOptions) -> AdapterResult:
    """Score the adapter of `--SFT_load`, or the newest adapter of the run.

    Raises:
        ValueError: there is no adapter, the test requires RecLM-ret and the adapter is of RecLM-cgen, or `run_test`
            fails.
    """
    adapter = adapter_of(options)
    analysis = EvalTask.parse(options.SFT_test_task).kind == "embedding"
    if (analysis or options.train_stage == "SFT_Embedding_Test") and not has_retrieval(adapter):
        raise ValueError(
            f"{adapter} retrieves no items; train RecLM-ret by `train_stage` SFT_Embedding, or take "
            "`train_stage` SFT_Test with another `SFT_test_task`"
        )
    asked = eval_options(options, adapter)
    if analysis:
        from train_utils.evaluation.embeddings import report_embeddings  # draws: matplotlib is an extra

        output, numbers = report_embeddings(asked)
        return AdapterResult(None, numbers, f"{output}, and its .png")
    output, result = run_test(asked)
    note = f"{result['n_users']} users, hide_seen {asked.hide_seen}: {output}"
    return AdapterResult(summary_row(str(adapter), result), {}, note)
