"""The training loop of the teacher: arrays in, best checkpoint and metrics out; a killed run can be resumed."""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from byte_dropout import use_byte_dropout
from next_item_loss import make_loss
from sasrec_model import (
    SequentialModel,
    build_model,
    catalog_scores,
    checkpoint_content,
    checkpoint_path,
    load_checkpoint,
    predicts_everywhere,
    save_torch,
    user_states,
)
from tqdm import tqdm
from unirec_files import UniRecData
from windows import last_items, training_windows

from train_utils.teacher.checkpoint import load_values
from train_utils.teacher.inference import item_vectors

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

RESUME_NAME = "resume.pt"
CUTOFF = 10
_EVAL_ROWS = 1024
_LOWEST_RATE = 0.02  # of the learning rate, where the cosine ends


@dataclass(frozen=True)
class Progress:
    """Progress of a run after `epoch` finished epochs.

    seconds: training and evaluation so far. epoch_seconds: training alone, by epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    seconds: float = 0.0
    epoch_seconds: tuple[float, ...] = ()


def ranking_metrics(scores: torch.Tensor, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Hit and gain at CUTOFF for each row of `scores` [rows, n_items], items where `hidden` is true left out.

    A target that is itself hidden can't be recommended and is a miss. Ties go against the target.
    """
    open_scores = scores.masked_fill(hidden, -torch.inf)
    own = open_scores.gather(1, targets[:, None])
    rank = (open_scores >= own).sum(1)
    hit = (rank <= CUTOFF) & own[:, 0].isfinite()
    gain = torch.where(hit, 1.0 / torch.log2(rank + 1.0), 0.0)
    return hit.cpu().numpy().astype(float), gain.cpu().numpy().astype(float)


def evaluate(model: SequentialModel, data: UniRecData, back: int, hide_all: bool) -> dict[str, float]:
    """HR@10 and NDCG@10 of the event `back` events before each test user's end (1 = test, 2 = validation).

    The whole catalog is ranked. hide_all: everything consumed before the target is hidden; otherwise only
    the window the model sees.
    """
    model.eval()
    device = model.item_embedding.weight.device
    vectors = item_vectors(model)
    tested = data.held_out > 0
    inputs = last_items(data.offsets, data.items, back, model.max_seq_len)[tested]
    longest = int(np.diff(data.offsets)[tested].max())
    shown = last_items(data.offsets, data.items, back, longest)[tested] if hide_all else inputs
    targets = data.items[data.offsets[1:][tested] - back]
    hits, gains = [], []
    for start in range(0, len(inputs), _EVAL_ROWS):
        rows = slice(start, start + _EVAL_ROWS)
        batch, seen, target = (torch.from_numpy(array[rows]).to(device) for array in (inputs, shown, targets))
        hidden = torch.zeros(len(batch), data.n_items, dtype=torch.bool, device=device)
        hidden.scatter_(1, seen, True)  # the padding of `seen` hides item 0, the padding of the catalog
        hidden[:, 0] = True
        hit, gain = ranking_metrics(catalog_scores(model, vectors, batch), hidden, target)
        hits.append(hit)
        gains.append(gain)
    return {
        f"hr@{CUTOFF}": float(np.concatenate(hits).mean()),
        f"ndcg@{CUTOFF}": float(np.concatenate(gains).mean()),
    }


def learning_rate(config: dict[str, Any], done: float) -> float:
    """Return the rate after `done` epochs, a fraction within an epoch included."""
    if config["scheduler"] == "none":
        return config["learning_rate"]
    if config["scheduler"] != "cosine":
        raise ValueError(f"scheduler must be cosine or none, got {config['scheduler']}")
    falling = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done / config["epochs"])))
    return config["learning_rate"] * max(_LOWEST_RATE, falling)


def window_targets(model: SequentialModel, config: dict[str, Any]) -> int:
    """How many positions at a window's end are trained."""
    targets = config["targets_per_window"] or config["max_seq_len"]
    if not 1 <= targets <= config["max_seq_len"]:
        raise ValueError(f"targets_per_window must lie in 0..max_seq_len={config['max_seq_len']}, got {targets}")
    return targets if predicts_everywhere(model) else 1


def batches(
    data: UniRecData, config: dict[str, Any], targets: int, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return an epoch's windows in batches of about `batch_size` targets: int64 [windows, length] inputs and labels."""
    inputs, labels = training_windows(data.offsets, data.items, config["max_seq_len"], targets, rng, data.held_out)
    size = max(1, config["batch_size"] // targets)
    for start in range(0, len(inputs), size):
        yield tuple(torch.from_numpy(array[start : start + size]) for array in (inputs, labels))


def reduced_precision(config: dict[str, Any]) -> bool:
    """Whether matrices are multiplied in bf16; weights, losses and the optimizer stay in float32."""
    precision, device = config["mixed_precision"], torch.device(config["device"]).type
    if precision not in ("auto", "bf16", "no"):
        raise ValueError(f"mixed_precision must be auto, bf16 or no, got {precision}")
    if precision != "auto":
        return precision == "bf16"
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return device == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))


class Trainer:
    """A model with its optimizer and the moving average of its weights, which is what is judged and kept."""

    def __init__(self, data: UniRecData, config: dict[str, Any]) -> None:
        torch.manual_seed(config["seed"])
        self.data = data
        self.config = config
        self.model = build_model(config)
        self.judged = copy.deepcopy(self.model).requires_grad_(False) if config["ema_decay"] else self.model
        self.optimizer = make_optimizer(self.model, config)
        self.steps = 0

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "judged": self.judged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.judged.load_state_dict(state["judged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]

    def train_epoch(self, epoch: int) -> float:
        """One pass over all training events; the mean loss of a target, in nats. A function of (seed, epoch)."""
        data, config, device = self.data, self.config, torch.device(self.config["device"])
        rng = np.random.default_rng([config["seed"], epoch])
        torch.manual_seed(config["seed"] * 1_000_003 + epoch)
        if device.type == "cpu":
            use_byte_dropout(self.model, rng)
        loss_of = make_loss(self.model, config, data.popularity(), rng)
        self.model.train()
        total, count = torch.zeros((), device=device), 0
        n_targets = int(np.maximum(np.diff(data.offsets) - data.held_out - 1, 0).sum())
        bf16 = torch.autocast(device.type, torch.bfloat16, enabled=reduced_precision(config))
        with tqdm(
            total=n_targets, desc=f"epoch {epoch}", unit="event", unit_scale=True, disable=None, leave=False
        ) as bar:
            for inputs, labels in batches(data, config, window_targets(self.model, config), rng):
                self.optimizer.param_groups[0]["lr"] = learning_rate(config, epoch - 1 + count / n_targets)
                predicted = labels > 0
                target = labels[predicted].to(device)
                with bf16:
                    states = user_states(self.model, inputs.to(device))
                    loss = loss_of(states[predicted[:, -states.size(1) :].to(device)], target)
                self._step(loss)
                total, count = total + loss.detach() * len(target), count + len(target)
                bar.update(len(target))
        mean = float(total) / max(count, 1)
        if not math.isfinite(mean):
            raise ValueError(f"the loss of epoch {epoch} is not finite; lower learning_rate={config['learning_rate']}")
        return mean

    def _step(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        if self.judged is not self.model:
            # short memory at first, or the average would remember the random start
            decay = min(self.config["ema_decay"], (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(list(self.judged.parameters()), list(self.model.parameters()), 1.0 - decay)


def make_optimizer(model: SequentialModel, config: dict[str, Any]) -> torch.optim.Optimizer:
    if config["optimizer"] != "adam":
        raise ValueError(f"optimizer must be adam, got {config['optimizer']}")
    # fused: one pass over the weights instead of one for each operation
    return torch.optim.Adam(
        model.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"], fused=True
    )


def resume(run: Path, trainer: Trainer) -> Progress:
    """Load the state of an interrupted run; a fresh Progress when there is none."""
    path = run / RESUME_NAME
    if not path.is_file():
        return Progress()
    state = load_values(path)
    trainer.load_state(state["trainer"])
    return Progress(**state["progress"])


def one_epoch(trainer: Trainer, progress: Progress, run: Path, board: "SummaryWriter | None") -> Progress:
    """Train an epoch, evaluate it, and save: the best weights so far, and what a killed run needs to resume."""
    started = time.perf_counter()
    epoch = progress.epoch + 1
    loss = trainer.train_epoch(epoch)
    trained_s = time.perf_counter() - started
    metrics = evaluate(trainer.judged, trainer.data, back=2, hide_all=True)
    score = metrics[f"ndcg@{CUTOFF}"]
    if score > progress.best_score:
        progress = replace(progress, best_epoch=epoch, best_score=score)
        save_best(trainer, run, epoch, score)
    seconds = progress.seconds + time.perf_counter() - started
    progress = replace(
        progress,
        epoch=epoch,
        seconds=seconds,
        epoch_seconds=(*progress.epoch_seconds, round(trained_s, 3)),
    )
    save_torch(run / RESUME_NAME, {"trainer": trainer.state(), "progress": asdict(progress)})
    print(
        f"epoch {epoch}: loss {loss:.4f}, validation HR@10 {metrics['hr@10']:.4f} NDCG@10 {score:.4f}"
        f"{' (best)' if progress.best_epoch == epoch else ''}, {seconds:.1f} s",
        flush=True,
    )
    if board:
        values = {"train/loss": loss, "train/learning_rate": trainer.optimizer.param_groups[0]["lr"]}
        for name, value in (values | {f"valid/{name}": value for name, value in metrics.items()}).items():
            board.add_scalar(name, value, epoch)
        board.flush()
    return progress


def save_best(trainer: Trainer, run: Path, epoch: int, score: float) -> None:
    data, config = trainer.data, trainer.config
    content = checkpoint_content(config, trainer.judged.state_dict(), epoch, score, data.raw_ids, data.popularity())
    save_torch(checkpoint_path(run, config["model"]), content)


def open_board(run: Path, epoch: int) -> "SummaryWriter":
    """Open the TensorBoard log of a run, cut before `epoch`; ValueError where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise ValueError(
            "package tensorboard is missing; pip install '.[train]' in the project's folder, or set use_tensorboard to "
            "False in unirec/config/base.yaml"
        ) from None
    return SummaryWriter(run, purge_step=epoch)


def fit(data: UniRecData, config: dict[str, Any], run: Path) -> dict[str, Any]:
    """Train until `epochs`, or `early_stop` epochs without a better validation NDCG@10.

    The best weights so far are in run/MODEL.pth; with `use_tensorboard` the curves are in `run` as well.

    Returns their metrics: best_epoch, epochs, seconds, epoch_seconds (training alone), and for "valid" and "test"
    both hiding rules.
    """
    trainer = Trainer(data, config)
    progress = resume(run, trainer)
    board = open_board(run, progress.epoch + 1) if config["use_tensorboard"] else None
    try:
        while progress.epoch < config["epochs"] and progress.epoch - progress.best_epoch < config["early_stop"]:
            progress = one_epoch(trainer, progress, run, board)
    finally:
        if board:
            board.close()
    best = load_checkpoint(checkpoint_path(run, config["model"]), config["device"]).model
    return {
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "seconds": round(progress.seconds, 2),
        "epoch_seconds": list(progress.epoch_seconds),
        **{
            split: {
                rule: evaluate(best, data, back, hide_all=rule == "hide_all") for rule in ("hide_all", "hide_visible")
            }
            for split, back in (("valid", 2), ("test", 1))
        },
    }
