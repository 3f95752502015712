"""Trains, merges and tests RecLM models: argv -> options -> one function of train_utils."""

from train_utils.param import TrainOptions, parse, run_cli


def main() -> None:
    options = parse(TrainOptions)
    match options.train_stage:
        case "SFT":
            from train_utils.train import run_sft

            print(f"adapter: {run_sft(options)}")
        case "SFT_Merge":
            from train_utils.merge import run_merge

            print(f"merged model: {run_merge(options)}")
        case stage:
            raise ValueError(f"--train_stage {stage} belongs to RecLM-ret and is not there yet; use SFT")


if __name__ == "__main__":
    run_cli(main)
