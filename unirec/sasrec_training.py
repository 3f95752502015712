"""The training loop of the teacher: arrays in, best checkpoint and metrics out; a killed run goes on."""

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sasrec_model import (
    CHECKPOINT_NAME,
    SASRec,
    all_position_states,
    build_model,
    catalogue_scores,
    checkpoint_content,
    item_vectors,
    load_checkpoint,
    load_torch,
    save_torch,
)
from torch.nn import functional
from tqdm import tqdm
from unirec_files import UniRecData
from windows import last_items, training_windows

RESUME_NAME = "resume.pt"
CUTOFF = 10
_EVAL_ROWS = 1024
_LOWEST_RATE = 0.02  # of the learning rate, where the cosine ends


@dataclass(frozen=True)
class Progress:
    """Where a run stands after `epoch` finished epochs."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -1.0
    seconds: float = 0.0


def ranking_metrics(
    scores: torch.Tensor, hidden: torch.Tensor, targets: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """Hit and gain at CUTOFF for each row of `scores` [rows, n_items], items where `hidden` is true left out.

    A target that is itself hidden can't be recommended and is a miss. Ties go against the target.
    """
    open_scores = scores.masked_fill(hidden, -torch.inf)
    own = open_scores.gather(1, targets[:, None])
    rank = (open_scores >= own).sum(1)
    hit = (rank <= CUTOFF) & own[:, 0].isfinite()
    gain = torch.where(hit, 1.0 / torch.log2(rank + 1.0), 0.0)
    return hit.cpu().numpy().astype(float), gain.cpu().numpy().astype(float)


def evaluate(model: SASRec, data: UniRecData, back: int, hide_all: bool) -> dict[str, float]:
    """HR@10 and NDCG@10 of the event `back` events before each user's end (1 = test, 2 = validation).

    The whole catalogue is ranked. hide_all: everything consumed before the target is hidden; otherwise only
    the window the model sees.
    """
    model.eval()
    device = model.item_embedding.weight.device
    vectors = item_vectors(model)
    inputs = last_items(data.offsets, data.items, back, model.max_seq_len)
    shown = (
        last_items(data.offsets, data.items, back, int(np.diff(data.offsets).max())) if hide_all else inputs
    )
    targets = data.items[data.offsets[1:] - back]
    hits, gains = [], []
    for start in range(0, len(inputs), _EVAL_ROWS):
        rows = slice(start, start + _EVAL_ROWS)
        batch, seen, wanted = (torch.from_numpy(array[rows]).to(device) for array in (inputs, shown, targets))
        hidden = torch.zeros(len(batch), data.n_items, dtype=torch.bool, device=device)
        hidden.scatter_(1, seen, True)  # the padding of `seen` hides item 0, the padding of the catalogue
        hidden[:, 0] = True
        hit, gain = ranking_metrics(catalogue_scores(model, vectors, batch), hidden, wanted)
        hits.append(hit)
        gains.append(gain)
    return {
        f"hr@{CUTOFF}": float(np.concatenate(hits).mean()),
        f"ndcg@{CUTOFF}": float(np.concatenate(gains).mean()),
    }


def learning_rate(config: dict[str, Any], done: float) -> float:
    """The rate after `done` epochs, a fraction within an epoch included."""
    if config["scheduler"] == "none":
        return config["learning_rate"]
    if config["scheduler"] != "cosine":
        raise ValueError(f"scheduler must be cosine or none, got {config['scheduler']}")
    falling = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done / config["epochs"])))
    return config["learning_rate"] * max(_LOWEST_RATE, falling)


def batches(
    data: UniRecData, config: dict[str, Any], epoch: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The epoch's windows in batches of about `batch_size` targets; a function of (seed, epoch) alone."""
    targets = config["targets_per_window"]
    if not 1 <= targets <= config["max_seq_len"]:
        raise ValueError(
            f"targets_per_window must lie in 1..max_seq_len={config['max_seq_len']}, got {targets}"
        )
    rng = np.random.default_rng([config["seed"], epoch])
    inputs, labels = training_windows(data.offsets, data.items, config["max_seq_len"], targets, rng)
    size = max(1, config["batch_size"] // targets)
    for start in range(0, len(inputs), size):
        yield tuple(torch.from_numpy(array[start : start + size]).to(device) for array in (inputs, labels))


def train_epoch(
    model: SASRec, optimizer: torch.optim.Optimizer, data: UniRecData, config: dict[str, Any], epoch: int
) -> float:
    """One pass over all training events; the mean full-softmax loss of a target, in nats."""
    torch.manual_seed(config["seed"] * 1_000_003 + epoch)
    model.train()
    total, count = 0.0, 0
    n_targets = len(data.items) - 3 * (len(data.offsets) - 1)
    with tqdm(
        total=n_targets, desc=f"epoch {epoch}", unit="event", unit_scale=True, disable=None, leave=False
    ) as bar:
        for inputs, labels in batches(data, config, epoch, model.item_embedding.weight.device):
            optimizer.param_groups[0]["lr"] = learning_rate(config, epoch - 1 + count / n_targets)
            predicted = labels > 0
            logits = all_position_states(model, inputs)[predicted] @ model.item_embedding.weight.T / model.tau
            loss = functional.cross_entropy(logits, labels[predicted])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            size = len(logits)
            total, count = total + loss.item() * size, count + size
            bar.update(size)
            bar.set_postfix(loss=f"{total / count:.3f}", refresh=False)
    if not np.isfinite(total):
        raise ValueError(
            f"the loss of epoch {epoch} is not finite; lower learning_rate={config['learning_rate']}"
        )
    return total / max(count, 1)


def make_optimizer(model: SASRec, config: dict[str, Any]) -> torch.optim.Optimizer:
    if config["optimizer"] != "adam":
        raise ValueError(f"optimizer must be adam, got {config['optimizer']}")
    # fused: one pass over the weights instead of one for each operation
    return torch.optim.Adam(
        model.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"], fused=True
    )


def resume(run: Path, model: SASRec, optimizer: torch.optim.Optimizer, config: dict[str, Any]) -> Progress:
    """Load the state of an interrupted run into model and optimizer; a fresh Progress when there is none."""
    path = run / RESUME_NAME
    if not path.is_file():
        return Progress()
    state = load_torch(path, config["device"])
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(**state["progress"])


def fit(data: UniRecData, config: dict[str, Any], run: Path) -> dict[str, Any]:
    """Train until `epochs`, or `early_stop` epochs without a better validation NDCG@10.

    The best weights so far are in run/SASRec.pth.

    Returns their metrics: best_epoch, epochs, seconds, and for "valid" and "test" both hiding rules.
    """
    torch.manual_seed(config["seed"])
    model = build_model(config)
    optimizer = make_optimizer(model, config)
    progress = resume(run, model, optimizer, config)
    while progress.epoch < config["epochs"] and progress.epoch - progress.best_epoch < config["early_stop"]:
        started = time.perf_counter()
        epoch = progress.epoch + 1
        loss = train_epoch(model, optimizer, data, config, epoch)
        metrics = evaluate(model, data, back=2, hide_all=True)
        score = metrics[f"ndcg@{CUTOFF}"]
        if score > progress.best_score:
            progress = replace(progress, best_epoch=epoch, best_score=score)
            save_torch(run / CHECKPOINT_NAME, checkpoint_content(config, model.state_dict(), epoch, score))
        seconds = progress.seconds + time.perf_counter() - started
        progress = replace(progress, epoch=epoch, seconds=seconds)
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "progress": asdict(progress),
        }
        save_torch(run / RESUME_NAME, state)
        print(
            f"epoch {epoch}: loss {loss:.4f}, validation HR@10 {metrics['hr@10']:.4f} NDCG@10 {score:.4f}"
            f"{' (best)' if progress.best_epoch == epoch else ''}, {seconds:.1f} s",
            flush=True,
        )
    best = load_checkpoint(run / CHECKPOINT_NAME, config["device"]).model
    return {
        "best_epoch": progress.best_epoch,
        "epochs": progress.epoch,
        "seconds": round(progress.seconds, 2),
        **{
            split: {
                rule: evaluate(best, data, back, hide_all=rule == "hide_all")
                for rule in ("hide_all", "hide_visible")
            }
            for split, back in (("valid", 2), ("test", 1))
        },
    }
