"""Samples -> completions -> metrics -> a result file that an interrupted run goes on with."""

import json
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from train_utils.baselines import ItemKNN, Popularity, Ranker, RecentPopularity
from train_utils.catalog import Catalog, load_catalog
from train_utils.chat import Chat, Message, message, separator, split_completion
from train_utils.engine import Completion, Engine, Request
from train_utils.files import manifest, write_json
from train_utils.metrics import aggregate, coverage, score_list
from train_utils.model import add_item_tokens, load_backbone, pick_device
from train_utils.param import EvalOptions
from train_utils.sharegpt import load_exchanges
from train_utils.teacher import open_teacher
from train_utils.template import SEQREC_TEST, SYSTEM, fill, history_parts
from train_utils.title_search import most_probable_titles
from train_utils.trie import Rules, build_tree

SHARE_CHAT_GPT = "data/raw/sharegpt/sharegpt.json"
MR_SEGMENT = 200


@dataclass(frozen=True)
class EvalUser:
    """One user of a split: everything consumed before the target, what of it is shown, and the target."""

    user: str
    consumed: tuple[int, ...]
    shown: tuple[int, ...]
    target: int

    def hidden(self, hide_seen: str) -> tuple[int, ...]:
        return {"none": (), "visible": self.shown, "all": self.consumed}[hide_seen]


@dataclass(frozen=True)
class Answer:
    """A list of item ids (None for a title that is not in the catalogue) and the text that it came from."""

    items: list[str | None]
    completion: str | None = None


def eval_users(catalog: Catalog, options: EvalOptions) -> list[EvalUser]:
    """The users of the split, or `options.users` of them drawn by seed, in file order.

    Raises:
        ValueError: more users than the split has, or a history that shows nothing.
    """
    if options.max_history < 1:
        raise ValueError(f"--max_history is {options.max_history}, wanted 1 or more")
    rows = [
        EvalUser(user, consumed, consumed[-options.max_history:], target)
        for user, consumed, target in catalog.split(options.split)
    ]
    if options.users > len(rows):
        raise ValueError(f"--users {options.users}: the split has {len(rows)} users")
    if options.users:
        chosen = set(random.Random(options.seed).sample(range(len(rows)), options.users))
        rows = [row for i, row in enumerate(rows) if i in chosen]
    return rows


# -- rankers that are no language model ------------------------------------------------------------------------------


def rank_users(catalog: Catalog, users: Sequence[EvalUser], options: EvalOptions) -> list[Answer]:
    """Answers of `--ranker`, over the same candidates as a model's."""
    hidden = [row.hidden(options.hide_seen) for row in users]
    if options.ranker == "teacher":
        teacher = open_teacher(options.teacher)
        if options.hide_seen == "none":
            raise ValueError("--ranker teacher hides what it is shown; use --hide_seen visible or all")
        return [Answer(list(ids)) for ids in teacher.top_k([catalog.ids(h) for h in hidden], options.topk)]
    rankers: dict[str, Ranker] = {
        "popularity": Popularity(), "recent-popularity": RecentPopularity(), "item-knn": ItemKNN()
    }
    ranker = rankers[options.ranker].fit([list(s) for s in catalog.training_sequences()], len(catalog.items))
    lists = ranker.rank([list(row.shown) for row in users], [set(h) for h in hidden], options.topk)
    return [Answer(catalog.ids(int(i) for i in row if i >= 0)) for row in lists]


# -- a language model ------------------------------------------------------------------------------------------------


class ModelUnderTest:
    """A model and its catalogue: makes prompts, decodes, reads items back."""

    def __init__(self, catalog: Catalog, options: EvalOptions):
        self.catalog, self.options = catalog, options
        _check_task(options)
        self.device = pick_device(options.gpu)
        tokenizer, model = load_backbone(options.model_name, self.device, options.dtype, options.FA2)
        # A base model gets the control tokens that it never saw, so that it can be constrained.
        add_item_tokens(tokenizer, model)
        self.chat = Chat(tokenizer, catalog.titles)
        self.tree = build_tree(self.chat.title_ids, self.chat.soi, self.chat.eoi)
        self.engine = Engine(model, self.chat)
        self.by_title = {title: i for i, title in enumerate(catalog.titles)}
        self.exchanges: Sequence[Sequence[Message]] = ()
        if "MR" in options.SFT_test_task:
            self.exchanges = load_exchanges(SHARE_CHAT_GPT, self.chat, MR_SEGMENT)

    def request(self, row: EvalUser) -> Request:
        """Raises ValueError when the prompt is longer than `--max_token_length`."""
        options = self.options
        names_symbols = options.use_control_symbol or "CS" in options.SFT_test_task
        wording = next(template for template in SEQREC_TEST if template.names_symbols == names_symbols)
        asked = fill(wording, history=history_parts(row.shown, options.marked_history), k=options.topk)
        messages = [message("system", SYSTEM), *self._exchange(row), message("user", *asked)]
        prompt = self.chat.render(messages, prompt=True).ids
        if len(prompt) > options.max_token_length:
            raise ValueError(
                f"the prompt of user {row.user!r} has {len(prompt)} tokens, --max_token_length allows "
                f"{options.max_token_length}; raise it or lower --max_history"
            )
        rules = Rules(self.tree, deny=row.hidden(options.hide_seen), distinct=options.CBS_type == 2)
        return Request(
            prompt, rules if options.use_CBS else None, options.use_CBS, options.gen_max_length,
            # One item beyond the list shows that the model counted wrong; the rest of a runaway list shows nothing.
            options.topk + (not options.force_items), options.force_items, options.idx,
            best_titles=int(options.decoding == "best"),
        )

    def _exchange(self, row: EvalUser) -> Sequence[Message]:
        if not self.exchanges:
            return ()
        same = self.options.SFT_test_task.endswith("same")
        return random.Random(f"{self.options.seed}/{'' if same else row.user}").choice(self.exchanges)

    def answer(self, request: Request, completion: Completion) -> Answer:
        text = self.chat.tokenizer.decode(completion.ids)
        if request.rules is not None:
            found: list[int | None] = [request.rules.first_item(leaf) for leaf in completion.leaves]
        else:
            items, _ = split_completion(completion.ids, self.chat.soi, self.chat.eoi)
            found = [self.by_title.get(self.chat.decode(ids).strip()) for ids in items]
        return Answer([None if i is None else self.catalog.items[i].id for i in found], text)

    def answers(self, users: Sequence[EvalUser]) -> list[Answer]:
        requests = [self.request(row) for row in users]
        return [self.answer(*pair) for pair in zip(requests, self._generate(requests), strict=True)]

    def _generate(self, requests: Sequence[Request]) -> list[Completion]:
        """On the CPU halves of a batch are decoded side by side, each on one core: a decoding pass is too little
        work to be split. How a batch is cut does not depend on the machine, so neither does the answer."""
        decode = self._rank if self.options.decoding == "rank" else self.engine.generate
        if self.device.type != "cpu":
            return decode(requests)
        half = (len(requests) + 1) // 2
        with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            parts = pool.map(decode, [part for part in (requests[:half], requests[half:]) if part])
            return [completion for part in parts for completion in part]

    def _rank(self, requests: Sequence[Request]) -> list[Completion]:
        """Lists of the titles that the model finds most probable as the first item, written as the model writes."""
        ranked = most_probable_titles(self.engine.model, self.chat, [r.prompt for r in requests],
                                      [r.rules for r in requests], self.options.topk, self.options.idx)
        completions = []
        for request, titles in zip(requests, ranked, strict=True):
            ids = []
            for rank, title in enumerate(titles, 1):
                item = request.rules.first_item(title.leaf)
                ids += [*self.chat.encode(separator(rank, self.options.idx)), *self.chat.item_ids(item)]
            completions.append(Completion(ids, [title.leaf for title in titles], "items"))
        return completions


def _check_task(options: EvalOptions) -> None:
    ready = ("SFTTestSeqRec", "SFTTestSeqRec-MR", "SFTTestSeqRec-MR-same", "SFTTestSeqRec-CS-MR")
    if options.SFT_test_task not in ready:
        raise ValueError(f"--SFT_test_task {options.SFT_test_task} is not there yet; use one of {', '.join(ready)}")
    if not options.model_name:
        raise ValueError("--model_name is missing: a merged model folder, or --ranker for a baseline")
    if options.decoding != "greedy" and not options.use_CBS:
        raise ValueError(f"--decoding {options.decoding} compares the titles of the catalogue; it needs --use_CBS")


# -- scoring and the result file -------------------------------------------------------------------------------------


def score(catalog: Catalog, row: EvalUser, answer: Answer, options: EvalOptions) -> dict:
    """The record of one user in a result file."""
    metrics = score_list(
        answer.items, catalog.items[row.target].id, history=set(catalog.ids(row.shown)), k_asked=options.topk
    )
    record = {"user": row.user, "target": catalog.items[row.target].id, "items": answer.items, "metrics": metrics}
    return record if answer.completion is None else record | {"completion": answer.completion}


def run_test(options: EvalOptions) -> tuple[Path, dict]:
    """Scores one model or baseline on a split; returns the result file and what it holds.

    Answers are kept batch by batch in `<result>.partial`, so an interrupted run goes on where it was and ends with
    the same file. The result holds no time and no path but those asked for: two runs give the identical file.

    Raises:
        ValueError: a missing model or dataset, a task that is not there, a prompt that does not fit.
    """
    output = Path(options.output) if options.output else default_output(options)
    catalog = load_catalog(options.data_path)
    users = eval_users(catalog, options)
    made_from = manifest(_identity(options), _inputs(options))
    if options.ranker:
        records = [score(catalog, row, answer, options)
                   for row, answer in zip(users, rank_users(catalog, users, options), strict=True)]
    else:
        records = _resumable(catalog, users, options, output.with_name(output.name + ".partial"), made_from)
    lists = [[i for i in record["items"] if i is not None][:10] for record in records]
    result = {
        "manifest": made_from,
        "n_users": len(records),
        "metrics": aggregate([record["metrics"] for record in records], seed=options.seed),
        "coverage@10": coverage(lists, len(catalog.items)),
        "users": records,
    }
    write_json(output, result)
    output.with_name(output.name + ".partial").unlink(missing_ok=True)
    return output, result


def _resumable(catalog: Catalog, users: Sequence[EvalUser], options: EvalOptions, partial: Path,
               made_from: dict) -> list[dict]:
    done = _read_partial(partial, made_from)
    under_test = ModelUnderTest(catalog, options)
    # Batches of like length, cut before anything is skipped: a batch is the same in a resumed run.
    order = sorted(range(len(users)), key=lambda i: (len(under_test.request(users[i]).prompt), i))
    batches = [order[at:at + options.batch_size] for at in range(0, len(order), options.batch_size)]
    with partial.open("a") as file:
        for batch in tqdm(batches, desc=options.SFT_test_task, unit="batch", mininterval=5):
            if all(users[i].user in done for i in batch):
                continue
            rows = [users[i] for i in batch]
            records = [score(catalog, row, answer, options)
                       for row, answer in zip(rows, under_test.answers(rows), strict=True)]
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            file.flush()
            os.fsync(file.fileno())
            done |= {record["user"]: record for record in records}
    return [done[row.user] for row in users]


def _read_partial(partial: Path, made_from: dict) -> dict[str, dict]:
    """Records of an interrupted run of the same manifest; starts the file anew otherwise."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    lines = partial.read_text(encoding="utf-8").splitlines() if partial.exists() else []
    records = []
    for line in lines:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break  # the line that was being written when the run was killed
    if not records or records[0] != made_from:
        records = [made_from]
    partial.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return {record["user"]: record for record in records[1:]}


def default_output(options: EvalOptions) -> Path:
    name = f"{options.SFT_test_task}_{Path(options.data_path).resolve().name}_top{options.topk}.json"
    folder = Path("snap/results") / options.ranker if options.ranker else Path(options.model_name)
    if not options.ranker and not folder.is_dir():
        folder = Path("snap/results") / options.model_name.replace("/", "_")
    return folder / name


def _identity(options: EvalOptions) -> dict:
    return {k: v for k, v in asdict(options).items() if k not in ("output", "gpu")}


def _inputs(options: EvalOptions) -> Iterator[Path]:
    yield from (Path(options.data_path) / name for name in ("metas.jsonl", "sequential.jsonl", "category.jsonl"))
    if options.model_name:
        yield from sorted(Path(options.model_name).glob("*.safetensors"))


def summary_row(name: str, result: dict) -> dict:
    """The row of a result in a table."""
    metrics = result["metrics"]
    shown = ("hr@1", "hr@5", "hr@10", "ndcg@5", "ndcg@10", "mrr@10", "ood@10", "repeat@10", "in_history@10",
             "correct_count", "short")
    row = {"model": name, **{key: round(metrics[key]["mean"], 4) for key in shown}}
    return row | {f"{key}_ci": [round(edge, 4) for edge in metrics[key]["ci"]] for key in ("hr@10", "ndcg@10")}
