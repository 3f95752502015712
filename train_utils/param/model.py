"""Options of every command that loads a model, and texts that several commands share."""

from dataclasses import dataclass

from train_utils.options import Options, option

TEACHERS = (
    "http://HOST:PORT[/DATASET], local:PATH (SASRec.pth, or the folder of its runs), file:PATH (a recording), "
    "ease:FOLDER (what the users of a dataset consumed together), or one of the others and +ease:FOLDER (both)"
)
TRUST = "run the code in the folder of a model, which can do what you can do; without it such a model is refused"
ENCODER = "snap/base/all-MiniLM-L6-v2"


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Device, number format and code of a model."""

    gpu: str = option("auto", "device: cpu, cuda:0, ... or auto")
    dtype: str = option(
        "auto",
        "number format of the model; auto: bfloat16 where the device computes in it, else float32",
        ("auto", "bfloat16", "float32"),
    )
    FA2: bool = option(False, "FlashAttention 2 (a GPU and its package are needed)")
    trust_remote_code: bool = option(False, TRUST)
