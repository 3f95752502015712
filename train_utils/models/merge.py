"""Merge of a run's adapter: choice of the adapter, the backbone and the output folder."""

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from train_utils.files.atomic import exclusively
from train_utils.manifest import manifest
from train_utils.models.backbone import model_files
from train_utils.models.trained import backbone_of, merge_adapter, trained_from
from train_utils.param.training import TrainOptions


def newest_adapter(run: Path) -> Path:
    """Return the best adapter of a run that validated, else that of the highest epoch.

    Raises:
        ValueError: the run has no finished adapter.
    """
    if (run / "best" / "manifest.json").exists():
        return run / "best"
    adapters = sorted(
        (path.parent for path in run.glob("Epoch*_SFT/manifest.json")),
        key=lambda folder: ([int(digits) for digits in re.findall("[0-9]+", folder.name)], folder.name),
    )
    if not adapters:
        raise ValueError(f"no finished adapter (Epoch*_SFT) in {str(run)!r}; see scripts/train_RecLM_cgen.sh")
    return adapters[-1]


def adapter_of(options: TrainOptions) -> Path:
    """Return the adapter of `--SFT_load`, or the newest adapter of the run.

    Raises:
        ValueError: there is no such adapter.
    """
    if not options.SFT_load:
        return newest_adapter(Path(options.output))
    if not Path(options.SFT_load).is_dir():
        raise ValueError(f"`SFT_load` {options.SFT_load!r} does not exist; it is the folder of an adapter")
    return Path(options.SFT_load)


def named_backbone(options: TrainOptions) -> str:
    """Return the base model that a command names for an adapter; "" if the adapter's configuration decides."""
    return options.backbone if options.names("backbone") else ""


def run_merge(options: TrainOptions) -> Path:
    """Merge the run's adapter into its backbone: `Epoch03_SFT` becomes `SFT_Epoch3` next to it, `best` `SFT_best`.

    Returns:
        The folder of the merged model.

    Raises:
        ValueError: there is no adapter or backbone, or the output folder contains other files of a model.
    """
    adapter = adapter_of(options)
    output = Path(options.merge_output) if options.merge_output else _next_to(adapter)
    weights = [*sorted(adapter.rglob("*.safetensors")), adapter / "manifest.json"]
    named = named_backbone(options)
    backbone = backbone_of(adapter, named) or named or trained_from(adapter) or options.backbone
    with exclusively(output):
        check_output(output, "merge_output", {"adapter": adapter, "backbone": Path(backbone)})
        merge_adapter(adapter, backbone, output, manifest(asdict(options), weights), options.trust_remote_code)
    return output


def _next_to(adapter: Path) -> Path:
    adapter = adapter.resolve() if adapter.name in ("", "..") else adapter
    epoch = re.search("Epoch([0-9]+)", adapter.name) or re.search("([0-9]+)", adapter.name)
    return adapter.parent / (f"SFT_Epoch{int(epoch[1])}" if epoch else "SFT_best")


def check_output(
    output: Path, field: str, inputs: Mapping[str, Path], is_ours: Callable[[Path], bool] = lambda manifest: True
) -> None:
    """Check that a model to write replaces neither its own inputs nor a model that was not written like it.

    Args:
        output: the folder to write.
        field: the option that names it.
        inputs: what the model is made from -> its path.
        is_ours: whether the manifest of a model that is there says that it may be replaced.

    Raises:
        ValueError: it would replace one of them, or `output` is a file.
    """
    resolved = output.resolve()
    for what, path in inputs.items():
        if path.exists() and (resolved == path.resolve() or resolved in path.resolve().parents):
            raise ValueError(
                f"`{field}` {str(output)!r} holds the {what} {str(path)!r}, which would be replaced; "
                "give another folder"
            )
    if output.is_file():
        raise ValueError(f"`{field}` {str(output)!r} is a file, wanted a folder; give another path")
    written = output / "manifest.json"
    is_merged = written.is_file() and not (output / "adapter_config.json").exists() and is_ours(written)
    if not is_merged and (foreign := [path.name for path in model_files(str(output))]):
        raise ValueError(
            f"`{field}` {str(output)!r} holds {foreign[0]}, which this command did not write; give another folder"
        )
