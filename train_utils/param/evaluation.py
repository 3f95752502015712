"""Options of task_test.py and task_MR_test.py."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from train_utils.options import option
from train_utils.param.model import TEACHERS, ModelOptions

TEST_TASKS = (
    "SFTTestSeqRec",
    "SFTTestSeqRec-MR",
    "SFTTestSeqRec-MR-same",
    "SFTTestSeqRec-CS-MR",
    "SFTTestSeqRanking",
    "SFTTestCategory",
    "SFTTestItemCount",
    "SFTTestEmbedding",
)
TEST_TASK_HELP = (
    "test task. SFTTestSeqRec: the next items; -MR: after a chat exchange, -same: one exchange for all users; "
    "-CS: names the control symbols; SFTTestSeqRanking: a choice of candidates; SFTTestCategory: one "
    "category only, or none of it; SFTTestItemCount: 1..topk items, in words; SFTTestEmbedding asks "
    "RecLM-ret for items by their titles: recall of the item named, cosines of queries and item vectors "
    "within and between categories, heat maps as a PNG"
)
# Choices of the test's options.
Split = Literal["valid", "test"]
HideSeen = Literal["none", "visible", "all"]
Decoding = Literal["greedy", "best", "rank"]
EvalEngine = Literal["own", "hf", "vllm", "shortlist"]
PriorSource = Literal["teacher", "popularity"]
PriorReduce = Literal["sum", "max"]


@dataclass(frozen=True, kw_only=True)
class EvalOptions(ModelOptions):
    """Score a model, a baseline or the lists of another system on the users of a dataset."""

    _groups = {
        "gpu": "device",
        "data_path": "dataset, model and result",
        "use_control_symbol": "request",
        "batch_size": "users and lengths",
        "marked_history": "decoding",
        "prior": "prior",
        "ranker": "baselines and other systems",
        "teacher": "teacher and files",
    }

    data_path: str = option(help="dataset folder")
    model_name: str = option("", "model folder (merged, base or adapter), or a hub name")
    backbone: str = option("", "base model of an adapter, instead of the one that its configuration names")
    SFT_test_task: str = option("SFTTestSeqRec", TEST_TASK_HELP, TEST_TASKS)
    output: str = option("", "result file; '' writes it to the model's folder, under a name that states the settings")
    use_control_symbol: bool = option(False, "the instruction names the control symbols")
    use_CBS: bool = option(False, "constrain titles to the catalog")
    CBS_type: int = option(2, "1: the trie alone, 2: the trie with distinct items", (1, 2))
    topk: int = option(10, "number of items requested", least=1)
    candidate_num: int = option(10, "candidates that SFTTestSeqRanking shows", least=1)
    enforce_request: bool = option(
        False, "what a request asks for (a category, candidates) becomes a rule: nothing else can be listed"
    )
    idx: bool = option(False, "the list is numbered")
    batch_size: int = option(16, "users per forward pass", least=1)
    max_history: int = option(10, "events shown at most", least=1)
    gen_max_length: int = option(512, "new tokens at most", least=1)
    max_token_length: int = option(1024, "prompt tokens at most", least=1)
    users: int = option(0, "users drawn by seed; 0 takes all", least=0)
    seed: int = option(0, "seed of the draw, of wordings and of the bootstrap", least=0)
    split: Split = option("test", "which event is the target", get_args(Split))
    hide_seen: HideSeen = option(
        "visible", "which consumed items may not be listed: none, the shown ones, or all", get_args(HideSeen)
    )
    share_chat_gpt: str = option(
        "data/raw/sharegpt/sharegpt.json", "ShareGPT-form conversations of the -MR tasks", empty=True, exists=True
    )
    marked_history: bool = option(True, "write the history as the answers are written, between control tokens")
    decoding: Decoding = option(
        "greedy",
        "how titles are found. greedy: token by token, as published; best: at each item the most probable "
        "title; rank: the topk most probable titles at the first item",
        get_args(Decoding),
    )
    force_items: bool = option(False, "open every item of the list for the model")
    engine: EvalEngine = option(
        "own",
        "own; hf: transformers' generate, one token per pass, the slow oracle of greedy lists; vllm: the server of "
        "scripts/vllm_serve.sh at url, batch_size requests at a time; shortlist: a server at url without the plugin, "
        "which lists from the 60 best items of the prior",
        get_args(EvalEngine),
    )
    url: str = option("", "address of the server that engine vllm or shortlist asks, such as http://127.0.0.1:8000")
    sequence_weight: str = option(
        "auto",
        "weight of what the model itself expects after the bare history, that of its choice in the text being 1; auto: "
        "3 for models with one token per item trained with --sequences, else 0",
        needs="use_CBS",
    )
    prior: Literal["", PriorSource] = option(
        "", "scores of the items that enter decoding", ("", *get_args(PriorSource))
    )
    prior_weight: str = option(
        "auto",
        "weight of the prior; auto: that of the highest likelihood of validation users' next items, or of the best "
        "NDCG@10 of their lists where items are spelled",
        needs="prior",
    )
    prior_reduce: Literal["auto", PriorReduce] = option(
        "auto",
        "what the prior says of a branch: the sum or the maximum below it; auto: max for greedy, else sum",
        ("auto", *get_args(PriorReduce)),
        needs="prior",
    )
    prior_users: int = option(1000, "validation users that choose the weight", least=1, needs="prior")
    ranker: str = option(
        "",
        "score a baseline instead of a model",
        ("", "random", "popularity", "recent-popularity", "item-knn", "markov", "ease", "teacher"),
    )
    tune: bool = option(
        True, "choose a baseline's settings by NDCG@10 on the validation split; the result file lists what was tried"
    )
    run_file: str = option(
        "",
        "score the lists of an outside system: a TREC run, TSV or CSV of user, item and score, "
        "or JSON lines {user, items}",
        exists=True,
    )
    teacher: str = option("http://127.0.0.1:2068", "of --ranker and --prior: " + TEACHERS)
    trie_cache: str = option("", "folder that keeps tries between runs; worth it from some 10,000 titles")
    GSM8K_data_path: str = option("", "GSM8K questions for the multi-round test", exists=True)

    def __post_init__(self):
        super().__post_init__()
        for name in ("prior_weight", "sequence_weight"):
            if (weight := getattr(self, name)) != "auto" and not _is_finite(weight):
                raise ValueError(f"`{name}` is {weight!r}, wanted a number or auto, 0 or more")


def _is_finite(text: str) -> bool:
    """Return whether a text is a finite number of 0 or more."""
    try:
        return 0 <= float(text) < math.inf
    except ValueError:
        return False
