"""The end of quickstart.sh: one table, one picture, the chat, and the result as one JSON line."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stage import read_seconds  # noqa: E402 - a sibling script, found by its own folder

from train_utils.evaluate import summary_row  # noqa: E402
from train_utils.files import write_json  # noqa: E402
from train_utils.param import run_cli  # noqa: E402
from train_utils.report import plot_rows, text_table  # noqa: E402

MODELS = ("RecLM-cgen", "RecLM-cgen+prior", "base-constrained", "popularity", "recent-popularity", "item-knn", "sasrec")


def read_result(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"result {path} cannot be read ({error}); run scripts/quickstart.sh") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--environment_seconds", type=float, required=True)
    options = parser.parse_args()

    results = {name: read_result(options.folder / f"{name}.json") for name in MODELS}
    counts = {result["n_users"] for result in results.values()}
    if len(counts) != 1:
        raise ValueError(f"the results cover {sorted(counts)} users; all rows must have the same")
    rows = [summary_row(name, result) for name, result in results.items()]
    seconds = {"environment": options.environment_seconds} | read_seconds(options.folder / "stages")
    summary = {"stages": {name: round(s, 1) for name, s in seconds.items()}, "users": counts.pop(), "rows": rows}
    write_json(options.folder / "result.json", summary)
    plot_rows(rows, options.folder / "result.png",
              f"MovieLens-100K, {summary['users']} users, whole catalogue, visible history hidden")

    print(f"\n{text_table(rows)}\n\npicture: {options.folder / 'result.png'}\n")
    print((options.folder / "chat.txt").read_text(encoding="utf-8"))
    print(f"go on chatting: .venv/bin/python cli_serve.py --model_name {options.model}\n")
    print(json.dumps(summary))


if __name__ == "__main__":
    run_cli(main)
