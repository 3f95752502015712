"""What `accelerate launch` was asked for against what runs: a difference stops the run before it starts."""

import os
from collections.abc import Mapping
from dataclasses import replace

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType, PartialState

from train_utils.param import EvalOptions

_SPLITTING = {"ACCELERATE_USE_FSDP": DistributedType.FSDP, "ACCELERATE_USE_DEEPSPEED": DistributedType.DEEPSPEED}


def init_accelerator(gpu: str, dtype: str, batch_size: int, accumulation: int) -> Accelerator:
    """The processes that `accelerate launch` started, or this one alone.

    Args:
        gpu: the flag: where one process alone trains. With cpu several processes talk over gloo; else each has a GPU.
        dtype: number format of the run. batch_size: samples a micro-batch.
        accumulation: micro-batches of a step, over all processes.

    Raises:
        ValueError: accelerate runs something other than what it was asked for, or the micro-batches of a step cannot
            be shared out evenly.
    """
    on_cpu = pick_device(gpu).type == "cpu"
    if on_cpu and int(os.environ.get("WORLD_SIZE", "1")) > 1 and gpu != "cpu":
        raise ValueError(_difference("a GPU for each process", "on the CPU (with --gpu cpu that is what is asked for)"))
    if on_cpu and os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        raise ValueError(_difference("DEEPSPEED", "on the CPU"))
    # A micro-batch without an item leaves some weights of RecLM-ret out of the loss.
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
    """The processes that share a test: those of `accelerate launch`, or this one alone."""
    return PartialState(cpu=pick_device(gpu).type == "cpu")


def own_device(options: EvalOptions, processes: PartialState) -> EvalOptions:
    """The options of one of several processes: each has its GPU."""
    shared = processes.num_processes > 1 and processes.device.type == "cuda"
    return replace(options, gpu=f"cuda:{processes.local_process_index}") if shared else options


def differences(
    asked: Mapping[str, str], kind: DistributedType, processes: int, dtype: str, accumulation: int
) -> list[str]:
    """Sentences on what differs. `asked` is the environment as `accelerate launch` has set it for its processes."""
    found = [
        _difference(wanted.value, f"{kind.value} in {processes} processes")
        for name, wanted in _SPLITTING.items()
        if asked.get(name, "").lower() == "true" and kind != wanted
    ]
    # The launcher of one process sets a master's port only where several were asked for, and starts one all the same.
    if "ACCELERATE_USE_CPU" in asked and "MASTER_PORT" in asked and processes == 1:
        found.append(
            "accelerate was asked for several processes and started one; on CPUs take "
            "scripts/accelerate/cpu_two_processes.yaml"
        )
    if "WORLD_SIZE" in asked and int(asked["WORLD_SIZE"]) != processes:
        found.append(_difference(f"{asked['WORLD_SIZE']} processes", f"{processes}"))
    precision = asked.get("ACCELERATE_MIXED_PRECISION", "no")
    # DeepSpeed turns a whole model into the format that it is told; elsewhere the trained weights stay in float32.
    wanted = "bf16" if kind == DistributedType.DEEPSPEED and dtype == "bfloat16" else "no"
    if precision != wanted:
        found.append(_difference(f"mixed_precision {precision}", f"--dtype {dtype}, which is mixed_precision {wanted}"))
    if accumulation % processes:
        found.append(
            f"--gradient_accumulation_steps {accumulation} counts the forward passes of all processes and "
            f"cannot be shared by {processes}; take a multiple"
        )
    return found


def _difference(asked: str, runs: str) -> str:
    return f"accelerate was asked for {asked} and would run {runs}; change the --config_file or the machine"


def pick_device(gpu: str) -> torch.device:
    """The device named by `--gpu` ("cpu", "cuda:0", "auto"). Raises ValueError when it is not there."""
    name = ("cuda:0" if torch.cuda.is_available() else "cpu") if gpu == "auto" else gpu
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--gpu {gpu!r} is no device; use cpu, cuda:0 or auto") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"--gpu {gpu!r}: this machine has {torch.cuda.device_count()} GPUs; use --gpu cpu")
    return device
