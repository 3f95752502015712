"""The state of a run on disk: written whole or not at all, verified before it is trusted."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

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

from train_utils.files import digest, replacing_folder, write_json

KEPT = 2
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
_INTO = StateDictOptions(full_state_dict=True, strict=False)


@dataclass(frozen=True)
class TrainState:
    """What a checkpoint is of.

    Attributes:
        model: the model itself, its parameters possibly split over processes. prepared: what the loop calls.
        optimizer: the one of torch, over the trained parameters of `model`.
    """

    accelerator: Accelerator
    model: nn.Module
    prepared: nn.Module
    optimizer: torch.optim.Optimizer

    @property
    def by_engine(self) -> bool:
        """Whether the state belongs to DeepSpeed, which alone can write and read it."""
        return self.accelerator.distributed_type == DistributedType.DEEPSPEED


@dataclass(frozen=True)
class Progress:
    """Where a run stands: the next step, and whether it has ended before its last one."""

    step: int = 0
    ended: bool = False


def save(training: TrainState, place: Progress, config: Mapping[str, object], folder: Path) -> None:
    """Writes `folder/step-<n>`, its manifest of SHA-256 digests last, by one rename; keeps the newest two.

    Every process calls it, the first one writes.

    Raises:
        OSError: the disk is full, or the folder cannot be written; what was there is kept.
    """
    final = folder / f"step-{place.step:08d}"
    if training.by_engine:
        _save_by_engine(training, place, config, final)
    else:
        state = {
            "weights": get_model_state_dict(training.model, options=_WHOLE),
            "optimizer": get_optimizer_state_dict(training.model, training.optimizer, options=_WHOLE),
        }
        if training.accelerator.is_main_process:
            with replacing_folder(final) as temporary:
                _write_state(state, temporary / "state.pt")
                _write_manifest(temporary, place, config)
    if training.accelerator.is_main_process:
        for old in _steps(folder)[KEPT:]:
            # Out of sight first: half a deletion is then nothing that a resuming run could look at.
            shutil.rmtree(old.rename(old.with_name(f".{old.name}.old")))


def _write_state(state: Mapping[str, object], path: Path) -> None:
    try:
        with path.open("wb") as file:
            torch.save(state, file)
    except RuntimeError as error:
        # What the disk said is hidden behind torch's complaint that its file is not as long as it should be.
        raise OSError(
            f"{error.__context__ or error}: the checkpoint {path.parent} cannot be written, the one before "
            "it is kept; free some space and start the run again"
        ) from None


def _save_by_engine(training: TrainState, place: Progress, config: Mapping[str, object], final: Path) -> None:
    """DeepSpeed's processes write their shares of the optimizer into one folder; the first process finishes it."""
    partial = final.with_name(f".{final.name}.parts")
    training.accelerator.wait_for_everyone()
    training.accelerator.save_state(str(partial), exclude_frozen_parameters=True)
    training.accelerator.wait_for_everyone()
    if training.accelerator.is_main_process:
        with replacing_folder(final) as temporary:
            shutil.copytree(partial, temporary, dirs_exist_ok=True)
            _write_manifest(temporary, place, config)


def _write_manifest(folder: Path, place: Progress, config: Mapping[str, object]) -> None:
    files = {str(path.relative_to(folder)): digest(path) for path in _files(folder)}
    write_json(folder / "manifest.json", {**vars(place), "config": dict(config), "files": files})


def restore(training: TrainState, config: Mapping[str, object], folder: Path) -> Progress:
    """Puts the newest checkpoint that verifies into model and optimizer; a place of step 0 when there is none.

    One that does not verify is skipped, with a line on stderr. Every process calls it and reads the same folder.

    Raises:
        ValueError: the checkpoint is of a run with another configuration.
    """
    found = [_newest(folder)] if training.accelerator.is_main_process else [None]
    (newest,) = broadcast_object_list(found)
    if newest is None:
        return Progress()
    path, made = newest
    different = {k: (made["config"].get(k), v) for k, v in config.items() if made["config"].get(k) != v}
    if different:
        raise ValueError(f"{path} was made with other settings {different}; give another --output or delete it")
    if training.by_engine:
        training.accelerator.load_state(str(path), load_module_strict=False)
    else:
        # Read as it is needed: a whole model's optimizer need not fit into memory once for each process.
        state = torch.load(path / "state.pt", map_location="cpu", weights_only=True, mmap=True)
        set_model_state_dict(training.model, state["weights"], options=_INTO)
        set_optimizer_state_dict(training.model, training.optimizer, state["optimizer"], options=_INTO)
    return Progress(made["step"], made["ended"])


def whole_weights(training: TrainState) -> dict[str, torch.Tensor]:
    """The trained weights by name, on the CPU, put together from all processes; empty but on the first process."""
    weights = cast("dict[str, torch.Tensor]", get_model_state_dict(training.model, options=_WHOLE))
    return weights if training.accelerator.is_main_process else {}


def _newest(folder: Path) -> tuple[Path, dict] | None:
    """The newest checkpoint that verifies, and its manifest. What a killed run was writing or deleting is removed."""
    for left in folder.glob(".*"):
        shutil.rmtree(left)
    for path in _steps(folder):
        try:
            return path, _verified(path)
        except (OSError, ValueError) as error:
            print(f"warning: checkpoint {path} is skipped: {error}", file=sys.stderr)
    return None


def _verified(path: Path) -> dict:
    """The manifest of a checkpoint. Raises ValueError or OSError for one that is not as it was written."""
    made = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    changed = [name for name, wanted in made["files"].items() if digest(path / name) != wanted]
    if changed:
        raise ValueError(f"{', '.join(changed)} is not what was written")
    return made


def _steps(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    return sorted(folder.glob("step-*"), reverse=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
