"""Checkpoints: training state on disk, written atomically and verified before it is loaded."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator, DistributedType
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from train_utils.files.atomic import digest, replacing_folder, write_json
from train_utils.files.json_files import read_json
from train_utils.files.torch_file import load_torch
from train_utils.training.average import AverageWeights

KEPT = 2
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
_INTO = StateDictOptions(full_state_dict=True, strict=False)


@dataclass(frozen=True)
class TrainState:
    """Objects whose state a checkpoint holds.

    Attributes:
        accelerator: the accelerator of the processes.
        model: the model, its parameters possibly sharded over processes.
        prepared: the module that the loop calls, as `accelerator.prepare` returned it.
        optimizer: the torch optimizer of the trained parameters of `model`.
        average: the average of the trained weights; None for none.
    """

    accelerator: Accelerator
    model: nn.Module
    prepared: nn.Module
    optimizer: torch.optim.Optimizer
    average: AverageWeights | None = None

    @property
    def by_engine(self) -> bool:
        """Whether DeepSpeed owns the state: only DeepSpeed can write and read it then."""
        return self.accelerator.distributed_type == DistributedType.DEEPSPEED


@dataclass(frozen=True)
class Progress:
    """Progress of a run.

    Attributes:
        step: the next step.
        ended: whether the run is complete, after its last step or by early stopping.
    """

    step: int = 0
    ended: bool = False


def save(training: TrainState, progress: Progress, config: Mapping[str, object], folder: Path) -> None:
    """Write `folder/step-<n>` by one rename, its manifest of SHA-256 digests last, and keep the newest two.

    Every process must call this function; the first process writes.

    Args:
        training: the state to save.
        progress: progress of the run.
        config: settings that must be equal for the run to continue.
        folder: folder of the checkpoints.

    Raises:
        OSError: the disk is full, or the folder cannot be written; earlier checkpoints are kept.
    """
    final = folder / f"step-{progress.step:08d}"
    if training.by_engine:
        _save_by_engine(training, progress, config, final)
    else:
        state = {
            "weights": get_model_state_dict(training.model, options=_WHOLE),
            "optimizer": get_optimizer_state_dict(training.model, training.optimizer, options=_WHOLE),
        }
        if training.average is not None:
            state["average"] = training.average.state()
        if training.accelerator.is_main_process:
            with replacing_folder(final) as temporary:
                _write_state(state, temporary / "state.pt")
                _write_manifest(temporary, progress, config)
    if training.accelerator.is_main_process:
        for old in _steps(folder)[KEPT:]:
            # Hide it first: a resuming run must not read a checkpoint that is deleted halfway.
            shutil.rmtree(old.rename(old.with_name(f".{old.name}.old")))


def _write_state(state: Mapping[str, object], path: Path) -> None:
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as error:
        # The disk's error is the context of torch's error about an unexpected file length.
        raise OSError(
            f"{error.__context__ or error}: the checkpoint {path.parent} cannot be written, the one before "
            "it is kept; free some space and start the run again"
        ) from None


def _save_by_engine(training: TrainState, progress: Progress, config: Mapping[str, object], final: Path) -> None:
    """Write a checkpoint by DeepSpeed: every process writes its optimizer shard, the first one finishes the folder."""
    partial = final.with_name(f".{final.name}.parts")
    training.accelerator.wait_for_everyone()
    training.accelerator.save_state(str(partial), exclude_frozen_parameters=True)
    training.accelerator.wait_for_everyone()
    if training.accelerator.is_main_process:
        with replacing_folder(final) as temporary:
            shutil.copytree(partial, temporary, dirs_exist_ok=True)
            _write_manifest(temporary, progress, config)
        shutil.rmtree(partial)


def _write_manifest(folder: Path, progress: Progress, config: Mapping[str, object]) -> None:
    files = {str(path.relative_to(folder)): digest(path) for path in _files(folder)}
    write_json(folder / "manifest.json", {**vars(progress), "config": dict(config), "files": files})


def restore(training: TrainState, config: Mapping[str, object], folder: Path) -> Progress:
    """Load the newest valid checkpoint into model and optimizer.

    Invalid checkpoints are skipped with a warning on stderr. Every process must call this function and read the same
    folder.

    Args:
        training: the state to restore in place.
        config: settings that must equal those of the checkpoint.
        folder: folder of the checkpoints.

    Returns:
        The progress of the run; step 0 if there is no valid checkpoint.

    Raises:
        ValueError: the checkpoint belongs to a run with another configuration.
    """
    newest_valid = [_newest(folder)] if training.accelerator.is_main_process else [None]
    (newest,) = broadcast_object_list(newest_valid)
    if newest is None:
        return Progress()
    path, made = newest
    different = {k: (made["config"].get(k), v) for k, v in config.items() if made["config"].get(k) != v}
    if different:
        raise ValueError(f"{path} was made with other settings {different}; give another `output` or delete it")
    if training.by_engine:
        training.accelerator.load_state(str(path), load_module_strict=False)
    else:
        _load_state(training, path / "state.pt")
    return Progress(made["step"], made["ended"])


def _load_state(training: TrainState, path: Path) -> None:
    # Memory-mapped, so that the full optimizer state need not fit into memory once per process.
    state = load_torch(path, mapped=True)
    try:
        set_model_state_dict(training.model, state["weights"], options=_INTO)  # type: ignore[index]
        set_optimizer_state_dict(training.model, training.optimizer, state["optimizer"], options=_INTO)  # type: ignore[index]
        if training.average is not None:
            training.average.load(state["average"])  # type: ignore[index]
    except (LookupError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(
            f"{path} does not fit the model ({reason}); delete {path.parent} to resume before it"
        ) from None


def whole_weights(training: TrainState) -> dict[str, torch.Tensor]:
    """Gather the trained weights by name on the CPU; empty on all processes but the first."""
    weights = cast("dict[str, torch.Tensor]", get_model_state_dict(training.model, options=_WHOLE))
    return weights if training.accelerator.is_main_process else {}


def _newest(folder: Path) -> tuple[Path, dict] | None:
    """Return the newest valid checkpoint and its manifest; remove incomplete writes and deletions of a killed run."""
    for left in [path for path in folder.glob(".step-*") if path.is_dir()]:
        shutil.rmtree(left)
    for path in _steps(folder):
        try:
            return path, _verified(path)
        except (OSError, ValueError) as error:
            print(f"warning: checkpoint {path} is skipped: {error}", file=sys.stderr)
    return None


def _verified(path: Path) -> dict:
    """Verify a checkpoint against its manifest and return the manifest.

    Raises:
        ValueError: a file differs from its digest, or the manifest is broken.
        OSError: a file cannot be read.
    """
    made: Any = read_json(path / "manifest.json")
    match made:
        case {"step": int(), "ended": bool(), "config": dict(), "files": dict(files)}:
            pass
        case _:
            raise ValueError("its manifest is not that of a checkpoint")
    changed = [name for name, sha256 in files.items() if digest(path / name) != sha256]
    if changed:
        raise ValueError(f"{', '.join(changed)} is not what was written")
    return made


def _steps(folder: Path) -> list[Path]:
    """Return the checkpoint folders, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
