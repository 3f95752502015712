"""Manifest of a written file: settings, inputs, packages, commit."""

import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from train_utils.files.atomic import PROMPT_DATE, digest
from train_utils.files.json_files import read_json

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "numpy", "unirec")


def settings_in(path: str | Path) -> Mapping[str, object]:
    """Return the settings in a manifest file; {} where there is no such file, or none with settings.

    Raises:
        ValueError: the file is not JSON.
    """
    content = read_json(path) if Path(path).is_file() else None
    config = content.get("config") if isinstance(content, dict) else None
    return config if isinstance(config, dict) else {}


def manifest(config: Mapping[str, object], inputs: Iterable[str | Path]) -> dict[str, object]:
    """Return the manifest of a checkpoint or a result.

    Args:
        config: the settings of the run.
        inputs: files that the run read; missing ones are left out.

    Returns:
        Settings, prompt date, commit, package versions, and the SHA-256 of each input.
    """
    return {
        "config": dict(config),
        "prompt_date": PROMPT_DATE.isoformat(),
        "commit": _commit(),
        "packages": {name: v for name in _PACKAGES if (v := package_version(name))},
        "inputs": {str(path): digest(path) for path in inputs if Path(path).is_file()},
    }


def package_version(name: str = "reclm-cgen") -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    root = Path(__file__).resolve().parent.parent
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return answer.stdout.strip() or None
