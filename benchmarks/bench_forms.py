"""Item forms compared: training by the recipe of two cores for the same time, then lists for test users.

    python benchmarks/bench_forms.py --minutes 1

Each form is trained by `scripts/train_RecLM_cgen.sh`'s flags, in this process, one form after the other. Titles, the
published form, are the rival. The last line of the output is JSON.
"""

import json
import math
import os
import shlex
import statistics
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

# Threads that spin at barriers block each other on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from machine import machine_name
from tqdm import tqdm
from transformers.utils import logging

from train_utils.catalog import Catalog, load_catalog
from train_utils.command import run_cli
from train_utils.evaluation.cases import EvalCase, eval_cases
from train_utils.evaluation.llm import LLMRecommender, batches, load_llm, side_by_side
from train_utils.evaluation.metrics import aggregate
from train_utils.evaluation.scoring import Scorer
from train_utils.evaluation.specs import ModelPlan
from train_utils.item_codes import FORMS
from train_utils.models.backbone import with_dtype
from train_utils.options import option, parse
from train_utils.param.evaluation import EvalOptions
from train_utils.param.training import TrainOptions
from train_utils.processes import pick_device
from train_utils.prompts.renderer import Chat
from train_utils.recommender import Recommender
from train_utils.samples.batch import Batch, Sample
from train_utils.samples.conversation import Conversation
from train_utils.samples.encode import ScopeLabels, labeled_items
from train_utils.samples.plan import SampleConfig
from train_utils.samples.prefetch import SampleStream
from train_utils.samples.sources import Encode
from train_utils.training.loop import HookResult, train
from train_utils.training.run_samples import open_stream, teacher_of, training_samples
from train_utils.training.sft import cgen_method, loop_config
from train_utils.training.trainable import load_trainable

ROOT = Path(__file__).resolve().parent.parent
TITLES = "title_t"
WORKERS = 2  # micro-batches side by side on a CPU
LIST = 10  # items a list
COLUMNS = ("minutes", "ndcg@10", "hr@10", "items_per_s", "tokens_per_item", "passes_per_item", "lists_per_s")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Quality and speed of item forms after the same time of training."""

    minutes: float = option(1.0, "minutes that each form trains, at the end of which its learning rate is 0")
    steps: int = option(0, "optimizer steps of each form instead of --minutes; 0 for --minutes")
    probe: int = option(8, "steps that are timed before, to choose the number of steps")
    users: int = option(128, "users of the test split, drawn by seed; 0 takes all")
    data_path: str = option("data/dataset/ml-100k", "dataset folder")
    backbone: str = option("snap/base/SmolLM2-135M-Instruct", "chat model")
    teacher: str = option("local:unirec/output/ml-100k", "the teacher, as main.py takes it")
    gpu: str = option("auto", "device")
    seed: int = option(0, "seed of training and of the draw of users")
    flags: str = option("", "flags of main.py for all forms, after those of the recipe")


def check(options: Options) -> None:
    """Check the numbers.

    Raises:
        ValueError: a number is out of range.
    """
    for name, least in (("steps", 0), ("probe", 1), ("users", 0), ("seed", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name} is {getattr(options, name)}, wanted {least} or more")
    if not 0 < options.minutes < math.inf:
        raise ValueError(f"--minutes is {options.minutes}, wanted more than 0")


def trained_forms(data_path: str) -> list[str]:
    """Return the item forms to train on a dataset, titles first: codes of several levels need their files."""
    has_codes = any(Path(data_path).glob("*.index.json"))
    return [form for form in FORMS if has_codes or form != "rq_token_seq"]


def recipe(form: str) -> list[str]:
    """Return the flags of main.py with which the script trains an item form on two cores."""
    script = subprocess.run(
        ["bash", "scripts/train_RecLM_cgen.sh", "ml-100k"],
        cwd=ROOT,
        # `echo` in place of Python prints the command instead of running it.
        env=os.environ | {"RECIPE": "cpu", "ITEM_INDEX": form, "PYTHON": "echo", "BACKBONE": "BACKBONE"},
        capture_output=True,
        text=True,
        check=True,
    )
    return shlex.split(script.stdout)[1:]


def train_options(options: Options, form: str) -> TrainOptions:
    own = {name: getattr(options, name) for name in ("data_path", "backbone", "teacher", "gpu", "seed")}
    flags = [text for name, value in own.items() for text in (f"--{name}", str(value))]
    return with_dtype(parse(TrainOptions, [*recipe(form), *flags, "--no-tensorboard", *shlex.split(options.flags)]))


class LabelCounter:
    """Encoder that counts the labeled items of each sample.

    Args:
        encode: encoder of the method.
    """

    def __init__(self, encode: Encode):
        self._encode = encode
        self._of_sample: dict[tuple[int, ...], int] = {}

    def __call__(self, chat: Chat, choices: ScopeLabels, talk: Conversation, config: SampleConfig) -> Sample:
        sample = self._encode(chat, choices, talk, config)
        self._of_sample[tuple(sample.ids)] = labeled_items(chat, talk, config)
        return sample

    def of_batch(self, batch: Batch) -> int:
        """Return the number of labeled items in a batch."""
        return sum(self._of_sample[ids] for ids in sample_ids(batch))


def sample_ids(batch: Batch) -> list[tuple[int, ...]]:
    """Return the token ids of each sample of a batch."""
    ids, real = batch.ids.view(-1), batch.mask.view(-1).bool()
    ends = [*batch.starts.tolist()[1:], len(ids)]
    return [
        tuple(ids[start:end][real[start:end]].tolist()) for start, end in zip(batch.starts.tolist(), ends, strict=True)
    ]


class MeasuredSteps:
    """Micro-batches by step for the training loop.

    Args:
        stream: the micro-batches.
        labels: the encoder of the stream.

    Attributes:
        times: when each step began and, last, when training ended.
        items: labeled items that were trained.
    """

    def __init__(self, stream: SampleStream, labels: LabelCounter):
        self.stream, self.labels = stream, labels
        self.times: list[float] = []
        self.items = 0

    def __call__(self, step: int) -> list[Batch]:
        self.times.append(time.perf_counter())
        micro = self.stream(step)
        self.items += sum(map(self.labels.of_batch, micro))
        return micro

    def end(self, epoch: int) -> HookResult:
        self.times.append(time.perf_counter())
        return HookResult()

    @property
    def seconds(self) -> float:
        return self.times[-1] - self.times[0]

    @property
    def seconds_per_step(self) -> float:
        """Mean of the steps after the first, which waits for the first samples."""
        begun = self.times[1 if len(self.times) > 2 else 0]
        return (self.times[-1] - begun) / max(1, len(self.times) - 2)


def train_form(options: TrainOptions, catalog: Catalog, steps: int, folder: Path) -> MeasuredSteps:
    """Train a form with a schedule of `steps` steps, and save the adapter as `folder`/adapter.

    Args:
        options: options of the run.
        catalog: the catalog.
        steps: number of optimizer steps.
        folder: empty folder of the run.
    """
    options, device, method = replace(options, output=str(folder)), pick_device(options.gpu), cgen_method(options)
    with teacher_of(options, 0) as teacher:
        backbone, chat = load_trainable(options, catalog, device, method)
        model = method.wrap(backbone, catalog, options)
        samples = training_samples(options, catalog, chat, teacher)
        per_step = options.batch_size * options.gradient_accumulation_steps
        options = replace(options, epoch=math.ceil(steps * per_step / samples.samples(1)))
        labels = LabelCounter(method.encode)
        with closing(open_stream(options, samples, chat, replace(method, encode=labels), model, device)) as stream:
            measured = MeasuredSteps(stream, labels)
            config = replace(loop_config(options, steps), save_seconds=math.inf, epochs=1)
            workers = WORKERS if device.type == "cpu" and options.lora_dropout == 0 else 1
            loss = method.loss(options, chat)
            weights = train(model, loss, measured, config, folder, workers, end_of_epoch=measured.end)
        method.save(model, chat, catalog, folder / "adapter", {}, weights)
    return measured


def steps_in(minutes: float, options: TrainOptions, catalog: Catalog, probe: int) -> int:
    """Return the number of steps that fit the time, by the speed of `probe` steps after a first one."""
    with TemporaryDirectory(prefix="bench-forms-") as folder:
        measured = train_form(options, catalog, probe + 1, Path(folder))
    return max(1, round(60 * minutes / measured.seconds_per_step))


def tokens_per_item(chat: Chat) -> float:
    """Return the mean number of tokens of an item in an answer, control tokens included, over the catalog."""
    return statistics.mean(len(chat.item_ids(item)) for item in range(len(chat.titles)))


def plan_of(test: EvalOptions, catalog: Catalog, recommender: Recommender) -> tuple[LLMRecommender, list[EvalCase]]:
    """Return the model under a plan, and its users."""
    plan = ModelPlan.from_options(test)
    return LLMRecommender(catalog, recommender, plan), eval_cases(catalog, plan.task, plan.split)


def ranked_lists(test: EvalOptions, catalog: Catalog, recommender: Recommender, form: str) -> dict[str, float]:
    """Return metrics of ranked lists, and the lists per second; one list is ranked before the clock starts."""
    llm, users = plan_of(replace(test, decoding="rank"), catalog, recommender)
    scorer, records = Scorer(catalog), []
    llm.answers(users[:1])
    begun = time.perf_counter()
    for rows in tqdm(batches(users, llm), desc=f"{form}: lists", unit="batch", disable=None):
        (answers,) = llm.answers(rows)
        records += [scorer.record(row, answer)["metrics"] for row, answer in zip(rows, answers, strict=True)]
    seconds = time.perf_counter() - begun
    means = aggregate(records, bootstrap=1)
    return {name: means[name]["mean"] for name in ("ndcg@10", "hr@10")} | {"lists_per_s": len(users) / seconds}


def passes_per_item(test: EvalOptions, catalog: Catalog, recommender: Recommender, form: str) -> float:
    """Return the passes per item of the engine in greedy lists of forced length: a row in a pass is one."""
    llm, users = plan_of(replace(test, decoding="greedy", force_items=True), catalog, recommender)
    engine = recommender.engine  # it also reads the bare histories
    passes, items = engine.counters.row_passes, engine.counters.items
    for rows in tqdm(batches(users, llm), desc=f"{form}: greedy lists", unit="batch", disable=None):
        side_by_side(engine.generate, llm.requests(rows), engine.model)
    return (engine.counters.row_passes - passes) / max(1, engine.counters.items - items)


def measure_form(options: Options, form: str, catalog: Catalog) -> dict[str, float | str]:
    """Train and test a form; return its row of the table."""
    trained = train_options(options, form)
    steps = options.steps or steps_in(options.minutes, trained, catalog, options.probe)
    with TemporaryDirectory(prefix="bench-forms-") as folder:
        measured = train_form(trained, catalog, steps, Path(folder))
        test = EvalOptions(
            data_path=options.data_path,
            model_name=f"{folder}/adapter",
            backbone=options.backbone,
            use_CBS=True,
            hide_seen="visible",
            idx=True,
            topk=LIST,
            users=options.users,
            seed=options.seed,
            dtype=trained.dtype,
            gpu=options.gpu,
        )
        recommender = load_llm(catalog, test)
        return {
            "form": form,
            "steps": steps,
            "minutes": measured.seconds / 60,
            "items_per_s": measured.items / measured.seconds,
            "tokens_per_item": tokens_per_item(recommender.renderer),
            **ranked_lists(test, catalog, recommender, form),
            "passes_per_item": passes_per_item(test, catalog, recommender, form),
        }


def measure(options: Options) -> dict[str, object]:
    logging.disable_progress_bar()
    catalog = load_catalog(options.data_path)
    forms = tqdm(trained_forms(options.data_path), desc="forms", unit="form", disable=None)
    rows = [measure_form(options, form, catalog) for form in forms]
    titles = next(row["items_per_s"] for row in rows if row["form"] == TITLES)
    return {
        "machine": machine_name(),
        "users": options.users,
        "seed": options.seed,
        "forms": [row | {"items_per_s_to_titles": row["items_per_s"] / titles} for row in rows],
    }


def show(record: dict) -> None:
    print(record["machine"])
    print(f"{'form':14}" + "".join(f"{name:>17}" for name in (*COLUMNS, "titles = 1")))
    for row in record["forms"]:
        cells = [row[name] for name in (*COLUMNS, "items_per_s_to_titles")]
        print(f"{row['form']:14}" + "".join(f"{cell:17.{3 if cell < 10 else 1}f}" for cell in cells))
    print(json.dumps(record))


def main() -> None:
    options = parse(Options)
    check(options)
    show(measure(options))


if __name__ == "__main__":
    run_cli(main)
