"""Training with TRL's SFTTrainer on the same samples: plain cross-entropy on the assistant's tokens."""

from collections.abc import Callable, Sequence
from pathlib import Path

from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from peft import LoraConfig
from transformers import PreTrainedModel, TrainerCallback
from trl import SFTConfig, SFTTrainer

from train_utils.param.training import TrainOptions

Row = dict[str, list[int]]


class _AfterStep(TrainerCallback):
    def __init__(self, call: Callable[[], None]):
        self._call = call

    def on_step_end(self, args, state, control, **kwargs) -> None:
        self._call()


def train_with_trl(
    model: PreTrainedModel,
    tokenizer,
    rows: Sequence[Row],
    options: TrainOptions,
    control_ids: Sequence[int],
    steps: int,
    run: Path,
    after_step: Callable[[], None],
) -> None:
    """Train LoRA on every linear layer, and the input rows of the control tokens.

    The head is not trained, because TRL refuses to adapt it.

    Args:
        model: the backbone.
        tokenizer: its tokenizer.
        rows: {"input_ids", "labels"} of each sample, -100 where no token is learned, in the order of training.
        options: training options.
        control_ids: ids of the control tokens.
        steps: optimizer steps of `options.batch_size` samples.
        run: folder for the trainer's files.
        after_step: called after each optimizer step.
    """
    disable_progress_bar()
    lora = LoraConfig(
        r=options.SFT_actor_lora_r,
        lora_alpha=options.SFT_actor_lora_a,
        lora_dropout=options.lora_dropout,
        target_modules="all-linear",
        trainable_token_indices={"embed_tokens": list(control_ids)},
        task_type="CAUSAL_LM",
    )
    config = SFTConfig(
        output_dir=str(run), max_steps=steps, per_device_train_batch_size=options.batch_size,
        max_length=options.max_token_length, train_sampling_strategy="sequential",
        bf16=options.dtype == "bfloat16", use_cpu=True, gradient_checkpointing=False, dataloader_pin_memory=False,
        optim="adamw_torch", learning_rate=options.lr, weight_decay=options.weight_decay, adam_epsilon=1e-5,
        max_grad_norm=options.clip, lr_scheduler_type="polynomial", lr_scheduler_kwargs={"power": options.lr_power},
        save_strategy="no", report_to="none", disable_tqdm=True, seed=options.seed,
    )  # fmt: skip
    trainer = SFTTrainer(
        model,
        config,
        train_dataset=Dataset.from_list(list(rows)),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[_AfterStep(after_step)],
    )
    trainer.train()
