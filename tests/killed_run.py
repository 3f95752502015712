"""Small training run that can be killed at a file operation, in its own process, which imports no further modules."""

import os
import signal
import sys
from pathlib import Path

import torch
from tiny import tiny_chat
from tiny_samples import TITLES, stream

from train_utils.models.adapters import add_lora
from train_utils.training.loop import HookResult, LoopConfig, train
from train_utils.training.method import cgen_loss

torch.set_num_threads(1)
MODEL, CHAT = tiny_chat(TITLES)
CONFIG = LoopConfig(
    steps=12, lr=1e-2, weight_decay=0.01, warmup_ratio=0.2, lr_power=2.0, clip=1.0, save_seconds=0.0, epochs=3
)


def nothing() -> None:
    """Return once all modules are imported."""


def run_once(folder: Path, operations: int = 0) -> None:
    """Train with a checkpoint per step; write `weights.pt` at the end.

    Args:
        folder: folder of the run.
        operations: kill the process with SIGKILL right before this operation on a file of the run, counted from 1; 0
            never kills it.
    """
    if operations:
        _die_at(folder, operations)
    torch.manual_seed(0)
    wrapped = add_lora(MODEL, [CHAT.soi, CHAT.eoi], 4, 4, 0.1)
    source = stream((MODEL, CHAT), batch_size=2)
    weights = train(wrapped, cgen_loss, source, CONFIG, folder, end_of_epoch=lambda epoch: HookResult({"epoch": epoch}))
    source.close()
    torch.save(weights, folder / "weights.pt")


def _die_at(folder: Path, operations: int) -> None:
    """Count the file operations that Python reports to audit hooks: open, rename, delete, list."""
    left = [operations]

    def auditor(event: str, arguments: tuple) -> None:
        if event.startswith(("open", "os.", "shutil.")) and arguments and str(folder) in str(arguments[0]):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(auditor)
