"""Options of the commands that make item codes, and that add items to a trained model."""

from dataclasses import dataclass

from train_utils.options import Options, option
from train_utils.param.model import ENCODER, TRUST


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
    embedding_model: str = option(ENCODER, "encoder of the items' texts, as sentence-transformers names it")
    levels: int = option(3, "tokens of a code, before the one that distinguishes items of one code", least=1, most=25)
    size: int = option(64, "centers of a level at most", least=1)
    seed: int = option(0, "seed of the initial centers", least=0)
    gpu: str = option("auto", "device of the encoder: cpu, cuda:0, ... or auto")
    overwrite: bool = option(False, "replace codes that are there; models trained with them keep their own copy")
    trust_remote_code: bool = option(False, TRUST)


@dataclass(frozen=True, kw_only=True)
class AddOptions(Options):
    """Add the items of a dataset that a model has no token for: rows for them from their titles and categories."""

    model_name: str = option(help="folder of a merged model with one token per item")
    data_path: str = option(help="dataset folder with the new items and those that the model was trained on")
    output: str = option(help="folder of the model to write")
    trust_remote_code: bool = option(False, TRUST)
