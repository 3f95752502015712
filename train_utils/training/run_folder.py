"""The folder of a training run: claimed by its settings, resumed or set aside."""

import json
import math
import shutil
from pathlib import Path

from train_utils.files import PROMPT_DATE, write_text
from train_utils.text_files import read_json

_MAY_GROW = ("max_token_length", "early_stop")  # limits: a run that goes on may loosen them
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
)
# What a run writes into its folder; whatever else is there belongs to the user.
_WRITTEN = (
    "config.json",
    "log.jsonl",
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
    """Makes `run` the folder of this configuration, so that a checkpoint found there is one to go on with.

    Raises:
        ValueError: it is a file, or the folder of another configuration or of something that is no run.
    """
    if run.exists() and not run.is_dir():
        raise ValueError(f"--output is the file {run}, wanted a folder for the run")
    kept = run / "config.json"
    if kept.exists():
        before, now = _identity(_read_claim(kept)), _identity(made_from)
        different = [k for k in sorted(before.keys() | now.keys()) if before.get(k) != now.get(k)]
        going_on = not any(run.glob("Epoch*_SFT/manifest.json"))
        if all(going_on and k in _MAY_GROW and _limit(now[k]) > _limit(before.get(k)) for k in different):
            if different:
                write_text(kept, json.dumps(made_from, indent=1))
            return
        # A run that ended before its first step, for a wrong flag, has nothing to lose.
        if not overwrite and any(path for name in _WRITTEN for path in run.glob(f"{name}/*")):
            raise ValueError(
                f"{run} holds a {'' if going_on else 'finished '}run with other {', '.join(different)}; "
                "give another --output, or --overwrite"
            )
        for path in [path for name in _WRITTEN for path in run.glob(name)]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    write_text(kept, json.dumps(made_from, indent=1))


def _read_claim(path: Path) -> dict:
    made = read_json(path, "give another --output")
    if not isinstance(made, dict) or not all(isinstance(made.get(part), dict) for part in ("config", "inputs")):
        raise ValueError(f"{path} is not that of a run, but of a model or something else; give another --output")
    return made


def _identity(made: dict) -> dict:
    """What decides what is trained."""
    config = {k: v for k, v in made["config"].items() if k not in _NOT_OF_THE_RUN}
    return config | made["inputs"] | {"prompt_date": made.get("prompt_date", PROMPT_DATE.isoformat())}


def _limit(value: object) -> float:
    """A limit as a number that grows as it is loosened: 0 is none."""
    return (value or math.inf) if isinstance(value, int) else -math.inf
