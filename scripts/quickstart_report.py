"""Last step of quickstart.sh: write the report of all results, and print the chat and a summary as one JSON line."""

import json
from pathlib import Path

from stage import read_seconds  # noqa: E402 - a sibling script, found by its own folder

from train_utils.command import LineParser, run_cli  # noqa: E402
from train_utils.evaluation.dialogues import dialogue_table, read_dialogues
from train_utils.evaluation.results import summary_row  # noqa: E402
from train_utils.files.atomic import write_json  # noqa: E402
from train_utils.printable import printable
from train_utils.report.__main__ import write_report
from train_utils.report.comparison import load_result_set  # noqa: E402
from train_utils.report.tables import text_table  # noqa: E402

MODELS = (
    "RecLM-cgen",
    "RecLM-cgen+prior",
    "base-constrained",
    "popularity",
    "recent-popularity",
    "item-knn",
    "markov",
    "ease",
    "sasrec",
    "sasrec+ease",
)
# Stated before the measurement: does the model reach its teacher, alone and with the scores of teacher and EASE? The
# teacher is named, because the best baseline would be the two without a language model.
BASE, PRIMARY = "sasrec", ("RecLM-cgen", "RecLM-cgen+prior")


def main() -> None:
    parser = LineParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--environment_seconds", type=float, required=True)
    options = parser.parse_args()

    result_set = load_result_set([options.folder / f"{name}.json" for name in MODELS], base=BASE, primary=PRIMARY)
    page = write_report(result_set, options.folder)
    rows = [summary_row(name, result) for name, result in result_set.results.items()]
    seconds = {"environment": options.environment_seconds} | read_seconds(options.folder / "stages")
    summary = {"stages": {name: round(s, 1) for name, s in seconds.items()}, "users": result_set.n_users, "rows": rows}
    summary["conversations"] = conversations = read_dialogues(options.folder / "conversations.json")
    write_json(options.folder / "result.json", summary)

    print(f"\n{text_table(rows)}\n\nreport: {page}\n")
    print(f"Users who talk with the chat, over five turns:\n{dialogue_table(conversations)}\n")
    print(printable((options.folder / "chat.txt").read_text(encoding="utf-8")))
    print(f"continue chatting: .venv/bin/python cli_serve.py --model_name {options.model}\n")
    print(json.dumps(summary))


if __name__ == "__main__":
    run_cli(main)
