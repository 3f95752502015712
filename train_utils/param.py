"""All defaults: one frozen dataclass of options per entry script."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from train_utils.options import Options, option

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
_TEST_TASK_HELP = (
    "test task. SFTTestSeqRec: the next items; -MR: after a chat exchange, -same: one exchange for all users; "
    "-CS: names the control symbols; SFTTestSeqRanking: a choice of candidates; SFTTestCategory: one "
    "category only, or none of it; SFTTestItemCount: 1..topk items, in words; SFTTestEmbedding asks "
    "RecLM-ret for items by their titles: recall of the item named, cosines of queries and item vectors "
    "within and between categories, heat maps as a PNG"
)
_TEACHERS = "http://HOST:PORT[/DATASET], local:PATH (SASRec.pth, or the folder of its runs), or file:PATH (a recording)"
# Choices of the test's options.
Split = Literal["valid", "test"]
HideSeen = Literal["none", "visible", "all"]
Decoding = Literal["greedy", "best", "rank"]
EvalEngine = Literal["own", "hf", "vllm", "shortlist"]
PriorSource = Literal["teacher", "popularity"]
PriorReduce = Literal["sum", "max"]
STAGES = ("SFT", "SFT_Export", "SFT_Merge", "SFT_Embedding", "SFT_Test", "SFT_Embedding_Test")


_TRUST = "run the code in the folder of a model, which can do what you can do; without it such a model is refused"


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    gpu: str = option("auto", "device: cpu, cuda:0, ... or auto")
    dtype: str = option(
        "auto",
        "number format of the model; auto: bfloat16 where the device computes in it, else float32",
        ("auto", "bfloat16", "float32"),
    )
    FA2: bool = option(False, "FlashAttention 2 (a GPU and its package are needed)")
    trust_remote_code: bool = option(False, _TRUST)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions):
    """Train, merge and test adapters of RecLM-cgen and RecLM-ret."""

    _groups = {
        "gpu": "device",
        "train_stage": "run",
        "epoch": "optimization",
        "peft": "adapter",
        "teacher": "teacher and loss",
        "SFT_train_tasks": "samples",
        "save_seconds": "checkpoints and log",
        "val_users": "validation",
        "SFT_load": "merging and testing",
        "chat_template": "accepted without effect",
        "embedding_model": "RecLM-ret",
    }

    train_stage: str = option("SFT", "what to run", STAGES)
    data_path: str = option("data/dataset/ml-100k/", "dataset folder")
    backbone: str = option("snap/base/SmolLM2-135M-Instruct", "chat model: a folder or a hub name")
    output: str = option("snap/ml-100k/cgen", "folder of the run: checkpoints, log, adapters")
    seed: int = option(0, "seed of samples and initialization", least=0)
    overwrite: bool = option(False, "replace a run of other settings in --output instead of refusing")
    epoch: float = option(20, "passes over the users, one sample per user and pass; 0.5 is half a pass", above=0)
    batch_size: int = option(8, "samples per forward pass", least=1)
    gradient_accumulation_steps: int = option(8, "forward passes per optimizer step, over all processes", least=1)
    lr: float = option(1e-4, "learning rate of AdamW, float32 adapter weights", above=0)
    weight_decay: float = option(0.01, "weight decay", least=0)
    warmup_ratio: float = option(0.0125, "share of the steps that warm up", least=0, most=1)
    lr_power: float = option(2.0, "power of the polynomial decay", least=0)
    clip: float = option(1.0, "gradient norm at which gradients are cut", above=0)
    peft: str = option(
        "lora",
        "what is trained: LoRA, DoRA, LoRA on weights in four bits (GPU), or every weight",
        ("lora", "dora", "qlora", "full"),
    )
    gradient_checkpointing: bool = option(False, "recompute activations in the backward pass: slower, less memory")
    SFT_actor_lora_r: int = option(16, "rank of LoRA", least=1)
    SFT_actor_lora_a: int = option(8, "alpha of LoRA", least=1)
    lora_dropout: float = option(0.1, "dropout of LoRA", least=0, most=0.99)
    item_index: str = option(
        "title_t",
        "how items are written. title_t: by their titles, as published; token: one new token per item; "
        "token_title: this token, then the title; rq_token_seq: several tokens per item, of the files that "
        "python -m train_utils.make_codes writes",
        ("title_t", "title", "token", "token_title", "rq_token_seq"),
    )
    item_lr: float = option(3e-3, "learning rate of the rows of item tokens", above=0)
    item_dropout: float = option(0.2, "dropout of the vectors of item tokens", least=0, most=0.99)
    own_labels: float = option(
        0.0,
        "with one token per item: weight of the model's own distribution after the last history item, as label of an "
        "answer's items",
        least=0,
        most=1,
    )
    average: float = option(
        0.0,
        "decay of the average of the weights, which is saved instead of the last ones; 0 = none",
        least=0,
        most=0.9999,
    )
    sequences: bool = option(
        False, "with item tokens: each epoch also passes over all training events, as histories of bare item tokens"
    )
    conversations: int = option(
        0, "conversations per epoch in addition to these histories; 0 = one per user", least=0, needs="sequences"
    )
    text_weight: float = option(
        1.0,
        "weight of the text's loss in a conversation, that of its items and of histories being 1",
        above=0,
        needs="sequences",
    )
    max_sequence: int = option(50, "items of such a history at most", least=2)
    lora_layers: int = option(
        0, "adapt this many layers at the top (a shorter backward pass); 0 = all, as published", least=0
    )
    teacher: str = option("http://127.0.0.1:2068", "the teacher: " + _TEACHERS)
    teacher_record: str = option(
        "",
        "file that gets the teacher's answers to all samples of the run, queried before the "
        "first step; --teacher file:PATH then trains the same without a teacher. Without it "
        "they are queried as they are needed and kept in the run's folder",
    )
    teacher_depth: int = option(50, "teacher items that carry a soft label", least=1)
    soft_labels: float = option(
        0.0, "weight of the teacher's distribution at each choice of a title; 0 = published", least=0, most=1
    )
    history_weight: float = option(0.0, "weight of the choices inside the shown history; 0 = published", least=0)
    scope_mask_type: int = option(3, "title positions in the mean: 1 no forced ones, 2 no forced end, 3 all", (1, 2, 3))
    SFT_train_tasks: str = option(
        "SFTSeqRec-MR:2,SFTSeqRec-CS-MR",
        "what samples ask, TASK[:WEIGHT] with commas between. SFTSeqRec: what comes "
        "next; SFTSeqRanking: a choice of candidates; SFTCategory: one category only, or none of it; SFTItemCount: a "
        "number of items in words; each with -CS (names the control symbols) and -MR (with a chat exchange) "
        "appended; SFTAlignment: the item of a title, the title or the categories of an item; "
        "SFTConversation: turns of a user in the chat; SFTReading: what a message asks, for --reader; ShareChatGPT: a "
        "chat without a request",
    )
    train_data_file: str = option(
        "",
        "JSON file of samples (a list of epochs of {input_text, output_text, task, "
        "input_field_data}) to train on instead of making them; SFT_Export writes it",
    )
    candidate_num: int = option(10, "candidates that SFTSeqRanking shows", least=1)
    max_history: int = option(10, "events shown at most", least=1)
    topk: int = option(10, "maximum number of items requested", least=1)
    list_ratio: float = option(
        1.0, "share of samples that ask for 1..topk items; the others ask for one", least=0, most=1
    )
    idx: bool = option(False, "number the list")
    multi_round_ratio: float = option(0.1, "share of samples with a chat exchange", least=0, most=1)
    share_chat_gpt: str = option(
        "data/raw/sharegpt/sharegpt.json", "ShareGPT-form conversations; '' for none", empty=True, exists=True
    )
    max_segment: int = option(500, "tokens that a turn of such a chat may have", least=1)
    max_answer: int = option(
        0, "tokens of an answer without items that are trained where it ends the sample; 0 = all", least=0
    )
    decision_weight: float = option(
        1.0,
        "weight of the tokens that decide between an item and text: the first of each answer, and in text those after "
        "a token that precedes items in lists; 1 = as any other token",
        above=0,
    )
    save_seconds: float = option(60.0, "seconds between checkpoints", least=0)
    tensorboard: bool = option(True, "write the log for TensorBoard as well, into the run's folder")
    val_users: int = option(
        0,
        "validation users whose lists are scored at the end of an epoch; the best NDCG@10's "
        "adapter is kept in the folder best. 0 validates never",
        least=0,
    )
    val_epochs: int = option(1, "epochs between validations", least=1, needs="val_users")
    early_stop: int = option(
        0,
        "validations without a better NDCG@10 after which training stops; 0 never stops early",
        least=0,
        needs="val_users",
    )
    SFT_load: str = option(
        "", "adapter to merge or to test, '' takes the newest of the run; for SFT_Embedding the adapter to start from"
    )
    merge_output: str = option("", "folder of the merged model; '' is SFT_Epoch<n> next to the adapter")
    # The test stages; published names.
    SFT_test_task: str = option("SFTTestSeqRec", _TEST_TASK_HELP, TEST_TASKS)
    use_control_symbol: bool = option(False, "the instruction names the control symbols")
    test_batch_size: int = option(16, "users per forward pass in tests", least=1)
    gen_max_length: int = option(512, "new tokens at most", least=1)
    max_token_length: int = option(
        1024,
        "tokens that a sample, or the prompt of a test, may have; a sample's history "
        "loses its oldest items until it fits",
        least=1,
    )
    # Accepted so that published command lines run.
    chat_template: str = option(
        "auto", "no effect", ("auto", "llama-3", "llama-2", "chatml"), unused="the tokenizer's own template is used"
    )
    # RecLM-ret
    embedding_model: str = option(
        "snap/base/all-MiniLM-L6-v2",
        "encoder of the items' texts, as sentence-transformers "
        "names it: a folder or a hub name (published: BAAI/bge-m3)",
    )
    embedding_path: str = option(
        "",
        "file of the item vectors (.npy, with its recipe as .json), made if it is "
        "missing; '' is item_vectors.npy in the dataset folder",
    )
    item_vectors: str = option(
        "text",
        "what the item vectors start from: text alone (published), or half text and half co-occurrence in training",
        ("text", "text+co-occurrence"),
    )
    item_emb: bool = option(True, "train the item vectors")
    only_item_emb_proj: bool = option(
        False, "train the projection and the item vectors; the adapter stays as it is (of --SFT_load, or untrained)"
    )
    emb_alpha: float = option(1.0, "weight of the retrieval loss, relative to the text loss", least=0)

    @property
    def epochs_begun(self) -> int:
        """Number of epochs that the run begins; the last one may be a part."""
        return math.ceil(self.epoch)


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
    SFT_test_task: str = option("SFTTestSeqRec", _TEST_TASK_HELP, TEST_TASKS)
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
        "auto", "weight of the prior; auto: that of the best NDCG@10 for validation users", needs="prior"
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
    teacher: str = option("http://127.0.0.1:2068", "of --ranker and --prior: " + _TEACHERS)
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


_READER = (
    "reads what messages ask. rules; model: the model writes it under the catalog's grammar, which a model trained by "
    "SFTReading can; both: rules, then the model where they read nothing"
)
_READERS = ("rules", "model", "both")
# of the gold conversations; "held_out" are those that the reader was never mended against, where the file has some
SPLITS = (
    "dev",
    "test",
    "unseen",
    "fresh",
    "visitors",
    "visitors2",
    "visitors3",
    "visitors4",
    "visitors6",
    "held_out",
    "unread",
)


@dataclass(frozen=True, kw_only=True)
class ChatOptions(ModelOptions):
    """Chat in the terminal or in a pipe."""

    _groups = {
        "gpu": "device",
        "model_name": "model and catalogs",
        "max_new_tokens": "answers",
        "serve": "server",
    }

    model_name: str = option(help="model folder (merged, base or adapter), or a hub name")
    backbone: str = option("", "base model of an adapter, instead of the one that its configuration names")
    url: str = option(
        "",
        "server of scripts/vllm_serve.sh that has the model, such as http://127.0.0.1:8000; no weights are read here",
    )
    data_root: str = option("data/dataset", "folder of the dataset folders that /domain offers")
    domain: str = option("", "catalog to start with; '' takes the only one, or none")
    max_new_tokens: int = option(512, "tokens of an answer at most", least=1)
    max_context: int = option(
        2048,
        "tokens that the model reads at most, the answer included: older exchanges are left out, while what they asked "
        "stays in force. A long text takes seconds per thousand tokens on a CPU",
        least=64,
    )
    CBS_type: int = option(2, "1: the trie alone, 2: the trie with distinct items", (1, 2))
    decoding: str = option(
        "rank",
        "how titles are found. greedy: token by token; best: at each item the most probable title; rank: a "
        "list takes the most probable titles at its first item",
        ("greedy", "best", "rank"),
    )
    trie_cache: str = option("", "folder that keeps tries between runs; worth it from some 10,000 titles")
    embedding_model: str = option(
        TrainOptions.embedding_model,
        "encoder for words that mean a category without naming it, such as funny for Comedy; '' reads names only",
        empty=True,
    )
    reader: str = option("rules", _READER, _READERS)
    teacher: str = option(
        "auto",
        "whose scores move lists, of the domain's dataset: " + _TEACHERS + "; auto: the newest run in "
        "unirec/output/DOMAIN, where there is one; none",
    )
    user: str = option("", "user of the dataset whose history is known from the start")
    input_history: str = option("", "file that keeps typed lines between chats; '' keeps none")
    echo: bool = option(False, "repeat the lines of a pipe before their answers")
    serve: bool = option(False, "answer over HTTP instead: the page, and the APIs of docs/serving.md")
    host: str = option("127.0.0.1", "address to bind; 127.0.0.1: this machine only")
    port: int = option(7861, "port; 0 takes a free one", least=0, most=65535, needs="serve")
    rows: int = option(32, "answers that are decoded at a time", least=1)
    waiting: int = option(128, "requests that may wait; more get 503", least=1)
    deadline_s: float = option(60.0, "seconds that an answer may take", above=0)
    api_keys: str = option(
        "",
        "file of the keys that requests need, a line each: KEY RIGHTS, RIGHTS being read, feedback and catalogue "
        "with commas between; without, everybody who reaches the port may read and give feedback",
        exists=True,
    )
    impressions: str = option(
        "",
        "folder of a log of what was recommended and what users did with it (docs/feedback.md); users are in it as "
        "salted hashes, their texts are not; '' keeps none",
        needs="serve",
    )
    impressions_history: bool = option(False, "log the ids of users' histories as well", needs="impressions")
    impressions_mib: int = option(
        10_240, "MiB that the log may take; further records are dropped and counted", least=1, needs="impressions"
    )
    variants: str = option(
        "", "JSON file of the variants of an A/B test (docs/feedback.md); '' for none", needs="impressions", exists=True
    )
    explore: float = option(
        0.0,
        "temperature at which /v1/recommend draws lists from the model's distribution, so that other policies can be "
        "estimated from the log; 0 lists the most probable items",
        least=0,
        most=100,
        needs="serve",
    )
    catalogue_journal: str = option(
        "",
        "folder that keeps the changes of catalogs between runs; '' keeps them in memory, until the server ends",
        needs="serve",
    )
    cors: str = option("", "origins of other sites whose pages may use the APIs, with commas between; '' for none")
    mcp: str = option(
        "",
        "tools for assistants, by the Model Context Protocol. stdio: over the standard input and output, instead of a "
        "chat; http: at /mcp of the server",
        ("", "stdio", "http"),
        empty=True,
    )


@dataclass(frozen=True, kw_only=True)
class ConversationOptions(ModelOptions):
    """Score conversations: how well messages are read, and with a model, how simulated users get on with the chat."""

    _groups = {"gpu": "device", "data_path": "reading", "model_name": "simulated users"}

    data_path: str = option("data/dataset/ml-100k", "dataset folder of the catalog")
    requests: str = option("", "file of the conversations, JSON lines; '' takes those of ml-100k")
    split: str = option(
        "test",
        "which of them; '' takes all. The reader was developed on dev",
        ("", *SPLITS),
        empty=True,
    )
    embedding_model: str = option(
        TrainOptions.embedding_model, "encoder for words that mean a category; '' reads names only", empty=True
    )
    reader: str = option("rules", _READER, _READERS)
    model_name: str = option("", "model that simulated users of the dataset talk with; '' for none")
    dialogues: bool = option(True, "simulated users talk with the model; --no-dialogues scores its reading alone")
    teacher: str = option("", "of the chat, and filtered by the same rules as its rival: " + _TEACHERS)
    users: int = option(0, "users drawn by seed; 0 takes all", least=0)
    free_users: int = option(
        96, "the first so many of them also talk with the model without a reader, which takes longest", least=0
    )
    seed: int = option(0, "seed of the draw and of the wordings", least=0)
    choose_weights: bool = option(
        False,
        "first choose the weights of model, teacher and similarity on validation users, and write them beside the "
        "model, where the chat finds them",
        needs="model_name",
    )
    output: str = option("", "result file; '' writes conversation.json to the model's folder")


@dataclass(frozen=True, kw_only=True)
class CodeOptions(Options):
    """Make item codes of several levels for `--item_index rq_token_seq`, by residual k-means over item vectors."""

    data_path: str = option(help="dataset folder; it gets NAME.index.json, NAME.item2id and NAME.emb-VECTORS.npy")
    vectors: str = option(
        "text",
        "what the codes are made from: the teacher's item vectors, those of the items' texts, or both",
        ("teacher", "text", "both"),
    )
    teacher: str = option("", "the teacher of the vectors: local:PATH (SASRec.pth, or the folder of its runs)")
    embedding_model: str = option(
        TrainOptions.embedding_model, "encoder of the items' texts, as sentence-transformers names it"
    )
    levels: int = option(3, "tokens of a code, before the one that distinguishes items of one code", least=1, most=25)
    size: int = option(64, "centers of a level at most", least=1)
    seed: int = option(0, "seed of the initial centers", least=0)
    gpu: str = option("auto", "device of the encoder: cpu, cuda:0, ... or auto")
    overwrite: bool = option(False, "replace codes that are there; models trained with them keep their own copy")
    trust_remote_code: bool = option(False, _TRUST)


@dataclass(frozen=True, kw_only=True)
class AddOptions(Options):
    """Add the items of a dataset that a model has no token for: rows for them from their titles and categories."""

    model_name: str = option(help="folder of a merged model with one token per item")
    data_path: str = option(help="dataset folder with the new items and those that the model was trained on")
    output: str = option(help="folder of the model to write")
    trust_remote_code: bool = option(False, _TRUST)


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options):
    """Write the request of a shortlist to a server without this project's plugin, or its grammar; read its answer."""

    _groups = {"model_name": "model and catalog", "history": "user", "server": "server", "form": "output"}

    model_name: str = option(help="folder of the merged model that the server serves; its weights are not read")
    data_path: str = option(help="dataset folder")
    teacher: str = option("", "who chooses the candidates: " + _TEACHERS + "; '' takes the most popular items")
    trust_remote_code: bool = option(False, _TRUST)
    history: str = option("[]", 'the user\'s items, ids or titles, oldest first, as JSON: \'["Alien", "Heat"]\'')
    rules: str = option("{}", 'item rules as JSON: \'{"categories": ["Comedy"]}\'')
    users: str = option("", 'file of many users instead, JSON lines: {"history": [...], "rules": {...}}', exists=True)
    max_history: int = option(10, "newest items of a history that the prompt shows", least=1)
    topk: int = option(10, "items of the list", least=1, most=64)
    candidates: int = option(60, "candidates of the list: the teacher's best admissible items", least=1, most=64)
    server: str = option("vllm", "server of the request", ("vllm", "sglang", "tensorrt_llm", "llamacpp"))
    served_model: str = option("", "name under which the server serves the model; '' leaves it to the server")
    form: str = option("request", "the body of POST /v1/completions, or only the grammar", ("request", "grammar"))
    answer: str = option("", "file of the server's answer to the request, - for standard input: print its items")
