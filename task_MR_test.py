"""The two-turn test (recommendation after and before other talk): argv -> options -> one line, for now."""

from train_utils.param import EvalOptions, parse, run_cli


def main() -> None:
    parse(EvalOptions)
    raise ValueError("the two-turn test is not there yet; use task_test.py with --SFT_test_task SFTTestSeqRec-CS-MR")


if __name__ == "__main__":
    run_cli(main)
