"""Lists per second: this project's engine, the published way, and `generate` with this project's processor.

All decode greedily over the same prompts, under the same rules, to the same number of items. The engine's lists are
compared with the lists of one-token-at-a-time decoding. Where they differ, the gap between the plain decoder's two most
probable tokens at the first difference shows whether rounding can be the reason.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from baselines import PublishedProcessor, PublishedTrie
from machine import machine_name
from tqdm import tqdm
from transformers import LogitsProcessor
from transformers.utils import logging

from train_utils.catalog import Catalog, load_catalog
from train_utils.command import run_cli
from train_utils.decoding.engine import Engine
from train_utils.decoding.reference import generate_reference
from train_utils.decoding.request import Completion, Request
from train_utils.decoding.running_sequence import Counters
from train_utils.evaluation.cases import EvalCase, eval_cases
from train_utils.evaluation.llm import LLMRecommender, load_llm, side_by_side
from train_utils.evaluation.specs import ModelPlan
from train_utils.models.backbone import with_dtype
from train_utils.options import option, parse
from train_utils.param.evaluation import EvalOptions
from train_utils.teacher.open import open_teacher
from train_utils.teacher.protocol import Teacher


@dataclass(frozen=True, kw_only=True)
class Options:
    """Lists per second of the engine and its rivals."""

    model: str = option(help="model folder")
    data: str = option("data/dataset/ml-100k", "dataset folder")
    users: int = option(64, "users of the test split, drawn by seed")
    batch: int = option(8, "users a batch")
    topk: int = option(10, "items a list")
    dtype: str = option("auto", "number format of the model", ("auto", "bfloat16", "float32"))
    gpu: str = option("auto", "device")
    teacher: str = option("", "a teacher whose lists are drafted in one more row: http://HOST:PORT or file:PATH")
    rival_users: int = option(0, "users that the rivals decode; 0 for all")
    seed: int = option(0, "seed of the draw")


class Gaps(LogitsProcessor):
    """Watcher of a plain decoder: the gap between the two most probable tokens, per row and step.

    Attributes:
        steps: float [rows] per step.
    """

    def __init__(self):
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        first, second = scores.topk(2).values.T
        self.steps.append(first - second)
        return scores


def timed(
    decode: Callable[[Sequence[Request]], list[Completion]], batches: Sequence[Sequence[Request]], what: str
) -> tuple[list[Completion], float]:
    """Decode all batches; return the completions and the lists per second.

    One request is decoded before the clock starts.

    Args:
        decode: requests of a batch -> their completions.
        batches: the batches.
        what: label of the progress bar.
    """
    decode(batches[0][:1])
    begun = time.perf_counter()
    lists = [made for batch in tqdm(batches, desc=what, unit="batch", disable=None) for made in decode(batch)]
    return lists, len(lists) / (time.perf_counter() - begun)


def decoder(engine: Engine) -> Callable[[Sequence[Request]], list[Completion]]:
    """As the test scripts decode."""
    return lambda batch: list(chain(*side_by_side(engine.generate, batch, engine.model)))


def run(options: Options) -> dict:
    logging.disable_progress_bar()
    options = with_dtype(options)
    catalog = load_catalog(options.data)
    test = EvalOptions(
        data_path=options.data,
        model_name=options.model,
        use_CBS=True,
        hide_seen="none",
        idx=True,
        topk=options.topk,
        users=options.users,
        seed=options.seed,
        dtype=options.dtype,
        gpu=options.gpu,
    )
    plan = ModelPlan.from_options(test)
    users = eval_cases(catalog, plan.task, plan.split)
    llm = LLMRecommender(catalog, load_llm(catalog, test), plan)
    chat, model = llm.chat, llm.engine.model
    requests = sorted(
        (replace(llm.request(user), max_items=options.topk) for user in users),
        key=lambda request: len(request.prompt),
    )
    batches = [requests[at : at + options.batch] for at in range(0, len(requests), options.batch)]
    few = batches[: -(-options.rival_users // options.batch)] if options.rival_users else batches

    answers, per_second, counters = {}, {}, {}
    batches_of = {"ours": batches}
    if options.teacher:
        batches_of["ours, teacher's drafts"] = drafted(batches, catalog, users, open_teacher(options.teacher), llm)
    for name, its_batches in batches_of.items():
        engine = Engine(model, chat)
        answers[name], per_second[name] = timed(decoder(engine), its_batches, name)
        counters[name] = engine.counters
    gaps: list[list[float]] = []

    def plain(batch: Sequence[Request]) -> list[Completion]:
        watcher = Gaps()
        completions = generate_reference(model, chat, batch, watchers=[watcher])
        gaps.extend(torch.stack(watcher.steps, 1).tolist())
        return completions

    answers["plain"], per_second["plain"] = timed(plain, few, "plain")
    del gaps[:1]  # of the request before the clock started
    trie = PublishedTrie(chat.title_ids, chat.soi, chat.eoi, chat.end_of_turn)
    answers["published"], per_second["published"] = timed(
        lambda batch: generate_reference(model, chat, batch, [PublishedProcessor(trie)]), few, "published"
    )
    return summary(options, answers, per_second, counters, gaps)


def drafted(
    batches: Sequence[Sequence[Request]],
    catalog: Catalog,
    users: Sequence[EvalCase],
    teacher: Teacher,
    llm: LLMRecommender,
) -> list[list[Request]]:
    """Return the same requests, each with the teacher's list for its user as `expected`."""
    lists = teacher.top_k([catalog.ids(user.shown) for user in users], 50)
    by_prompt = {tuple(llm.request(user).prompt): catalog.indices(ids) for user, ids in zip(users, lists, strict=True)}
    return [[replace(request, expected=by_prompt[tuple(request.prompt)]) for request in batch] for batch in batches]


def first_gap(plain: Completion, ours: Completion, gaps: Sequence[float]) -> float | None:
    """Return the plain decoder's gap at the engine's first different token; None for equal completions."""
    for at, gap in enumerate(gaps):
        if plain.ids[at : at + 1] != ours.ids[at : at + 1]:
            return gap
    return None


def summary(
    options: Options,
    answers: dict[str, list[Completion]],
    per_second: dict[str, float],
    counters: dict[str, Counters],
    gaps: Sequence[Sequence[float]],
) -> dict:
    record = {
        "users": options.users,
        "batch": options.batch,
        "dtype": options.dtype,
        "model": options.model,
        "machine": machine_name(),
        "ours_lists_per_s": per_second["ours"],
        "published_lists_per_s": per_second["published"],
        "plain_lists_per_s": per_second["plain"],
        "compared": len(answers["plain"]),
        "tokens_per_list": sum(len(completion.ids) for completion in answers["ours"]) / len(answers["ours"]),
        "published_is_plain": sum(a.ids == b.ids for a, b in zip(answers["published"], answers["plain"], strict=True)),
    }
    for name, key in (("ours", ""), ("ours, teacher's drafts", "teacher_")):
        if name in answers:
            differing = [
                gap
                for completion, other, row in zip(answers["plain"], answers[name], gaps, strict=False)
                if (gap := first_gap(completion, other, row)) is not None
            ]
            work = counters[name]
            record |= {
                f"{key}passes_per_item": work.row_passes / max(1, work.items),
                f"{key}tokens_read_per_token": work.tokens_read / max(1, work.tokens),
                f"{key}identical": len(answers["plain"]) - len(differing),
                f"{key}min_gap": min(differing, default=None),
                f"{key}max_gap": max(differing, default=None),
                f"{key}off_catalog": work.off_catalog,
            }
            record[f"{key}lists_per_s" if key else "ours_lists_per_s"] = per_second[name]
    return record


def main() -> None:
    options = parse(Options)
    record = run(options)
    print(f"{record['machine']}: {options.users} users, batches of {options.batch}, {options.dtype}")
    print(f"{'':32}{'lists/s':>10}{'published = 1':>16}")
    for name, key in (
        ("engine", "ours_lists_per_s"),
        ("engine, teacher's drafts", "teacher_lists_per_s"),
        ("generate, our processor", "plain_lists_per_s"),
        ("generate, published processor", "published_lists_per_s"),
    ):
        if key in record:
            print(f"{name:32}{record[key]:10.3f}{record[key] / record['published_lists_per_s']:16.2f}")
    print(json.dumps(record))


if __name__ == "__main__":
    run_cli(main)
