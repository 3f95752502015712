"""Processes and devices of a run; verifies that `accelerate launch` started the processes it was configured for."""

import os
from collections.abc import Mapping
from dataclasses import replace

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType, PartialState

from train_utils.param.evaluation import EvalOptions

_SPLITTING = {"ACCELERATE_USE_FSDP": DistributedType.FSDP, "ACCELERATE_USE_DEEPSPEED": DistributedType.DEEPSPEED}


def init_accelerator(gpu: str, dtype: str, batch_size: int, accumulation: int) -> Accelerator:
    """Return the accelerator of the processes that `accelerate launch` started, or of a single process.

    Args:
        gpu: value of `--gpu`: the device of a single process. With "cpu", several processes communicate over gloo;
            otherwise each has its own GPU.
        dtype: number format of the run.
        batch_size: samples per micro-batch.
        accumulation: micro-batches per optimizer step, over all processes.

    Raises:
        ValueError: the processes differ from the accelerate configuration, or the micro-batches of a step cannot be
            divided evenly among them.
    """
    on_cpu = pick_device(gpu).type == "cpu"
    if on_cpu and int(os.environ.get("WORLD_SIZE", "1")) > 1 and gpu != "cpu":
        raise ValueError(_difference("a GPU for each process", "on the CPU (with `gpu` cpu that is what is asked for)"))
    if on_cpu and os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        raise ValueError(_difference("DEEPSPEED", "on the CPU"))
    # In a micro-batch without an item, some weights of RecLM-ret get no gradient.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(cpu=on_cpu, device_placement=False, kwargs_handlers=[unused])
    for problem in differences(
        os.environ, accelerator.distributed_type, accelerator.num_processes, dtype, accumulation
    ):
        raise ValueError(problem)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        accelerator.gradient_accumulation_steps = accumulation // accelerator.num_processes
        accelerator.state.deepspeed_plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = batch_size
    return accelerator


def init_processes(gpu: str) -> PartialState:
    """Return the processes that share a test: the ones of `accelerate launch`, or this single process."""
    return PartialState(cpu=pick_device(gpu).type == "cpu")


def own_device(options: EvalOptions, processes: PartialState) -> EvalOptions:
    """Return the options of one of several processes, with its own GPU as device."""
    shared = processes.num_processes > 1 and processes.device.type == "cuda"
    return replace(options, gpu=f"cuda:{processes.local_process_index}") if shared else options


def differences(
    environment: Mapping[str, str], kind: DistributedType, processes: int, dtype: str, accumulation: int
) -> list[str]:
    """Return sentences on the differences between the accelerate configuration and the running processes.

    Args:
        environment: the environment as `accelerate launch` sets it for its processes.
        kind: distributed type that runs.
        processes: number of running processes.
        dtype: number format of the run.
        accumulation: micro-batches per optimizer step, over all processes.
    """
    problems = [
        _difference(configured.value, f"{kind.value} in {processes} processes")
        for name, configured in _SPLITTING.items()
        if environment.get(name, "").lower() == "true" and kind != configured
    ]
    # The single-process launcher sets MASTER_PORT only where several processes are configured, and still starts one.
    if "ACCELERATE_USE_CPU" in environment and "MASTER_PORT" in environment and processes == 1:
        problems.append(
            "accelerate was asked for several processes and started one; on CPUs take "
            "scripts/accelerate/cpu_two_processes.yaml"
        )
    if "WORLD_SIZE" in environment and int(environment["WORLD_SIZE"]) != processes:
        problems.append(_difference(f"{environment['WORLD_SIZE']} processes", f"{processes}"))
    precision = environment.get("ACCELERATE_MIXED_PRECISION", "no")
    # DeepSpeed casts the whole model to its configured format; elsewhere the trained weights stay in float32.
    expected = "bf16" if kind == DistributedType.DEEPSPEED and dtype == "bfloat16" else "no"
    if precision != expected:
        problems.append(
            _difference(f"mixed_precision {precision}", f"`dtype` {dtype}, which is mixed_precision {expected}")
        )
    if accumulation % processes:
        problems.append(
            f"`gradient_accumulation_steps` {accumulation} counts the forward passes of all processes and "
            f"cannot be shared by {processes}; take a multiple"
        )
    return problems


def _difference(configured: str, runs: str) -> str:
    return f"accelerate was asked for {configured} and would run {runs}; change the --config_file or the machine"


def pick_device(gpu: str) -> torch.device:
    """Return the device that `--gpu` names.

    Args:
        gpu: "cpu", a CUDA device such as "cuda:0", or "auto": the first GPU, or the CPU where there is none.

    Raises:
        ValueError: the name is no device, or the device is missing.
    """
    name = ("cuda:0" if torch.cuda.is_available() else "cpu") if gpu == "auto" else gpu
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"{gpu!r} is no device; use cpu, cuda:0 or auto") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {gpu!r}: this machine has {torch.cuda.device_count()} GPUs; use cpu")
    return device
