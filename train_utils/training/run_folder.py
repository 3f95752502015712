"""Folder of a training run: claimed for a configuration, resumed or overwritten."""

import json
import math
import shutil
from pathlib import Path

from train_utils.files.atomic import PROMPT_DATE, write_text
from train_utils.files.json_files import read_json

_MAY_GROW = ("max_token_length", "early_stop")  # limits that a resumed run may loosen
_NOT_OF_THE_RUN = (
    "save_seconds",
    "overwrite",
    "gpu",
    "teacher",
    "teacher_record",
    "merge_output",
    "tensorboard",
    "SFT_test_task",
    "use_control_symbol",
    "gen_max_length",
    "trust_remote_code",
)
# Files and folders that a run writes; all others in its folder belong to the user.
_WRITTEN = (
    "config.json",
    "log.jsonl",
    "times.jsonl",
    "validation.json",
    "teacher-*.sqlite*",
    "checkpoints",
    "tensorboard",
    "best",
    "Epoch*_SFT",
    "SFT_Epoch*",
    "SFT_best",
)


def claim(run: Path, made_from: dict, overwrite: bool) -> None:
    """Claim the folder `run` for this configuration, so that a run can resume from any checkpoint in it.

    Args:
        run: folder of the run.
        made_from: manifest of the run.
        overwrite: whether to delete a run with other settings.

    Raises:
        ValueError: `run` is a file, or the folder of another configuration, or does not belong to a run.
    """
    if run.exists() and not run.is_dir():
        raise ValueError(f"`output` is the file {run}, wanted a folder for the run")
    kept = run / "config.json"
    if kept.exists():
        before, now = _identity(_read_claim(kept)), _identity(made_from)
        different = [k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k)]
        unfinished = not any(run.glob("Epoch*_SFT/manifest.json"))
        if all(unfinished and k in _MAY_GROW and _limit(now[k]) > _limit(before.get(k)) for k in different):
            if different:
                write_text(kept, json.dumps(made_from, indent=1))
            return
        # A run that ended before its first step, for example for a wrong flag, may be overwritten.
        if not overwrite and any(path for name in _WRITTEN for path in run.glob(f"{name}/*")):
            raise ValueError(
                f"{run} holds a {'' if unfinished else 'finished '}run with other {', '.join(different)}; "
                "give another `output`, or `overwrite`"
            )
        for path in [path for name in _WRITTEN for path in run.glob(name)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    write_text(kept, json.dumps(made_from, indent=1))


def _read_claim(path: Path) -> dict:
    made = read_json(path, "give another `output`")
    if not isinstance(made, dict) or not all(isinstance(made.get(part), dict) for part in ("config", "inputs")):
        raise ValueError(f"{path} is not that of a run, but of a model or something else; give another `output`")
    return made


def _identity(made: dict) -> dict:
    """Return the settings and inputs that determine the trained model."""
    config = {k: v for k, v in made["config"].items() if k not in _NOT_OF_THE_RUN}
    return config | made["inputs"] | {"prompt_date": made.get("prompt_date", PROMPT_DATE.isoformat())}


def _limit(value: object) -> float:
    """Convert a limit to a number that grows as the limit is loosened; 0 means no limit."""
    return (value or math.inf) if isinstance(value, int) else -math.inf
