"""Trained models: merged folders, and adapters with their backbones."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from train_utils.command import is_out_of_memory
from train_utils.files.atomic import replacing_folder
from train_utils.files.json_files import read_json
from train_utils.item_codes import FILE_NAME as ITEM_CODES
from train_utils.item_codes import FORMS, check_item_codes, has_item_codes, read_item_codes
from train_utils.manifest import settings_in
from train_utils.model_folder import as_value_error
from train_utils.models.adapters import untie_head
from train_utils.models.backbone import (
    _source,
    end_turns_alike,
    is_of_a_model,
    load_backbone,
    load_tokenizer,
    own_dtype,
    pick_dtype,
)
from train_utils.models.control_rows import init_control_rows
from train_utils.models.retrieval_head import FILES as RETRIEVAL_FILES
from train_utils.models.retrieval_head import FOLDER as RETRIEVAL
from train_utils.models.retrieval_head import has_retrieval
from train_utils.prompts.control_tokens import add_control_tokens


def merge_adapter(
    adapter: str | Path,
    backbone: str,
    output: str | Path,
    manifest: Mapping[str, object],
    trust_remote_code: bool = False,
) -> None:
    """Merge an adapter into its backbone and write a folder that plain transformers loads.

    The folder of an adapter of RecLM-ret remains one of RecLM-ret. Weights are summed in float32 and rounded once, to
    the dtype of the backbone. In `output`, the files of a model are replaced; others, such as results, stay. A whole
    trained model needs no merge and is only rounded.

    Args:
        adapter: folder of the adapter or of a whole trained model.
        backbone: the base model.
        output: the folder to write.
        manifest: content of `manifest.json`.
        trust_remote_code: whether code in the folder of a model may run.

    Raises:
        ValueError: the adapter or the backbone cannot be loaded.
    """
    tokenizer, model = _with_adapter(adapter, backbone, trust_remote_code)
    merged = model.to(own_dtype(backbone, trust_remote_code))  # type: ignore[arg-type]  # as in `load_backbone`
    end_turns_alike(tokenizer, merged)

    def copy_item_files(to: Path) -> None:
        if has_retrieval(adapter):
            (to / RETRIEVAL).mkdir()
            for name in RETRIEVAL_FILES:  # a stranger's folder may link to others
                shutil.copy2(Path(adapter) / RETRIEVAL / name, to / RETRIEVAL / name)
        if has_item_codes(adapter):
            shutil.copy2(Path(adapter) / ITEM_CODES, to / ITEM_CODES)

    save_model(tokenizer, merged, output, manifest, copy_item_files)


def save_model(
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    output: str | Path,
    manifest: Mapping[str, object],
    more: Callable[[Path], None],
) -> None:
    """Write a model, its tokenizer and its manifest as one folder, by one rename.

    Args:
        tokenizer: the tokenizer.
        model: the model.
        output: the folder; files of a model in it are replaced, others stay.
        manifest: content of `manifest.json`.
        more: writes further files into the folder.
    """
    with replacing_folder(output, lambda name: not is_of_a_model(name)) as to:
        model.save_pretrained(to)
        tokenizer.save_pretrained(to)
        more(to)
        (to / "manifest.json").write_text(json.dumps(manifest, indent=1))


def load_trained(
    name: str,
    device: torch.device,
    dtype: str = "auto",
    flash: bool = False,
    backbone: str = "",
    trust_remote_code: bool = False,
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load tokenizer and model of a merged model, a base model or an adapter, which is merged in memory.

    Args:
        name: folder, GGUF file or hub name.
        device: device of the model.
        dtype: dtype of the weights; see `pick_dtype`.
        flash: use FlashAttention 2 instead of the attention of PyTorch.
        backbone: base model of an adapter, instead of the base model that its configuration names.
        trust_remote_code: whether code in the folder of a model may run.

    Returns:
        The tokenizer and the model, in evaluation mode.

    Raises:
        ValueError: no model can be loaded under `name`, the base model of an adapter is missing, or `backbone` is given
            and `name` is no adapter.
    """
    base = backbone_of(name, backbone)
    if base is None:
        if backbone:
            raise ValueError(f"`backbone` is {backbone!r}, and {name!r} is no adapter: it needs no base model")
        return load_backbone(name, device, dtype, flash, trust_remote_code=trust_remote_code)
    tokenizer, model = _with_adapter(name, base, trust_remote_code)
    number_format = getattr(torch, pick_dtype(dtype, device))
    return tokenizer, model.to(device, number_format).eval()  # type: ignore[arg-type]  # as in `load_backbone`


def trained_tokenizer(name: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a trained model whose weights are elsewhere.

    Args:
        name: folder or hub name.
        trust_remote_code: whether code in the folder of a model may run.

    Raises:
        ValueError: no tokenizer can be loaded under `name`, the model's item codes are missing, or it is one of
            RecLM-ret, which does not write its items.
    """
    if has_retrieval(name):
        raise ValueError(f"model {name!r} retrieves its items by vectors (RecLM-ret), which no other server does")
    tokenizer = load_tokenizer(name, trust_remote_code)
    configuration = Path(name) / "config.json"
    content = read_json(configuration) if configuration.is_file() else {}
    form = content.get("item_form") if isinstance(content, dict) else None
    check_item_codes(form if isinstance(form, str) else _trained_form(name), name)
    return tokenizer


def backbone_of(name: str | Path, instead: str = "") -> str | None:
    """Return the base model of an adapter's folder; None for a folder or name that is no adapter.

    The path in the adapter's configuration is searched from the adapter's folder upward, so that the working directory
    does not matter, then from the working directory. An absolute path that no longer exists is searched by its last
    parts (at least two), because the whole directory may have been moved.

    Args:
        name: folder of the adapter.
        instead: base model to return for an adapter, regardless of its configuration.

    Raises:
        ValueError: the configuration is broken, or its path does not exist.
    """
    path = Path(name) / "adapter_config.json"
    if not path.is_file():
        return None
    if instead:
        return instead
    config = read_json(path)
    named = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(named, str) or not named:
        raise ValueError(f"{path} names no base model; give it by `backbone`")
    candidates = _base_candidates(named, path)
    if there := next(filter(_holds_model, candidates), None) or next(
        (candidate for candidate in candidates if candidate.exists()), None
    ):
        return str(there)
    try:
        _source(named)
        return named
    except ValueError:
        raise ValueError(
            f"the base model {named!r} of the adapter {str(name)!r} is neither above the adapter's folder "
            "nor in the working directory; give it by `backbone`"
        ) from None


def trained_from(folder: str | Path) -> str:
    """Return the base model in the manifest of a whole trained model, searched as for an adapter; "" for none."""
    path = Path(folder) / "manifest.json"
    named = settings_in(path).get("backbone")
    if not isinstance(named, str) or not named:
        return ""
    return next((str(candidate) for candidate in _base_candidates(named, path) if _holds_model(candidate)), named)


def _trained_form(adapter: str | Path) -> str | None:
    """Return the form with item codes that an adapter was trained with, by its manifest; None for titles."""
    form = settings_in(Path(adapter) / "manifest.json").get("item_index")
    return form if isinstance(form, str) and form in FORMS[1:] else None


def _learned_to_read(adapter: str | Path) -> bool:
    """Return whether an adapter was trained to read messages, by its manifest."""
    path = Path(adapter) / "manifest.json"
    content = read_json(path) if path.is_file() else None
    tasks = content.get("tasks") if isinstance(content, dict) else None
    return isinstance(tasks, list) and "SFTReading" in tasks


def _base_candidates(named: str, configuration: Path) -> list[Path]:
    """Return the candidate paths of the base model in an adapter's configuration, the most probable first."""
    path = Path(named).expanduser()
    above = list(dict.fromkeys([*configuration.resolve().parents, *configuration.absolute().parents]))
    if not path.is_absolute():
        return [*(parent / path for parent in above), path]
    tails = [Path(*path.parts[start:]) for start in range(1, len(path.parts) - 1)]
    return [path, *(parent / tail for tail in tails for parent in above)]


def _holds_model(path: Path) -> bool:
    return path.is_file() or (path / "config.json").is_file()


def _with_adapter(
    adapter: str | Path, backbone: str, trust_remote_code: bool
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load tokenizer and float32 model of an adapter, merged, or of a whole trained model.

    Raises:
        ValueError: the adapter or its base model cannot be loaded.
    """
    whole = (Path(adapter) / "config.json").exists()
    if not whole and not (Path(adapter) / "adapter_config.json").exists():
        raise ValueError(f"no adapter in {str(adapter)!r}; train one first (scripts/train_RecLM_cgen.sh)")
    tokenizer = load_tokenizer(str(adapter), trust_remote_code)
    try:
        own, model = load_backbone(
            str(adapter) if whole else backbone,
            torch.device("cpu"),
            "float32",
            trust_remote_code=trust_remote_code,
        )
    except ValueError as error:
        if whole:
            raise
        raise ValueError(f"the base model of the adapter {str(adapter)!r}: {error}; name it by `backbone`") from None
    if whole:
        check_item_codes(getattr(model.config, "item_form", None), adapter)
        return tokenizer, model
    # The rows start with the same values as in training, including rows that the adapter does not contain.
    if add_control_tokens(own):
        init_control_rows(tokenizer, model)
    untie_head(model)
    check_item_codes(_trained_form(adapter), adapter)
    if has_item_codes(adapter):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)  # the adapter has the rows of the codes
        model.config.item_form = read_item_codes(adapter).form
    if _learned_to_read(adapter):
        model.config.reads_messages = True
    with as_value_error(f"adapter {str(adapter)!r} cannot be loaded"):
        try:
            return tokenizer, PeftModel.from_pretrained(model, adapter, low_cpu_mem_usage=True).merge_and_unload()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"it was trained on another model than {backbone!r}: {reason}") from None
