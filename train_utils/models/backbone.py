"""Backbones: dtype, loading, model files, end of turn and mixed precision."""

import importlib.util
import warnings
from contextlib import nullcontext
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from huggingface_hub import try_to_load_from_cache
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    dynamic_module_utils,
)

from train_utils.item_codes import FILE_NAME as ITEM_CODES
from train_utils.model_folder import as_value_error, check_model_folder, weights_in
from train_utils.models.retrieval_head import FOLDER as RETRIEVAL
from train_utils.models.size_limit import limited_by
from train_utils.param.model import ModelOptions
from train_utils.processes import pick_device
from train_utils.prompts.chat_template import ChatTemplate, dated_templates
from train_utils.prompts.template_process import start_renderer

Options = TypeVar("Options", bound=ModelOptions)
# peft still uses a name of transformers that 5.23 deprecates; a user cannot change that.
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
# Where a load does not say whether code of the folder may run, transformers asks on stdin, and reads a line of the
# chat. Every load here says so; this makes one that a library starts by itself fail instead of asking.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
# Result files in the folder of a model are not part of the model.
_MODEL_FILES = (
    "*.safetensors",
    "*.bin",
    "*.gguf",
    "*.model",
    "*.jinja",
    "merges.txt",
    "vocab.*",
    "config.json",
    "adapter_config.json",
    "*.index.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    f"{RETRIEVAL}/*.safetensors",
    ITEM_CODES,
)


def pick_dtype(dtype: str, device: torch.device) -> str:
    """Return the dtype that `--dtype` names; "auto" is bfloat16 if the device computes in it, else float32.

    A CPU without bfloat16 instructions emulates them, at a tenth of the speed of float32 or less.

    Raises:
        ValueError: PyTorch has no such dtype.
    """
    if dtype != "auto":
        if not isinstance(getattr(torch, dtype, None), torch.dtype):
            raise ValueError(f"`dtype` is {dtype!r}, wanted auto, bfloat16 or float32")
        return dtype
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        native = device.type != "cpu" or bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return "bfloat16" if native else "float32"


def with_dtype(options: Options) -> Options:
    """Return the options with the dtype that `--dtype auto` means on their device, since results depend on it."""
    return replace(options, dtype=pick_dtype(options.dtype, pick_device(options.gpu)))


def load_tokenizer(name: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Tokenizer alone, from a folder, GGUF file or hub name.

    Args:
        name: folder, GGUF file or hub name.
        trust_remote_code: whether code in the folder may run.

    Raises:
        ValueError: no tokenizer can be loaded under `name`.
    """
    folder, file = _source(name)
    start_renderer()  # while the files are read
    with as_value_error(f"model {name!r} cannot be loaded"):
        _check_files(name)
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, **file)


def load_backbone(
    name: str,
    device: torch.device,
    dtype: str = "auto",
    flash: bool = False,
    four_bit: bool = False,
    trust_remote_code: bool = False,
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Tokenizer and causal model of a folder, GGUF file or hub name, in evaluation mode, decoding greedily by default.

    The blocks of a GGUF are unpacked: the result is an ordinary model in `dtype`.

    Args:
        name: folder, GGUF file or hub name.
        device: device of the model.
        dtype: dtype of the weights; see `pick_dtype`.
        flash: use FlashAttention 2 instead of the attention of PyTorch.
        four_bit: keep the linear layers except the head in four bits (NF4, for QLoRA), which needs a GPU.
        trust_remote_code: whether code in the folder may run.

    Returns:
        The tokenizer and the model.

    Raises:
        ValueError: no model can be loaded under `name`, or four bits lack a GPU or bitsandbytes.
    """
    folder, file = _source(name)
    number_format = getattr(torch, pick_dtype(dtype, device))
    packed = _four_bits(device, number_format) if four_bit else {}
    if file and packed:
        raise ValueError(f"`peft` qlora packs weights that are whole, and {name!r} is packed; use `peft` lora")
    tokenizer = load_tokenizer(name, trust_remote_code)
    how = {"quantization_config": GgufConfig(dequantize=True)} if file else packed
    local = local_path(name)

    def load(attention: str) -> PreTrainedModel:
        with limited_by(weights_in(local)) if local else nullcontext():
            return AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=number_format,
                attn_implementation=attention,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                **file,
                **how,
            )

    with as_value_error(f"model {name!r} cannot be loaded"):
        try:
            model = load("flash_attention_2" if flash else "sdpa")
        except ValueError as error:
            if flash or "attn_implementation" not in str(error):
                raise
            model = load("eager")  # a model without attention has no other name for it
    _check_vocabulary(name, tokenizer, model)
    if file:
        # If saved, the entry would make later loads expect blocks; adapters record the name to find the file again.
        vars(model.config).pop("quantization_config", None)
        model.name_or_path = name
    if not four_bit:
        model = model.to(device)  # type: ignore[arg-type]  # transformers' wrapper of `to` loses its signature
    return tokenizer, model.eval()


def _source(name: str) -> tuple[str, dict[str, str]]:
    """Return the arguments of `from_pretrained` for a folder, a hub name or a GGUF file.

    Returns:
        The folder or hub name, and keyword arguments that name the GGUF file in the folder.

    Raises:
        ValueError: there is no such folder or file, and `name` is no hub name.
    """
    path = Path(name)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"model {name!r} cannot be loaded: no such file")
        return str(path.parent), {"gguf_file": path.name}
    # transformers would look up a missing path on the hub and report an error about repositories.
    if not path.is_dir() and (name.endswith("/") or name.count("/") != 1 or path.parent.is_dir()):
        raise ValueError(f"model {name!r} cannot be loaded: no such folder, and no hub name of the form owner/name")
    return name, {}


def local_path(name: str) -> Path | None:
    """Return the folder or GGUF file of a model, for a hub name the cached snapshot; None if there is none."""
    path = Path(name)
    if path.exists():
        return path
    config = try_to_load_from_cache(name, "config.json") if name.count("/") == 1 else None
    return Path(config).parent if isinstance(config, str) else None


def _check_files(name: str) -> None:
    """Check the small files of a model; see `check_model_folder`. Those next to a GGUF file may be of another model."""
    path = local_path(name)
    if path is not None and path.is_dir():
        check_model_folder(path)


def _check_vocabulary(name: str, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Check that the model can have a row for every token; rows at the end may be missing until they are added.

    Raises:
        ValueError: a token's id is higher.
    """
    rows = max(len(tokenizer), n_embeddings(model))
    token, highest = max(tokenizer.get_vocab().items(), key=lambda entry: entry[1], default=("", 0))
    if not 0 <= highest < rows:
        raise ValueError(
            f"model {name!r}: the tokenizer gives {token[:80]!r} the id {highest}, and the model has {rows} rows; "
            "the tokenizer belongs to another model"
        )


def model_files(name: str) -> list[Path]:
    """Return the files that determine the output of a model, sorted.

    These are weights, configuration, tokenizer and chat template. For a hub name, they are those of the cached
    snapshot, or none if there is no snapshot.
    """
    path = local_path(name)
    if path is None:
        return []
    if path.is_file():
        return [path, *(file for file in (path.parent / ITEM_CODES,) if file.is_file())]
    files = {file for pattern in _MODEL_FILES for file in path.glob(pattern) if file.is_file()}
    return sorted(files)


def is_of_a_model(name: str) -> bool:
    """Return whether a file or folder of this name belongs to a saved model."""
    own = ("manifest.json", "generation_config.json", "additional_chat_templates", RETRIEVAL)
    return name in own or any(fnmatch(name, pattern) for pattern in _MODEL_FILES)


def own_dtype(name: str, trust_remote_code: bool = False) -> torch.dtype:
    """Return the dtype in which a model is saved; bfloat16 for a GGUF, which has a format per tensor.

    Args:
        name: folder, GGUF file or hub name.
        trust_remote_code: whether code in the folder may run.

    Raises:
        ValueError: there is no readable model under `name`.
    """
    folder, file = _source(name)
    if file:
        return torch.bfloat16
    with as_value_error(f"model {name!r} cannot be loaded"):
        _check_files(name)
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code).dtype or torch.float32


def _four_bits(device: torch.device, dtype: torch.dtype) -> dict[str, object]:
    if device.type != "cuda" or importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError(
            "`peft` qlora keeps weights in four bits, which needs a GPU and the package bitsandbytes "
            "(pip install bitsandbytes); use `peft` lora"
        )
    kind = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_storage=dtype,
    )
    return {"quantization_config": kind, "device_map": {"": device}}


def own_generation_config(model: PreTrainedModel, end_of_turn: int, pad: int) -> GenerationConfig:
    """Return a greedy generation configuration, since an inherited one may sample or suppress allowed tokens."""
    return GenerationConfig(
        do_sample=False, eos_token_id=end_of_turn, pad_token_id=pad, bos_token_id=model.config.bos_token_id
    )


def end_turns_alike(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Make tokenizer, configuration and generation configuration agree on the end of a turn and on padding.

    The tokenizer of a base model may have another eos token (Gemma), and a server of the folder uses either of them.
    The tokenizer keeps its eos token if the chat template writes it. The chat template also gets the date that training
    had.
    """
    tokenizer.chat_template = dated_templates(tokenizer.chat_template)
    template = ChatTemplate(tokenizer)
    end, roles = template.end_of_turn, ("user", "assistant", "user")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(end)
    pad = tokenizer.pad_token_id
    before, markup = tokenizer.eos_token, template.markup(roles, prompt=True)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    if ChatTemplate(tokenizer).markup(roles, prompt=True) != markup:
        tokenizer.eos_token = before
    model.config.eos_token_id = model.config.get_text_config().eos_token_id = end
    model.generation_config = own_generation_config(model, end, pad)


def n_embeddings(model: PreTrainedModel) -> int:
    """Return the number of input embeddings: the vocabulary plus spare rows."""
    return cast("nn.Embedding", model.get_input_embeddings()).num_embeddings


def unwrap(model: nn.Module) -> PreTrainedModel:
    """Return the causal model itself, without the wrapper of an adapter."""
    inner = getattr(model, "get_base_model", None)
    return cast("PreTrainedModel", model if inner is None else inner())


@torch.no_grad()
def separates_packed(model: PreTrainedModel) -> bool:
    """Return whether a model reads a sample that is packed behind another one as it reads it alone.

    transformers separates packed samples by positions that start again, but not in every architecture, and layers with
    a state read on. Two short samples show which.
    """
    first, second = torch.arange(3, 9, device=model.device), torch.arange(5, 12, device=model.device)
    positions = torch.cat([torch.arange(len(ids), device=model.device) for ids in (first, second)])[None]
    training = model.training
    model.eval()
    try:
        with mixed_precision(model):
            packed = model.base_model(
                input_ids=torch.cat([first, second])[None], position_ids=positions, use_cache=False
            )
            alone = model.base_model(input_ids=second[None], use_cache=False)
    except (TypeError, ValueError):
        return False  # the model takes no positions
    finally:
        model.train(training)
    states, expected = packed.last_hidden_state[0, len(first) :].float(), alone.last_hidden_state[0].float()
    return bool((states - expected).norm() <= 0.02 * expected.norm())


def context_length(model: PreTrainedModel) -> int | None:
    """Return how many tokens a model reads at most; None where its configuration sets no limit.

    Dynamic RoPE stretches: its configured length is where it begins to, not where the model ends.
    """
    config = model.config.get_text_config()
    if "dynamic" in str(getattr(config, "rope_parameters", "")):
        return None
    return getattr(config, "max_position_embeddings", None)


def precision_of(model: nn.Module) -> dict[str, Any]:
    """Return the arguments of `torch.autocast` for a model.

    It is enabled for a model whose adapter or trained weights are float32 while the others have another dtype.
    """
    causal = unwrap(model)
    dtype = getattr(causal, "compute_dtype", causal.dtype)
    low = dtype != torch.float32 and any(p.dtype == torch.float32 for p in causal.parameters())
    return {
        "device_type": causal.device.type,
        "dtype": dtype if low else None,
        "enabled": low,
        "cache_enabled": False,
    }


def mixed_precision(model: nn.Module) -> torch.autocast:
    """Return the context in which a model computes; see `precision_of`."""
    return torch.autocast(**precision_of(model))
