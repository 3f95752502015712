"""Scores a model or a baseline on the test users of a dataset: argv -> options -> evaluate."""

from train_utils.evaluate import run_test, summary_row
from train_utils.param import EvalOptions, parse, run_cli
from train_utils.report import text_table


def main() -> None:
    options = parse(EvalOptions)
    output, result = run_test(options)
    name = options.ranker or options.run_file or options.model_name
    print(text_table([summary_row(name, result)]))
    print(f"{result['n_users']} users, hide_seen {options.hide_seen}: {output}")


if __name__ == "__main__":
    run_cli(main)
