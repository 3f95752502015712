"""Options of cli_serve.py."""

from dataclasses import dataclass

from train_utils.options import option
from train_utils.param.model import ENCODER, TEACHERS, ModelOptions

READER = (
    "reads what messages ask. rules; model: the model writes it under the catalog's grammar, which a model trained by "
    "SFTReading can; both: rules, then the model where they read nothing"
)
READERS = ("rules", "model", "both")


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
    max_new_tokens: int = option(512, "tokens of an answer at most, without its list", least=1)
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
        ENCODER,
        "encoder for words that mean a category without naming it, such as funny for Comedy; '' reads names only",
        empty=True,
    )
    reader: str = option("rules", READER, READERS)
    teacher: str = option(
        "auto",
        "whose scores move lists, of the dataset of --domain: "
        + TEACHERS
        + "; auto, and for other domains: the newest "
        "run in unirec/output/DOMAIN, where there is one; none",
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
        needs=("serve", "mcp"),
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
        needs=("serve", "mcp"),
    )
    catalogue_journal: str = option(
        "",
        "folder that keeps the changes of catalogs between runs; '' keeps them in memory, until the server ends",
        needs="serve",
    )
    cors: str = option("", "origins of other sites whose pages may use the APIs, with commas between; '' for none")
    mcp: str = option(
        "",
        "tools for assistants, by the Model Context Protocol. stdio, also without a value: over the standard input and "
        "output, instead of a chat; http: at /mcp of the server",
        ("", "stdio", "http"),
        empty=True,
        bare="stdio",
    )
