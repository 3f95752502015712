"""Which adapter is merged, and where the merged model goes."""

from dataclasses import asdict
from pathlib import Path

from train_utils.files import manifest
from train_utils.model import merge_adapter
from train_utils.param import TrainOptions


def newest_adapter(run: Path) -> Path:
    """The best adapter of a run that validated, else that of the highest epoch. Raises ValueError without any."""
    if (run / "best" / "manifest.json").exists():
        return run / "best"
    found = sorted(path.parent for path in run.glob("Epoch*_SFT/manifest.json"))
    if not found:
        raise ValueError(f"no finished adapter (Epoch*_SFT) in {str(run)!r}; see scripts/train_RecLM_cgen.sh")
    return found[-1]


def run_merge(options: TrainOptions) -> Path:
    """Merges the run's adapter into its backbone: `Epoch03_SFT` becomes `SFT_Epoch3` beside it, `best` `SFT_best`."""
    adapter = Path(options.SFT_load) if options.SFT_load else newest_adapter(Path(options.output))
    digits = "".join(c for c in adapter.name if c.isdigit())
    output = Path(options.merge_output or adapter.parent / (f"SFT_Epoch{int(digits)}" if digits else "SFT_best"))
    weights = [*sorted(adapter.rglob("*.safetensors")), adapter / "manifest.json"]
    merge_adapter(adapter, options.backbone, output, manifest(asdict(options), weights))
    return output
