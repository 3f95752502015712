"""The command lines that users know parse as they are; a bad one is one line and status 2."""

import pytest

from train_utils.leakage.__main__ import LeakageOptions
from train_utils.options import parse
from train_utils.param.chat import ChatOptions
from train_utils.param.evaluation import EvalOptions
from train_utils.param.items import CodeOptions
from train_utils.param.training import TrainOptions

PUBLISHED = {
    EvalOptions: (
        "--data_path data/dataset/movies/ --SFT_test_task SFTTestSeqRec-MR --model_name snap/m/ --gpu cuda:0 "
        "--use_control_symbol --batch_size 16 --use_CBS --CBS_type 2 --topk 10 --idx",
        "--data_path data/dataset/movies/ --SFT_test_task SFTTestSeqRec-CS-MR --model_name m --gpu cuda:0 "
        "--use_control_symbol --batch_size 8 --use_CBS --CBS_type 2 --topk 10 --idx",
    ),
    ChatOptions: ("--model_name snap/m/SFT_Epoch20/ --gpu cuda:0",),
    TrainOptions: (
        "--seed 0 --data_path data/dataset/movies/ --SFT_test_task SFTTestSeqRec-MR --gpu cuda:0 --use_control_symbol "
        "--test_batch_size 8 --topk 10 --item_index title_t --idx --gen_max_length 512 --max_token_length 1024 "
        "--train_stage SFT_Embedding_Test --SFT_actor_lora_r 16 --SFT_actor_lora_a 8 --chat_template llama-3 --FA2 "
        "--backbone meta-llama/Meta-Llama-3-8B-Instruct --embedding_model BAAI/bge-m3 --SFT_load snap/m/Epoch20",
    ),
}


@pytest.mark.parametrize("options,line", [(o, line) for o, lines in PUBLISHED.items() for line in lines])
def test_published_command_lines_parse(options, line):
    parsed = parse(options, line.split())
    assert parsed.gpu == "cuda:0"
    if options is EvalOptions:
        assert parsed.use_CBS and parsed.CBS_type == 2 and parsed.idx and parsed.topk == 10


@pytest.mark.parametrize(
    "line,complaint",
    [
        ("--data_path x --CBS_type 3", "invalid choice"),
        ("--data_path x --topk ten", "invalid int value"),
        ("--data_path x --top 10", "unrecognized arguments"),
        ("", "--data_path"),
    ],
)
def test_a_bad_flag_is_one_line_and_status_2(capsys, line, complaint):
    with pytest.raises(SystemExit) as stopped:
        parse(EvalOptions, line.split())
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and complaint in error


def test_options_cannot_be_changed():
    with pytest.raises(AttributeError):
        parse(ChatOptions, ["--model_name", "m"]).gpu = "cpu"


@pytest.mark.parametrize(
    ("options", "line", "reason"),
    [
        (EvalOptions, "--data_path x --topk 10000000000000000000000", "at most 2147483647"),
        (EvalOptions, "--data_path x --users -3", "--users is -3, wanted 0 or more"),
        (EvalOptions, "--data_path x --batch_size 0", "--batch_size is 0, wanted 1 or more"),
        (EvalOptions, "--data_path=", "--data_path is '', wanted a text that is not empty"),
        (EvalOptions, "--data_path x --prior popularity --prior_weight nan", "wanted a number or auto"),
        (EvalOptions, "--data_path x --prior popularity --prior_weight=-1", "wanted a number or auto"),
        (EvalOptions, "--data_path x --prior_weight 2", "no effect without --prior;"),
        (EvalOptions, "--data_path x --use_CBS --sequence_weight nan", "sequence_weight is 'nan', wanted a number"),
        (EvalOptions, "--data_path x --sequence_weight 2", "no effect without --use_CBS;"),
        (EvalOptions, "--data_path x --prior_users 4", "no effect without --prior;"),
        (TrainOptions, "--lr inf", "--lr is inf, wanted a finite number"),
        (TrainOptions, "--lr nan", "more than 0"),
        (TrainOptions, "--save_seconds 1e999", "finite number"),
        (TrainOptions, "--lora_dropout 1", "at most 0.99"),
        (TrainOptions, "--output=", "--output is ''"),
        (TrainOptions, "--teacher=", "--teacher is ''"),
        (TrainOptions, "--early_stop 3", "no effect without --val_users"),
        (TrainOptions, "--val_epochs 2", "no effect without --val_users"),
        (ChatOptions, "--model_name=", "--model_name is ''"),
        (ChatOptions, "--model_name x --domain \t", "--domain is"),
    ],
)
def test_numbers_out_of_bounds_empty_paths_and_flags_without_effect_are_one_line(capsys, options, line, reason):
    with pytest.raises(SystemExit) as stopped:
        parse(options, line.split(" "))
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.count("\n") == 1 and reason in error, error


def test_a_flag_may_have_a_value_that_it_stands_for_alone():
    alone, named, without = (
        parse(ChatOptions, ["--model_name", "m", *more]).mcp for more in (["--mcp"], ["--mcp", "http"], [])
    )
    assert (alone, named, without) == ("stdio", "http", "")


def test_a_flag_that_is_given_its_default_is_given():
    plain = parse(TrainOptions, ["--val_epochs", "1", "--share_chat_gpt", "", "--seed", "0"])
    assert plain.names("seed") and plain.names("share_chat_gpt") and not plain.names("backbone")
    named = parse(TrainOptions, ["--backbone", TrainOptions.backbone])
    assert named.names("backbone") and named == TrainOptions()
    assert TrainOptions(lr=0.5).names("lr") and not TrainOptions().names("backbone")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (EvalOptions, "--data_path x --run_file no/such"),
        (EvalOptions, "--data_path x --share_chat_gpt no/such"),
        (EvalOptions, "--data_path x --GSM8K_data_path no/such"),
        (EvalOptions, "--data_path x --teacher local:no/such"),
        (EvalOptions, "--data_path x --teacher file:no/such"),
        (EvalOptions, "--data_path x --teacher ease:no/such"),
        (EvalOptions, "--data_path x --teacher http://127.0.0.1:2068+ease:no/such"),
        (TrainOptions, "--share_chat_gpt no/such"),
        (TrainOptions, "--teacher local:no/such"),
        (LeakageOptions, "--data_path x --teacher_data no/such"),
    ],
)
def test_a_path_to_read_that_is_named_has_to_exist(capsys, options, line):
    with pytest.raises(SystemExit) as stopped:
        parse(options, line.split(" "))
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.count("\n") == 1
    *_, flag, text = line.split()
    assert f"error: {flag} {text!r}" in error and "'no/such' does not exist" in error


def test_paths_that_are_there_or_not_read_are_taken(tmp_path):
    actual = parse(
        TrainOptions,
        [
            "--share_chat_gpt",
            "",
            "--output",
            "no/such",
            "--teacher",
            f"local:{tmp_path}",
            "--train_data_file",
            "no/such",
        ],
    )
    assert actual.teacher == f"local:{tmp_path}"


def test_help_has_groups_and_no_wall_of_flags(capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(TrainOptions, ["--help"])
    shown = capsys.readouterr().out
    assert stopped.value.code == 0 and shown.startswith("usage: ") and len(shown.splitlines()[0]) < 80
    positions = [shown.index(f"\n{title}:\n") for title in ("run", "optimization", "samples", "RecLM-ret")]
    assert positions == sorted(positions)


@pytest.mark.parametrize("line", ["--chat_template llama-3", "--chat_template chatml"])
def test_a_flag_that_changes_nothing_says_so_once(capsys, line):
    parse(TrainOptions, line.split())
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith(f"note: {line.split()[0]} has no effect: ")


def test_every_item_form_and_the_command_that_makes_codes_are_parsed(capsys):
    for form in ("title_t", "title", "token", "token_title", "rq_token_seq"):
        assert parse(TrainOptions, ["--item_index", form]).item_index == form
    made = parse(CodeOptions, ["--data_path", "data/dataset/x", "--vectors", "both", "--levels", "2", "--size", "16"])
    assert (made.vectors, made.levels, made.size) == ("both", 2, 16)
    for wrong in ("--levels 26", "--levels 0", "--size 0", "--vectors images"):
        with pytest.raises(SystemExit):
            parse(CodeOptions, ["--data_path", "x", *wrong.split()])
    assert capsys.readouterr().err.count("error: ") == 4
