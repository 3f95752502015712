"""Train, merge and test RecLM-cgen and RecLM-ret: argv -> options -> one function of train_utils."""

from train_utils.command import run_cli
from train_utils.options import parse
from train_utils.param.training import TrainOptions


def main() -> None:
    options = parse(TrainOptions)
    match options.train_stage:
        case "SFT":
            from train_utils.training.sft import run_sft

            print(f"adapter: {run_sft(options)}")
        case "SFT_Export":
            from train_utils.training.run_samples import run_export

            print(f"samples: {run_export(options)}")
        case "SFT_Merge":
            from train_utils.models.merge import run_merge

            print(f"merged model: {run_merge(options)}")
        case "SFT_Embedding":
            from train_utils.training.ret import run_sft_embedding

            print(f"adapter: {run_sft_embedding(options)}")
        case _:
            from train_utils.evaluation.adapter import run_adapter_test
            from train_utils.report.tables import text_table

            tested = run_adapter_test(options)
            print(text_table([tested.row]) if tested.row else "", end="\n" if tested.row else "")
            for name, value in tested.numbers.items():
                print(f"{name:>24}  {value:.4f}")
            print(tested.note)


if __name__ == "__main__":
    run_cli(main)
