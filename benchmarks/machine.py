"""Machine of a measurement."""

from pathlib import Path

import torch


def machine_name() -> str:
    """Return the name of the GPU, or the CPU model and the number of torch threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{model}, {torch.get_num_threads()} torch thread(s)"
