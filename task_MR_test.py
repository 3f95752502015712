"""Score recommendation and mathematics in one conversation: argv -> options -> run_multi_round."""

from train_utils.command import run_cli
from train_utils.options import parse
from train_utils.param.evaluation import EvalOptions


def main() -> None:
    options = parse(EvalOptions)
    # Imported after parsing, so that a wrong flag is reported before torch is loaded.
    from train_utils.evaluation.multi_round import run_multi_round
    from train_utils.evaluation.results import summary_row
    from train_utils.report.tables import text_table

    output, result = run_multi_round(options)
    print(text_table([summary_row(options.model_name, result)]))
    meanings = {
        "gsm8k": "GSM8K accuracy",
        "csn_items": f"recommendations of exactly {options.topk} items",
        "csn_none": "answers to GSM8K without a control symbol",
    }
    for name, meaning in meanings.items():
        metric = result["metrics"][name]
        print(f"{meaning}: {metric['mean']:.3f} [{metric['ci'][0]:.3f}, {metric['ci'][1]:.3f}]")
    print(f"{result['n_users']} dialogues, hide_seen {options.hide_seen}: {output}")


if __name__ == "__main__":
    run_cli(main)
