"""Several processes train what one trains; what was asked of accelerate and what runs are the same, or nothing runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes
import yaml
from accelerate import Accelerator, DistributedType
from accelerate.commands.config.config_args import ClusterConfig

from train_utils.processes import differences

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "scripts/accelerate"


def launch(config: Path, *command: str) -> subprocess.CompletedProcess:
    """`accelerate launch` on the CPU, as a user types it."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "accelerate.commands.accelerate_cli",
            "launch",
            "--config_file",
            str(config),
            "--main_process_port",
            "0",
            *command,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    done = launch(CONFIGS / "cpu_two_processes.yaml", str(ROOT / "tests/training/two_processes.py"), str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_have_the_losses_of_one_and_end_with_its_weights(together, tmp_path):
    """Dropout included. Gradients are summed in another order, which float32 shows in the sixth digit."""
    weights = two_processes.trained(tmp_path, Accelerator(cpu=True, device_placement=False))
    alone, two = records(tmp_path), records(together / "two")
    assert [record["step"] for record in two] == [record["step"] for record in alone] == list(range(6))
    for name in ("loss", "text", "item", "lr", "norm"):
        assert [r[name] for r in two] == pytest.approx([r[name] for r in alone], rel=1e-4), name
    actual = torch.load(together / "two.pt", weights_only=True)
    for name, weight in weights.items():
        torch.testing.assert_close(actual[name], weight, rtol=1e-3, atol=2e-5)


def test_an_interrupted_run_of_two_processes_goes_on_exactly(together):
    """The weights are compared in the processes themselves."""
    assert (together / "broken/log.jsonl").read_text() == (together / "two/log.jsonl").read_text()


def test_a_run_of_two_processes_goes_on_in_one(together, tmp_path):
    shutil.copytree(together / "two/checkpoints/step-00000005", tmp_path / "checkpoints/step-00000005")
    weights = two_processes.trained(tmp_path, Accelerator(cpu=True, device_placement=False))
    for name, weight in torch.load(together / "two.pt", weights_only=True).items():
        torch.testing.assert_close(weights[name], weight, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize(
    "config,flags,complaint",
    [
        ("cpu_two_processes.yaml", ("--gpu", "auto"), "asked for a GPU for each process and would run on the CPU"),
        ("fsdp2.yaml", ("--gpu", "cpu"), "asked for FSDP and would run MULTI_CPU in 2 processes"),
    ],
)
def test_a_launch_that_does_not_run_what_it_asks_for_stops(config, flags, complaint, tmp_path):
    done = launch(
        CONFIGS / config, "--num_processes", "2", "main.py", "--dtype", "float32", "--output", str(tmp_path), *flags
    )
    assert done.returncode != 0
    lines = {line for line in done.stderr.splitlines() if line.startswith("error:")}
    assert len(lines) == 1 and complaint in lines.pop()
    assert "exitcode: 2" in " ".join(done.stderr.replace(" :", ":").split())
    assert not list(tmp_path.iterdir())


def test_one_process_where_several_were_asked_for_stops(tmp_path):
    """What accelerate makes of MULTI_CPU."""
    config = tmp_path / "multi_cpu.yaml"
    config.write_text(
        (CONFIGS / "cpu_two_processes.yaml").read_text().replace("MULTI_GPU", "MULTI_CPU") + "use_cpu: true\n"
    )
    done = launch(config, "main.py", "--gpu", "cpu", "--dtype", "float32", "--output", str(tmp_path / "run"))
    assert "error: accelerate was asked for several processes and started one" in done.stderr


@pytest.mark.parametrize(
    "environment,kind,processes,dtype,words",
    [
        ({"WORLD_SIZE": "3"}, DistributedType.MULTI_GPU, 3, "float32", "cannot be shared by 3"),
        ({}, DistributedType.NO, 1, "bfloat16", None),
        ({"WORLD_SIZE": "8"}, DistributedType.MULTI_GPU, 8, "bfloat16", None),
        ({"ACCELERATE_USE_FSDP": "true", "WORLD_SIZE": "2"}, DistributedType.FSDP, 2, "bfloat16", None),
        (
            {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_MIXED_PRECISION": "bf16"},
            DistributedType.DEEPSPEED,
            2,
            "bfloat16",
            None,
        ),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, DistributedType.DEEPSPEED, 2, "bfloat16", "mixed_precision no"),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, DistributedType.MULTI_GPU, 2, "float32", "asked for DEEPSPEED"),
        ({"WORLD_SIZE": "8"}, DistributedType.NO, 1, "float32", "8 processes"),
        ({"ACCELERATE_MIXED_PRECISION": "fp16"}, DistributedType.NO, 1, "bfloat16", "mixed_precision fp16"),
    ],
)
def test_differences_between_what_is_asked_for_and_what_runs(environment, kind, processes, dtype, words):
    actual = differences(environment, kind, processes, dtype, accumulation=8)
    assert (actual == []) if words is None else any(words in sentence for sentence in actual)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_reads_the_shipped_configurations(path):
    config = ClusterConfig.from_yaml_file(str(path))
    assert config.num_processes >= 1
    assert yaml.safe_load(path.read_text())["mixed_precision"] == ("bf16" if "deepspeed" in path.stem else "no")


def test_every_shipped_configuration_is_there():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {
        "one_gpu",
        "ddp",
        "fsdp2",
        "deepspeed_zero2",
        "two_nodes",
        "cpu_two_processes",
    }
