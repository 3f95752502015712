"""End-of-epoch hook: constrained lists for validation users, the best adapter, early stopping."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import broadcast_object_list, gather_object

from train_utils.catalog import Catalog
from train_utils.decoding.retriever import Retriever
from train_utils.evaluation.cases import eval_cases
from train_utils.evaluation.llm import LLMRecommender, batches, prompt_of
from train_utils.evaluation.metrics import aggregate
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import ModelPlan
from train_utils.files.atomic import write_json
from train_utils.files.json_files import read_json
from train_utils.models.backbone import unwrap
from train_utils.models.retrieval_head import Retrieval
from train_utils.param.evaluation import EvalOptions
from train_utils.param.training import TrainOptions
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.training.loop import HookResult

METRICS = ("ndcg@10", "hr@10", "ood@10", "short")


def validation_options(options: TrainOptions) -> EvalOptions:
    """Return the options of validation: lists of the most probable titles, as long as the longest training lists."""
    return EvalOptions(
        data_path=options.data_path,
        model_name=options.backbone,
        split="valid",
        users=options.val_users,
        use_CBS=True,
        decoding="rank",
        topk=options.topk,
        idx=options.idx,
        max_history=options.max_history,
        seed=options.seed,
        batch_size=options.test_batch_size,
        max_token_length=options.max_token_length,
    )


class Validator:
    """End-of-epoch hook, called with the number of the epoch; every process scores its share of the users.

    `<run>/validation.json` holds the results by epoch. An epoch that a resumed run repeats is scored again.

    Args:
        catalog: the catalog with its validation split.
        chat: renderer of the prompts.
        model: the model that is trained.
        options: options of the run.
        run: folder of the run.
        save: folder -> writes the adapter, atomically.
        accelerator: accelerator of the processes.
        retrieval: retrieval head of RecLM-ret.

    Raises:
        ValueError: the model is sharded over processes, the split has fewer users, or a prompt does not fit.
    """

    def __init__(
        self,
        catalog: Catalog,
        chat: Chat,
        model: torch.nn.Module,
        options: TrainOptions,
        run: Path,
        save: Callable[[Path], None],
        accelerator: Accelerator,
        retrieval: Retrieval | None = None,
    ):
        if accelerator.distributed_type == DistributedType.FSDP:
            raise ValueError(
                "`val_users` needs a whole model in each process; validate a run of FSDP afterwards, with "
                "task_test.py --split valid, and give `val_users` 0"
            )
        self.catalog, self.options, self.run, self.save = catalog, options, run, save
        self.accelerator, self.model = accelerator, model
        self.plan = ModelPlan.from_options(validation_options(options))
        self.users = eval_cases(catalog, self.plan.task, self.plan.split)
        self.chat, self.retrieval = chat, retrieval
        for row in self.users:  # now, because a prompt that does not fit would end the run after its first epoch
            try:
                prompt_of(row, (), chat, self.plan)
            except ValueError as error:
                raise ValueError(f"`val_users`: {error}, or give `val_users` 0") from None

    def __call__(self, epoch: int) -> HookResult:
        if epoch % self.options.val_epochs and epoch != self.options.epochs_begun:
            return HookResult()
        means = self._score()
        decided = [self._decide(epoch, means) if self.accelerator.is_main_process else None]
        return broadcast_object_list(decided)[0]

    def _score(self) -> dict[str, float]:
        """Return the mean metrics over the users of all processes."""
        causal = unwrap(self.model)
        attention = causal.config._attn_implementation
        self.model.eval()
        try:
            retriever = None if self.retrieval is None else Retriever(self.retrieval)
            recommender = Recommender(causal, self.chat, self.catalog, retriever=retriever)
            llm = LLMRecommender(self.catalog, recommender, self.plan)
            mine = self.users[self.accelerator.process_index :: self.accelerator.num_processes]
            records, scorer = [], Scorer(self.catalog)
            for rows in batches(mine, llm):
                (answers,) = llm.answers(rows)
                records += [scorer.record(row, answer)["metrics"] for row, answer in zip(rows, answers, strict=True)]
        finally:
            causal.set_attn_implementation(attention)
            self.model.train()
        means = aggregate(gather_object(records), bootstrap=1)
        return {name: means[name]["mean"] for name in METRICS}

    def _decide(self, epoch: int, means: dict[str, float]) -> HookResult:
        """Record the metrics, save the adapter if it is the best so far, and decide whether to stop."""
        path = self.run / "validation.json"
        before = [record for record in _read_records(path) if record["epoch"] < epoch]
        best = max((record["ndcg@10"] for record in before), default=-1.0)
        if means["ndcg@10"] > best:
            self.save(self.run / "best")
        records = [*before, {"epoch": epoch, "users": len(self.users), **means}]
        write_json(path, records)
        return HookResult(means, 0 < self.options.early_stop <= without_gain([r["ndcg@10"] for r in records]))


def _read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of `validation.json`; [] if it does not exist.

    Raises:
        ValueError: the file is not one that this module wrote.
    """
    records = read_json(path) if path.exists() else []
    if not isinstance(records, list) or not all(map(_is_record, records)):
        raise ValueError(f"{path} has other records than validation writes; delete it, or give another `output`")
    return records


def _is_record(record: object) -> bool:
    match record:
        case {"epoch": int(), "ndcg@10": float(value)}:
            return 0 <= value <= 1
    return False


def without_gain(scores: list[float]) -> int:
    """Return the number of scores after the first best one."""
    return len(scores) - 1 - scores.index(max(scores))
