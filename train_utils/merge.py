"""Which adapter is merged, and where the merged model goes."""

import re
from dataclasses import asdict
from pathlib import Path

from train_utils.files import exclusively, manifest
from train_utils.model import backbone_of, merge_adapter
from train_utils.param import TrainOptions


def newest_adapter(run: Path) -> Path:
    """The best adapter of a run that validated, else that of the highest epoch. Raises ValueError without any."""
    if (run / "best" / "manifest.json").exists():
        return run / "best"
    found = sorted((path.parent for path in run.glob("Epoch*_SFT/manifest.json")), key=lambda folder: (
        [int(digits) for digits in re.findall("[0-9]+", folder.name)], folder.name))
    if not found:
        raise ValueError(f"no finished adapter (Epoch*_SFT) in {str(run)!r}; see scripts/train_RecLM_cgen.sh")
    return found[-1]


def named_backbone(options: TrainOptions) -> str:
    """The base model that a command names for an adapter; "" where it leaves it to the adapter's configuration."""
    return options.backbone if options.names("backbone") else ""


def run_merge(options: TrainOptions) -> Path:
    """Merges the run's adapter into its backbone: `Epoch03_SFT` becomes `SFT_Epoch3` beside it, `best` `SFT_best`."""
    adapter = Path(options.SFT_load) if options.SFT_load else newest_adapter(Path(options.output))
    digits = "".join(c for c in adapter.name if c.isdigit())
    output = Path(options.merge_output or adapter.parent / (f"SFT_Epoch{int(digits)}" if digits else "SFT_best"))
    weights = [*sorted(adapter.rglob("*.safetensors")), adapter / "manifest.json"]
    backbone = backbone_of(adapter, named_backbone(options)) or options.backbone
    with exclusively(output):
        merge_adapter(adapter, backbone, output, manifest(asdict(options), weights))
    return output
