"""What two processes do together: `accelerate launch ... tests/training/two_processes.py FOLDER`."""

import dataclasses
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from test_loop import LOOP, Interrupted, lora
from tiny_samples import stream
from torch import nn
from torch.distributed.fsdp import fully_shard

from train_utils.processes import init_accelerator
from train_utils.training import checkpoint
from train_utils.training.checkpoint import Progress, TrainState
from train_utils.training.loop import train
from train_utils.training.method import cgen_loss


def trained(run: Path, accelerator: Accelerator, stop_at: int | None = None) -> dict[str, torch.Tensor]:
    """The weights of a run with dropout, six steps of four micro-batches of three samples."""
    wrapped, chat = lora(0.1)
    source = stream((None, chat), batch_size=3, accumulation=4)

    def batches(step):
        if step == stop_at:
            raise Interrupted
        return source(step)

    config = dataclasses.replace(LOOP, save_seconds=0.0)
    weights = train(wrapped, cgen_loss, batches, config, run, accelerator=accelerator)
    source.close()
    return weights


def sharded(folder: Path, accelerator: Accelerator) -> None:
    """A checkpoint of a model that FSDP2 splits over the processes is whole, and goes back into a split one."""

    def made(seed: int) -> TrainState:
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 3))
        model[0].bias.requires_grad_(False)
        fully_shard(model)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
        return TrainState(accelerator, model, model, optimizer)

    def step(training: TrainState) -> dict[str, torch.Tensor]:
        training.model(torch.arange(12.0).view(2, 6)).square().sum().backward()
        training.optimizer.step()
        training.optimizer.zero_grad()
        return checkpoint.whole_weights(training)

    first, second = made(0), made(1)
    with torch.no_grad():
        second.model[0].bias.copy_(first.model[0].bias)  # frozen, so it is not in the checkpoint
    step(first)
    checkpoint.save(first, Progress(1), {}, folder)
    assert checkpoint.restore(second, {}, folder) == Progress(1)
    expected, actual = step(first), step(second)
    assert set(expected) == ({"0.weight", "1.weight", "1.bias"} if accelerator.is_main_process else set())
    assert all(torch.equal(weight, actual[name]) for name, weight in expected.items())


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    accelerator = init_accelerator("cpu", "float32", 3, 4)
    weights = trained(folder / "two", accelerator)
    try:
        trained(folder / "broken", accelerator, stop_at=4)
    except Interrupted:
        accelerator.wait_for_everyone()
    resumed = trained(folder / "broken", accelerator)
    assert all(torch.equal(weight, resumed[name]) for name, weight in weights.items())
    sharded(folder / "sharded", accelerator)
    if accelerator.is_main_process:
        torch.save(weights, folder / "two.pt")
    accelerator.end_training()


if __name__ == "__main__":
    main()
