"""The test stages of main.py: an adapter, not merged yet, scored as task_test.py scores a model."""

from dataclasses import fields
from pathlib import Path

from train_utils.embedding_report import report_embeddings
from train_utils.evaluate import run_test
from train_utils.merge import adapter_of, named_backbone
from train_utils.param import EvalOptions, TrainOptions
from train_utils.results import summary_row
from train_utils.retrieval import has_retrieval
from train_utils.tables import text_table

_OWN = {"output", "batch_size", "teacher", "backbone"}  # options of both whose meaning is another


def eval_options(options: TrainOptions, adapter: Path) -> EvalOptions:
    """How task_test.py would be asked to score the adapter; the result goes into the adapter's folder."""
    shared = {f.name for f in fields(EvalOptions)} & {f.name for f in fields(TrainOptions)} - _OWN
    return EvalOptions(**{name: getattr(options, name) for name in shared}, model_name=str(adapter), use_CBS=True,
                       batch_size=options.test_batch_size, backbone=named_backbone(options))


def run_adapter_test(options: TrainOptions) -> str:
    """Scores the adapter of `--SFT_load`, or the newest of the run; returns what a user wants to read.

    Raises:
        ValueError: no adapter, one of RecLM-cgen where one of RecLM-ret is wanted, or what `run_test` raises.
    """
    adapter = adapter_of(options)
    analysis = options.SFT_test_task == "SFTTestEmbedding"
    if (analysis or options.train_stage == "SFT_Embedding_Test") and not has_retrieval(adapter):
        raise ValueError(f"{adapter} retrieves no items; train RecLM-ret by --train_stage SFT_Embedding, or take "
                         "--train_stage SFT_Test with another --SFT_test_task")
    asked = eval_options(options, adapter)
    if analysis:
        output, numbers = report_embeddings(asked)
        return "\n".join([*(f"{name:>24}  {value:.4f}" for name, value in numbers.items()), f"{output}, and its .png"])
    output, result = run_test(asked)
    table = text_table([summary_row(str(adapter), result)])
    return f"{table}\n{result['n_users']} users, hide_seen {asked.hide_seen}: {output}"
