"""Test tasks, parsed from their published names."""

from dataclasses import dataclass
from typing import Literal

from train_utils.models.retrieval_head import has_retrieval
from train_utils.param import EvalOptions

Kind = Literal["next_items", "ranking", "category", "item_count", "embedding"]
Exchange = Literal["", "per_user", "shared"]
_KINDS: dict[str, Kind] = {
    "SFTTestSeqRec": "next_items",
    "SFTTestSeqRanking": "ranking",
    "SFTTestCategory": "category",
    "SFTTestItemCount": "item_count",
    "SFTTestEmbedding": "embedding",
}


@dataclass(frozen=True, slots=True)
class EvalTask:
    """Test task.

    Attributes:
        name: the published name, such as "SFTTestSeqRec-CS-MR".
        kind: kind of request.
        exchange: the chat exchange before the request: none (""), one drawn per user, or one shared by all users.
        names_symbols: whether the request names the control tokens.
    """

    name: str
    kind: Kind
    exchange: Exchange = ""
    names_symbols: bool = False

    @classmethod
    def parse(cls, name: str) -> "EvalTask":
        """Parse a published name, KIND[-CS][-MR[-same]].

        Raises:
            ValueError: the name has another form.
        """
        kind, *marks = name.split("-")
        if kind not in _KINDS or marks not in ([], ["CS"], ["MR"], ["MR", "same"], ["CS", "MR"], ["CS", "MR", "same"]):
            raise ValueError(
                f"the test task is {name!r}, wanted one of {', '.join(_KINDS)}, with -CS and -MR[-same] behind it"
            )
        exchange: Exchange = "shared" if "same" in marks else "per_user" if "MR" in marks else ""
        return cls(name, _KINDS[kind], exchange, "CS" in marks)


def check_options(options: EvalOptions) -> None:
    """Refuse combinations of options that cannot be tested, before anything is loaded.

    Raises:
        ValueError: a combination without effect or sense, in one line.
    """
    retrieves = has_retrieval(options.model_name)
    constrained = options.use_CBS or retrieves  # what is retrieved is of the catalog
    kind = EvalTask.parse(options.SFT_test_task).kind
    if kind == "embedding":
        raise ValueError(
            "--SFT_test_task SFTTestEmbedding looks into RecLM-ret; run main.py --train_stage SFT_Embedding_Test"
        )
    if kind == "item_count" and (options.decoding == "rank" or options.force_items):
        raise ValueError(
            "--SFT_test_task SFTTestItemCount asks whether the model counts; --decoding rank and "
            "--force_items count for it, take --decoding greedy or best"
        )
    if options.enforce_request and not constrained:
        raise ValueError("--enforce_request makes rules of requests; it needs --use_CBS")
    if not options.model_name:
        raise ValueError("--model_name is missing: a merged model folder")
    if options.decoding != "greedy" and not constrained:
        raise ValueError(f"--decoding {options.decoding} compares the titles of the catalog; it needs --use_CBS")
    if options.engine == "hf" and (options.decoding != "greedy" or options.force_items or not constrained):
        raise ValueError(
            "--engine hf is the oracle of greedy lists; it needs --decoding greedy and --use_CBS, and "
            "has no --force_items"
        )
    if options.engine == "hf" and retrieves:
        raise ValueError("--engine hf spells titles; a model of RecLM-ret retrieves them, take --engine own")
    if options.prior and not constrained:
        raise ValueError(f"--prior {options.prior} scores the titles of the catalog; it needs --use_CBS")
