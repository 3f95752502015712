"""All stages by the scripts that a user runs: raw dump -> teacher -> SFT -> merge -> test -> chat.

A tiny random Llama and a small Amazon-form dump, in a copy of the repository's files; real processes and a real server.
"""

import gzip
import json
import os
import pickle
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tiny import tiny_model, tiny_tokenizer

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("preprocess", "unirec", "train_utils", "scripts")
MOVIES = "data/dataset/movies/"
WORDS = ["the", "a", "red", "blue", "green", "moon", "river", "night", "return", "of", "end"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A copy of the code with a base model, raw Amazon files and conversations."""
    folder = tmp_path_factory.mktemp("repo")
    for name in FOLDERS:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "data", "output", "dataset")
        )
    for script in ROOT.glob("*.py"):
        shutil.copy(script, folder)
    base = folder / "snap/base/tiny"
    tokenizer = tiny_tokenizer()
    tiny_model(len(tokenizer)).save_pretrained(base)
    tokenizer.save_pretrained(base)
    write_amazon_dump(folder / "data/dataset/movies")
    turns = [{"from": "human", "value": "the end?"}, {"from": "gpt", "value": "a night."}]
    talk = [{"id": "1", "conversations": turns}]
    (folder / "data/raw/sharegpt").mkdir(parents=True)
    # Cut off, as the real file is.
    (folder / "data/raw/sharegpt/sharegpt.json").write_text(json.dumps(talk * 5)[:-9])
    return folder


def write_amazon_dump(folder: Path) -> None:
    folder.mkdir(parents=True)
    rng = random.Random(0)
    titles = [f"{rng.choice(WORDS)} {rng.choice(WORDS)} &amp; {rng.choice(WORDS)}" for _ in range(40)]
    with gzip.open(folder / "meta_Movies_and_TV.json.gz", "wt") as file:
        for i, title in enumerate(titles):
            row = {"asin": f"B{i:03}", "title": title, "category": ["Movies & TV", WORDS[i % 5]], "description": ["x"]}
            file.write(json.dumps(row) + "\n")
    with gzip.open(folder / "Movies_and_TV_5.json.gz", "wt") as file:
        for user in range(24):
            for at, item in enumerate(rng.sample(range(40), 18)):
                row = {"reviewerID": f"A{user}", "asin": f"B{item:03}", "overall": 5.0, "unixReviewTime": 1000 * at}
                file.write(json.dumps(row) + "\n")


def words(command: str) -> list[str]:
    """The words of a command of the shell, for this Python."""
    return [sys.executable if word == "python" else word for word in shlex.split(command)]


def run(world: Path, command: str, status: int = 0, text: str = "", **environment: str) -> subprocess.CompletedProcess:
    done = subprocess.run(
        words(command),
        cwd=world,
        input=text,
        text=True,
        capture_output=True,
        timeout=300,
        env=os.environ
        | {
            "PYTHON": sys.executable,
            "BACKBONE": "snap/base/tiny",
            "TOKENIZER_PATH": "snap/base/tiny",
            "EMBEDDING_MODEL": "snap/base/tiny",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        | environment,
    )
    assert done.returncode == status, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


SFT = "scripts/train_RecLM_cgen.sh movies --epoch 2 --save_seconds 0 --lora_layers 1"


@pytest.fixture(scope="module")
def trained(world) -> Path:
    """The world after preprocessing, teacher, an SFT that was killed once, and merging."""
    run(world, "bash scripts/data_preprocess_amazon.sh --users 0")
    run(world, "bash scripts/unirec_train.sh movies --epochs 2")
    port = free_port()
    killed = subprocess.Popen(
        words(f"bash scripts/with_teacher.sh movies {port} bash {SFT}"),
        cwd=world,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        env=os.environ
        | {"PYTHON": sys.executable, "BACKBONE": "snap/base/tiny", "OMP_NUM_THREADS": "1", "TEACHER_PORT": port},
    )
    log = world / "snap/movies/cgen/log.jsonl"
    while killed.poll() is None and not (log.exists() and log.read_text().count("\n") >= 3):
        os.sched_yield()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    port = free_port()
    run(world, f"bash scripts/with_teacher.sh movies {port} bash {SFT}", TEACHER_PORT=port)
    run(world, "bash scripts/run_SFT_merge.sh movies")
    return world


def test_the_published_recipe_trains_every_layer(trained):
    port = free_port()
    run(
        trained,
        f"bash scripts/with_teacher.sh movies {port} bash scripts/train_RecLM_cgen.sh movies --epoch 1 --output "
        "snap/movies/published",
        TEACHER_PORT=port,
        RECIPE="published",
    )
    adapter = json.loads((trained / "snap/movies/published/Epoch01_SFT/adapter_config.json").read_text())
    assert adapter["r"] == 16 and adapter["trainable_token_indices"]


def test_reclm_ret_is_trained_merged_and_tested_by_the_same_scripts(trained):
    port = free_port()
    run(
        trained,
        f"bash scripts/with_teacher.sh movies {port} bash scripts/train_RecLM_ret.sh movies --epoch 1 --lora_layers 1",
        TEACHER_PORT=port,
    )
    run(
        trained,
        f"python main.py --train_stage SFT_Embedding_Test --SFT_test_task SFTTestSeqRec-MR --data_path {MOVIES} "
        "--output snap/movies/ret --idx",
    )
    run(trained, "bash scripts/run_SFT_merge.sh movies --output snap/movies/ret")
    run(
        trained,
        f"python task_test.py --data_path {MOVIES} --model_name snap/movies/ret/SFT_Epoch1/ --force_items --idx "
        "--output ret.json",
    )
    result = json.loads((trained / "ret.json").read_text())
    assert result["n_users"] == 24 and result["metrics"]["short"]["mean"] == 0
    assert result["metrics"]["ood@10"]["mean"] == result["metrics"]["in_history@10"]["mean"] == 0


TEST = (
    f"python task_test.py --data_path {MOVIES} --model_name snap/movies/cgen/SFT_Epoch2/ --gpu cpu "
    "--use_control_symbol --batch_size 16 --use_CBS --CBS_type 2 --topk 10 --idx --SFT_test_task"
)


def test_the_published_test_command_gives_the_identical_file_twice(trained):
    files = []
    for name in ("one.json", "two.json"):
        run(trained, f"{TEST} SFTTestSeqRec-MR --output {name}")
        files.append((trained / name).read_bytes())
    assert files[0] == files[1].replace(b"two.json", b"one.json")
    result = json.loads(files[0])
    assert result["n_users"] == 24
    assert result["metrics"]["ood@10"]["mean"] == result["metrics"]["repeat@10"]["mean"] == 0


@pytest.mark.parametrize("decoding", ["best", "rank"])
def test_titles_found_by_search_are_of_the_catalog_and_distinct(trained, decoding):
    run(trained, f"{TEST} SFTTestSeqRec --decoding {decoding} --output {decoding}.json")
    result = json.loads((trained / f"{decoding}.json").read_text())
    assert result["n_users"] == 24
    assert result["metrics"]["ood@10"]["mean"] == result["metrics"]["repeat@10"]["mean"] == 0
    if decoding == "rank":
        assert result["metrics"]["correct_count"]["mean"] == 1
        assert result["users"][0]["completion"].startswith("1. <SOI>")


def test_the_engine_writes_what_generate_writes(trained):
    answers = []
    for engine in ("own", "hf"):
        run(trained, f"{TEST} SFTTestSeqRec --engine {engine} --dtype float32 --output {engine}.json")
        users = json.loads((trained / f"{engine}.json").read_text())["users"]
        answers.append([user["completion"] for user in users])
    assert answers[0] == answers[1]


def test_the_teacher_is_a_prior_whose_weight_validation_users_choose(trained):
    port = free_port()
    run(
        trained,
        f"bash scripts/with_teacher.sh movies {port} {TEST} SFTTestSeqRec --decoding rank --prior teacher "
        f"--prior_users 8 --teacher http://127.0.0.1:{port} --output prior.json",
    )
    result = json.loads((trained / "prior.json").read_text())
    (curve,) = (value for value in result["prior"].values() if isinstance(value, dict))
    means = {float(weight): mean for weight, mean in curve.items()}
    assert result["prior"]["validation_users"] == 8 and means[result["prior"]["weight"]] == max(means.values())
    assert result["metrics"]["ood@10"]["mean"] == result["metrics"]["short"]["mean"] == 0
    run(trained, f"{TEST} SFTTestSeqRec --prior popularity --prior_weight 2 --output prior.json")
    assert json.loads((trained / "prior.json").read_text())["prior"] == {"weight": 2.0}


def test_a_test_that_is_killed_twice_goes_on_and_ends_with_the_same_file(trained):
    run(trained, f"{TEST} SFTTestSeqRec --batch_size 6 --output whole.json")
    partial = trained / "part.json.partial.0"
    for lines in (4, 10):  # one of the run itself, then three a batch
        process = subprocess.Popen(
            words(f"{TEST} SFTTestSeqRec --batch_size 6 --output part.json"),
            cwd=trained,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not (partial.exists() and partial.read_bytes().count(b"\n") >= lines):
            os.sched_yield()
        process.kill()
        process.wait()
        assert partial.exists() and not (trained / "part.json").exists()
    run(trained, f"{TEST} SFTTestSeqRec --batch_size 6 --output part.json")
    assert (trained / "part.json").read_bytes() == (trained / "whole.json").read_bytes()


def test_baselines_and_the_untuned_model_are_scored_by_the_same_command(trained):
    for ranker in ("popularity", "recent-popularity", "item-knn"):
        run(trained, f"python task_test.py --data_path {MOVIES} --ranker {ranker} --output r.json")
        result = json.loads((trained / "r.json").read_text())
        assert result["metrics"]["short"]["mean"] == 0 and result["n_users"] == 24
    port = free_port()
    run(
        trained,
        f"bash scripts/with_teacher.sh movies {port} python task_test.py --data_path {MOVIES} --ranker teacher "
        f"--teacher http://127.0.0.1:{port} --output r.json",
    )
    run(
        trained,
        f"python task_test.py --data_path {MOVIES} --model_name snap/base/tiny --gpu cpu --use_CBS --force_items "
        "--output r.json",
    )
    result = json.loads((trained / "r.json").read_text())
    assert result["metrics"]["short"]["mean"] == result["metrics"]["in_history@10"]["mean"] == 0


def test_the_chat_answers_in_a_pipe(trained):
    done = run(
        trained,
        "python cli_serve.py --model_name snap/movies/cgen/SFT_Epoch2/ --gpu cpu --max_new_tokens 30",
        text="red moon\n/new\n",
    )
    assert done.stdout.strip()


CODE_BLOCK = re.compile(r"```\w*\n(.*?)```", re.DOTALL)


def test_the_page_on_an_own_catalog_prints_the_columns_that_are_guessed_of_raw_data(world):
    page = (ROOT / "docs/own-catalog.md").read_text(encoding="utf-8")
    command, *printed = CODE_BLOCK.findall(page.split("## From raw data")[1])[0].splitlines()
    folder, rows = world / "exports", ["customer_id,sku,date"]
    folder.mkdir()
    for user in range(8):
        rows += [f"u{user},i{(user + step) % 11},2024-01-{step + 1:02}" for step in range(10)]
    (folder / "clicks.csv").write_text("\n".join(rows))
    titles = [f"i{n},{word} moon,Drama" for n, word in enumerate(WORDS)]
    (folder / "things.csv").write_text("\n".join(["id,name,genres", *titles]))
    command = command.replace("own mine", "own from_raw") + " --tokenizer_path snap/base/tiny"
    done = run(world, f"bash {command}")
    assert [line for line in done.stderr.splitlines() if line.startswith("exports/")] == printed
    assert (world / "data/dataset/from_raw/metas.jsonl").exists()


def test_the_page_on_an_own_catalog_runs_line_by_line(world, tmp_path):
    """Three files and nothing else, behind a proxy that nobody answers at: commands and code as written there."""
    folder, rng = world / "data/dataset/mine", random.Random(1)
    folder.mkdir()
    titles = [f"{first} {second}" for first in WORDS for second in WORDS][:30]
    write = {
        "metas.pickle": {f"i{n}": {"title": title, "year": 1980 + n} for n, title in enumerate(titles)},
        "category.json": {"Comedy": [f"i{n}" for n in range(20)], "Drama": [f"i{n}" for n in range(10, 30)]},
        "sequential.jsonl": {f"u{u}": [f"i{n}" for n in rng.sample(range(30), 12)] for u in range(16)},
    }
    for name, value in write.items():
        data = pickle.dumps(value) if name.endswith("pickle") else json.dumps(value).encode()
        (folder / name).write_bytes(data)
    port, own = free_port(), (ROOT / "docs/own-catalog.md").read_text(encoding="utf-8")
    stages, recommend = own.split("## Train and serve it")[1].split("## Recommend from Python")
    lines = CODE_BLOCK.findall(stages)[0].replace("2068", port).splitlines()
    code = CODE_BLOCK.findall(recommend)
    assert len(lines) == 5 and len(code) == 4
    proxied = {"TEACHER_PORT": port, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    for line in lines:
        more = " --lora_layers 1" if "train_RecLM" in line else " --epochs 2" if "unirec_train" in line else ""
        line = f"bash {line}" if line.startswith("scripts/") else line
        done = run(world, line + more, text="i5?\n/quit\n", **proxied)
    assert "domain mine" in done.stderr
    result = json.loads(next((world / "snap/mine/cgen/SFT_Epoch2").glob("SFTTest*[!g].json")).read_text())
    assert result["n_users"] == 16 and result["metrics"]["ood@10"]["mean"] == result["metrics"]["short"]["mean"] == 0
    # Numbers of the catalog that the page has in mind are those of this one.
    program = "\n".join(code).replace("ml-100k", "mine").replace('["1", "4"]', '["i1", "i4"]')
    program = program.replace('["Toy Story"], encoder="snap/base/all-MiniLM-L6-v2"', '["i1"]')
    run(world, shlex.join(["python", "-c", program]), PYTHONPATH=str(world))


NEVER_READY = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


def test_a_teacher_that_does_not_start_is_waited_for_with_a_word_and_an_end(world):
    """A Python whose teacher answers every question with an error."""
    (world / "never_ready.py").write_text(NEVER_READY)
    port, python = free_port(), world / "python_of_a_bad_teacher"
    python.write_text(f"""#!/bin/bash
[[ $1 == unirec/* ]] && set -- never_ready.py {port}
exec "{sys.executable}" "$@"
""")
    python.chmod(0o755)
    done = run(
        world,
        f"bash scripts/with_teacher.sh mine {port} echo RAN",
        status=2,
        PYTHON=str(python),
        TEACHER_WAIT="1",
    )
    assert "RAN" not in done.stdout and done.stderr.count("error: ") == 1
    assert f"not ready on port {port}" in done.stderr and "TEACHER_WAIT" in done.stderr


def test_another_server_on_the_teachers_port_is_not_taken_for_it(world):
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as other:  # listens, and answers late
        done = run(world, f"bash scripts/with_teacher.sh mine {other.server_port} echo RAN", status=2)
    assert "RAN" not in done.stdout and "is taken by another server" in done.stderr


@pytest.mark.parametrize(
    "command,complaint",
    [
        ("python task_test.py --data_path data/dataset/none/ --ranker popularity", "does not exist"),
        (f"python task_test.py --data_path {MOVIES} --model_name snap/none", "cannot be loaded"),
        (f"python task_test.py --data_path {MOVIES} --CBS_type 7", "--CBS_type"),
        (f"python task_test.py --data_path {MOVIES} --nonsense", "--nonsense"),
        (f"{TEST} SFTTestSeqRec --prior popularity --prior_weight much", "wanted a number or auto"),
        (f"{TEST} SFTTestSeqRec --prior popularity --split valid", "give a number"),
        (f"{TEST} SFTTestSeqRec --engine hf --decoding rank", "--decoding greedy"),
        (f"python task_MR_test.py --data_path {MOVIES}", "--GSM8K_data_path is missing"),
        (
            "python main.py --train_stage SFT_Embedding_Test --SFT_load snap/movies/cgen/Epoch02_SFT",
            "retrieves no items",
        ),
        ("python main.py --train_stage SFT_Merge --output snap/none", "no finished adapter"),
        (
            f"bash scripts/train_RecLM_ret.sh other --data_path {MOVIES} --lora_layers 1 --embedding_model snap/none "
            "--embedding_path snap/none.npy",
            "no such folder",
        ),
        ("bash scripts/train_RecLM_cgen.sh movies --lr 0.7", "run with other"),
        ("bash scripts/unirec_serve.sh none 2068 1", "unirec_train.sh"),
        ("bash scripts/unirec_train.sh none", "none"),
    ],
)
def test_a_users_error_is_one_line_and_a_status(trained, command, complaint):
    done = run(trained, command, status=2)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert complaint in line and "Traceback" not in done.stderr


def test_a_catalog_with_a_control_token_in_a_title_is_refused(trained):
    folder = trained / "data/dataset/forged"
    shutil.copytree(trained / "data/dataset/movies", folder)
    metas = json.loads((folder / "metas.jsonl").read_text())
    next(iter(metas.values()))["title_t"] = "<SOI> the moon"
    (folder / "metas.jsonl").write_text(json.dumps(metas))
    done = run(trained, f"python task_test.py --data_path {folder} --model_name snap/base/tiny", status=2)
    assert "special token" in done.stderr
    (folder / "metas.jsonl").unlink()
    (folder / "meta.pickle").write_bytes(b"cposix\nsystem\n(S'echo'\ntR.")
    done = run(trained, f"python task_test.py --data_path {folder} --ranker popularity", status=2)
    assert "not plain data" in done.stderr and done.stderr.count("\n") == 1
