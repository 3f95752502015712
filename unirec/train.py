"""Train the teacher: `python unirec/train.py --dataset ml-100k`.

Settings: config/base.yaml, config/dataset/NAME.yaml, config/model/MODEL.yaml; every key is also a flag.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Waiting threads must sleep, not spin: on cores shared with other jobs spinning made a step 20 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402
import yaml  # noqa: E402
from sasrec_model import CONFIG_FOLDER, LOSSES, checkpoint_path, default_config  # noqa: E402
from sasrec_training import RESUME_NAME, fit  # noqa: E402
from unirec_files import UniRecData, read_unirec_data, sha256_of  # noqa: E402

from train_utils.command import LineParser, bounds_of, path_of, print_error, run_cli  # noqa: E402
from train_utils.files.atomic import write_json  # noqa: E402
from train_utils.teacher.checkpoint import MODELS  # noqa: E402
from train_utils.teacher.inference import DONE_NAME  # noqa: E402
from train_utils.unirec_folder import DATA_FILES, stale_reason  # noqa: E402

HERE = Path(__file__).resolve().parent
DATASETS = HERE.parent / "data" / "dataset"
RUN_NAME = "run.json"


def parse_args(argv: list[str]) -> argparse.Namespace:
    which = LineParser(add_help=False)
    which.add_argument("--model", choices=MODELS, default="SASRec")
    model = which.parse_known_args(argv)[0].model
    parser = LineParser(description="Train the teacher, SASRec or a sibling, on UniRec files.")
    parser.add_argument("--dataset", required=True, help="name of the dataset, such as ml-100k")
    parser.add_argument("--data_path", type=path_of, help="folder of the UniRec files (unirec/data/NAME)")
    parser.add_argument("--output_path", type=path_of, help="folder of the runs (unirec/output/NAME)")
    settings = parser.add_argument_group(f"settings of {model}, default from the YAML files")
    limited = {"model": MODELS, "loss_type": LOSSES}
    for key, value in default_config(model).items():
        kind = _flag_bool if isinstance(value, bool) else type(value)
        settings.add_argument(f"--{key}", type=kind, choices=limited.get(key), default=None, help=f"default {value}")
    return parser.parse_args(argv)


def _flag_bool(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError(f"must be true or false, got {text}")
    return text.lower() in ("true", "1")


def resolve_config(args: argparse.Namespace, data: UniRecData) -> dict[str, Any]:
    """Every setting in UniRec's keys: YAML files, then flags, then what the data say."""
    path = CONFIG_FOLDER / "dataset" / f"{args.dataset}.yaml"
    of_dataset = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if of_dataset.get("n_items", data.n_items) != data.n_items:
        raise ValueError(
            f"{path} says n_items {of_dataset['n_items']}, the data hold {data.n_items}; "
            "run preprocess/transform2unirec.py again"
        )
    defaults = default_config(args.model or "SASRec")
    given = {key: getattr(args, key) for key in defaults if getattr(args, key) is not None}
    known = {"exp_name": defaults["model"], "dataset": args.dataset, "n_users": data.n_users, "n_items": data.n_items}
    config = of_dataset | defaults | given | known
    _check_numbers(config)
    try:
        torch.device(config["device"])
    except RuntimeError:
        raise ValueError(f"device is {config['device']!r}, wanted cpu, cuda or cuda:0") from None
    if config["device"].startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device cuda was asked for, but this machine has no usable GPU; use --device cpu")
    return config


_AT_LEAST = dict.fromkeys(
    (
        "epochs",
        "batch_size",
        "early_stop",
        "max_seq_len",
        "embedding_size",
        "hidden_size",
        "inner_size",
        "n_layers",
        "n_heads",
    ),
    1,
) | dict.fromkeys(
    ("seed", "targets_per_window", "n_sample_neg_train", "neg_by_pop_alpha", "weight_decay", "init_std"), 0
)
_ABOVE = dict.fromkeys(("learning_rate", "tau", "layer_norm_eps"), 0)


def _check_numbers(config: dict[str, Any]) -> None:
    """Refuse, by a ValueError, a number that no training can use."""
    for key, value in config.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        least, most = _AT_LEAST.get(key), None
        if "dropout" in key or key == "ema_decay":
            least, most = 0, 0.9999
        if wanted := bounds_of(value, least, _ABOVE.get(key), most):
            raise ValueError(f"{key} is {value}, wanted {wanted}")
    if config.get("hidden_size", 1) % config.get("n_heads", 1):
        raise ValueError(f"hidden_size is {config['hidden_size']}, wanted a multiple of n_heads {config['n_heads']}")


def git_commit() -> str | None:
    """Commit of this checkout, None outside git."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def manifest(config: dict[str, Any], data_path: Path) -> dict[str, Any]:
    return {
        "config": config,
        "seed": config["seed"],
        "inputs_sha256": sha256_of(data_path / name for name in DATA_FILES),
        "git_commit": git_commit(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "numpy", "pandas", "unirec")},
    }


def choose_run(output: Path, record: dict[str, Any]) -> Path:
    """Return the run folder made for the same settings and the same inputs, else a new one."""
    same = ("config", "inputs_sha256")
    for path in sorted(output.glob(f"*/{RUN_NAME}"), reverse=True):
        earlier = json.loads(path.read_text(encoding="utf-8"))
        if all(earlier.get(key) == record[key] for key in same):
            return path.parent
    run = output / datetime.now(UTC).strftime("run_%Y%m%d-%H%M%S-%f")
    write_json(run / RUN_NAME, record)
    return run


def main(argv: list[str]) -> int:
    args = parse_args(argv)
    try:
        if Path(args.dataset).name != args.dataset:
            raise ValueError(f"--dataset must be a plain name such as ml-100k, got {args.dataset}")
        data_path = args.data_path or HERE / "data" / args.dataset
        output = args.output_path or HERE / "output" / args.dataset
        data = read_unirec_data(data_path)
        if not args.data_path and (reason := stale_reason(data_path, DATASETS / args.dataset)):
            raise ValueError(reason)
        config = resolve_config(args, data)
        description = manifest(config, data_path)
        run = choose_run(output, description)
        if (run / DONE_NAME).is_file():
            print(f"already trained with these settings on these files: {checkpoint_path(run, config['model'])}")
            return 0
        print(f"{args.dataset}: {data.n_users - 1} users, {data.n_items - 1} items; run {run}", flush=True)
        metrics = fit(data, config, run)
        write_json(run / DONE_NAME, {"metrics": metrics, "manifest": description})
        (run / RESUME_NAME).unlink(missing_ok=True)
    except (ValueError, OSError) as error:
        return print_error(error)
    print(json.dumps(metrics))
    print(f"checkpoint: {checkpoint_path(run, config['model'])}")
    return 0


if __name__ == "__main__":
    run_cli(lambda: main(sys.argv[1:]))
