"""Trains, merges and tests RecLM-cgen and RecLM-ret: argv -> options -> one function of train_utils."""

from train_utils.command import run_cli
from train_utils.param import TrainOptions, parse


def main() -> None:
    options = parse(TrainOptions)
    match options.train_stage:
        case "SFT":
            from train_utils.train import run_sft

            print(f"adapter: {run_sft(options)}")
        case "SFT_Export":
            from train_utils.train import run_export

            print(f"samples: {run_export(options)}")
        case "SFT_Merge":
            from train_utils.merge import run_merge

            print(f"merged model: {run_merge(options)}")
        case "SFT_Embedding":
            from train_utils.train_ret import run_sft_embedding

            print(f"adapter: {run_sft_embedding(options)}")
        case _:
            from train_utils.adapter_test import run_adapter_test

            print(run_adapter_test(options))


if __name__ == "__main__":
    run_cli(main)
