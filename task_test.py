"""Score a model or a baseline on the test users of a dataset: argv -> options -> run_test."""

from train_utils.command import run_cli
from train_utils.options import parse
from train_utils.param.evaluation import EvalOptions


def main() -> None:
    options = parse(EvalOptions)
    # Imported after parsing, so that a wrong flag is reported before torch is loaded.
    from train_utils.evaluation.results import summary_row
    from train_utils.evaluation.run import run_test
    from train_utils.evaluation.title_matching import NEAR
    from train_utils.report.tables import text_table

    output, result = run_test(options)
    name = options.ranker or options.run_file or options.model_name
    print(text_table([summary_row(name, result)]))
    if "plain_list" in result["metrics"]:
        names = ("near_hr@10", "near_ood@10", "plain_list")
        near, ood, plain = (f"{result['metrics'][metric]['mean']:.3f}" for metric in names)
        print(
            f"not constrained; with titles of up to {NEAR} edits counted HR@10 {near}, OOD@10 {ood}; lists in plain "
            f"text {plain}"
        )
    prior = result.get("prior", {})
    if "validation_users" in prior:
        print(f"prior weight {prior['weight']:.3g}, chosen with {prior['validation_users']} validation users")
    print(f"{result['n_users']} users, hide_seen {options.hide_seen}: {output}")


if __name__ == "__main__":
    run_cli(main)
