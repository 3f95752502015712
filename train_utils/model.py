"""The backbone: device and dtype, control tokens, LoRA; save, load and merge."""

import importlib.util
import json
import shutil
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

import torch
from huggingface_hub import try_to_load_from_cache
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    GgufConfig,
    PreTrainedModel,
)

from train_utils.chat import EOI_WORDS, SOI_WORDS, Chat, add_control_tokens
from train_utils.chat_template import ChatTemplate, dated_templates
from train_utils.files import replacing_folder
from train_utils.param import ModelOptions
from train_utils.retrieval import FOLDER as RETRIEVAL
from train_utils.retrieval import has_retrieval
from train_utils.text_files import read_json

Options = TypeVar("Options", bound=ModelOptions)

# peft still asks transformers for a name that 5.23 deprecates; nothing a user could do about it.
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")

# Result files, which lie beside a model, are none of it.
_MODEL_FILES = ("*.safetensors", "*.bin", "*.gguf", "*.model", "*.jinja", "merges.txt", "vocab.*", "config.json",
                "adapter_config.json", "*.index.json", "tokenizer*.json", "special_tokens_map.json",
                "added_tokens.json", "chat_template*", f"{RETRIEVAL}/*.safetensors")

# What transformers lets out of a folder or file that is not what it seems; a cut-off GGUF ends inside a field.
_UNREADABLE = (OSError, ImportError, ValueError, KeyError, IndexError, OverflowError, struct.error, SafetensorError)


def pick_device(gpu: str) -> torch.device:
    """The device named by `--gpu` ("cpu", "cuda:0", "auto"). Raises ValueError when it is not there."""
    name = ("cuda:0" if torch.cuda.is_available() else "cpu") if gpu == "auto" else gpu
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--gpu {gpu!r} is no device; use cpu, cuda:0 or auto") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"--gpu {gpu!r}: this machine has {torch.cuda.device_count()} GPUs; use --gpu cpu")
    return device


def pick_dtype(dtype: str, device: torch.device) -> str:
    """The number format named by `--dtype`. "auto" is bfloat16 where the device computes in it, else float32.

    A CPU without bfloat16 instructions emulates them, at a tenth of the speed of float32 or less.
    """
    if dtype != "auto":
        return dtype
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        native = device.type != "cpu" or bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return "bfloat16" if native else "float32"


def with_dtype(options: Options) -> Options:
    """The options with the number format that `--dtype auto` means on their device: results and runs depend on it."""
    return replace(options, dtype=pick_dtype(options.dtype, pick_device(options.gpu)))


def load_tokenizer(name: str):
    """Tokenizer alone, from a folder, GGUF file or hub name. Raises ValueError for nothing loadable under `name`."""
    folder, file = _source(name)
    try:
        return AutoTokenizer.from_pretrained(folder, **file)
    except _UNREADABLE as error:
        raise ValueError(_not_loaded(name, error)) from None


def load_backbone(name: str, device: torch.device, dtype: str = "auto", flash: bool = False,
                  four_bit: bool = False):
    """Tokenizer and causal model of a folder, GGUF file or hub name, in evaluation mode, decoding greedily by default.

    The blocks of a GGUF are unpacked: its model is an ordinary one of `dtype`, which `pick_dtype` explains.

    Args:
        four_bit: keep the linear layers, but the head, in four bits (NF4, for QLoRA); a GPU is needed.

    Raises:
        ValueError: nothing loadable under `name`, or no GPU or bitsandbytes for four bits.
    """
    folder, file = _source(name)
    number_format = getattr(torch, pick_dtype(dtype, device))
    packed = _four_bits(device, number_format) if four_bit else {}
    if file and packed:
        raise ValueError(f"--peft qlora packs weights that are whole, and {name!r} is packed; use --peft lora")
    tokenizer = load_tokenizer(name)
    how = {"quantization_config": GgufConfig(dequantize=True)} if file else packed
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=number_format, attn_implementation="flash_attention_2" if flash else "sdpa",
            **file, **how,
        )
    except _UNREADABLE as error:
        raise ValueError(_not_loaded(name, error)) from None
    if file:
        # Saved, the entry would make every later load look for blocks; adapters note the name to find the file again.
        vars(model.config).pop("quantization_config", None)
        model.name_or_path = name
    return tokenizer, (model if four_bit else model.to(device)).eval()


def _source(name: str) -> tuple[str, dict[str, str]]:
    """What `from_pretrained` wants for a folder, a hub name or a GGUF file: a folder or name, and the file in it.

    Raises:
        ValueError: no such folder or file, and no hub name.
    """
    path = Path(name)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise ValueError(f"model {name!r} cannot be loaded: no such file")
        return str(path.parent), {"gguf_file": path.name}
    # A path that is not there would be looked up on the hub, with an error that speaks of repositories.
    if not path.is_dir() and (name.endswith("/") or name.count("/") != 1 or path.parent.is_dir()):
        raise ValueError(f"model {name!r} cannot be loaded: no such folder, and no hub name of the form owner/name")
    return name, {}


def model_files(name: str) -> list[Path]:
    """The files that decide what a model writes: weights, configuration, tokenizer and chat template, sorted.

    Of a hub name those of the snapshot that is there; none where nothing is.
    """
    path = Path(name)
    if path.is_file():
        return [path]
    if not path.is_dir():
        config = try_to_load_from_cache(name, "config.json") if name.count("/") == 1 else None
        if not isinstance(config, str):
            return []
        path = Path(config).parent
    found = {file for pattern in _MODEL_FILES for file in path.glob(pattern) if file.is_file()}
    return sorted(found)


def is_of_a_model(name: str) -> bool:
    """Whether an entry of a folder is written with a model, by its name."""
    own = ("manifest.json", "generation_config.json", "additional_chat_templates", RETRIEVAL)
    return name in own or any(fnmatch(name, pattern) for pattern in _MODEL_FILES)


def _own_dtype(name: str) -> torch.dtype:
    """Number format in which a model is kept; bfloat16 for a GGUF, which has one format a tensor."""
    folder, file = _source(name)
    return torch.bfloat16 if file else AutoConfig.from_pretrained(folder).dtype or torch.float32


def _not_loaded(name: str, error: Exception) -> str:
    told = str(error).strip().splitlines() or [type(error).__name__]
    return f"model {name!r} cannot be loaded: {told[0]}"


def _four_bits(device: torch.device, dtype: torch.dtype) -> dict[str, object]:
    if device.type != "cuda" or importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError("--peft qlora keeps weights in four bits, which needs a GPU and the package bitsandbytes "
                         "(pip install bitsandbytes); use --peft lora")
    kind = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                              bnb_4bit_compute_dtype=dtype, bnb_4bit_quant_storage=dtype)
    return {"quantization_config": kind, "device_map": {"": device}}


def own_generation_config(model: PreTrainedModel, end_of_turn: int, pad: int) -> GenerationConfig:
    """Greedy to the end of the turn: an inherited configuration may sample, or cut legal tokens."""
    return GenerationConfig(
        do_sample=False, eos_token_id=end_of_turn, pad_token_id=pad, bos_token_id=model.config.bos_token_id
    )


def end_turns_alike(tokenizer, model: PreTrainedModel) -> None:
    """Makes tokenizer, configuration and generation configuration agree on the token that ends a turn, and on padding;
    the chat template writes the date that training had.

    A base model's tokenizer may call another one its eos (Gemma), and who serves a folder believes one or the other.
    The tokenizer keeps its eos where the chat template writes that.
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


def add_item_tokens(tokenizer, model: PreTrainedModel) -> bool:
    """Gives both the control tokens; returns whether they are new. The rows of a merged model, which are trained, stay.

    Nothing is resized where the vocabulary holds reserved tokens (Llama 3) or the embedding spare rows (Qwen).
    """
    new = add_control_tokens(tokenizer) > 0 or len(tokenizer) > model.get_input_embeddings().num_embeddings
    if new:
        _start_rows(tokenizer, model)
    return new


def _start_rows(tokenizer, model: PreTrainedModel) -> None:
    """Starts the control tokens' rows as the mean of the words that they stand for.

    The output rows start likewise (the published system leaves them random; see DESIGN section 5). Rows of other
    tokens that the embedding lacked start as its mean, so that merging finds the numbers that training had.
    """
    old = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > old:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    chat = Chat(tokenizer)
    tables = {id(t.weight): t.weight for t in (model.get_input_embeddings(), model.get_output_embeddings())}
    with torch.no_grad():
        for weight in tables.values():
            weight[old:] = weight[:old].mean(0, dtype=torch.float32).to(weight.dtype)
            for token, words in ((chat.soi, SOI_WORDS), (chat.eoi, EOI_WORDS)):
                weight[token] = weight[chat.encode(words)].float().mean(0).to(weight.dtype)


def untie_head(model: PreTrainedModel) -> None:
    """Gives the output head its own copy of the embedding, so that its rows can be trained alone."""
    if model.config.tie_word_embeddings:
        model.config.tie_word_embeddings = False
        head = model.get_output_embeddings()
        head.weight = nn.Parameter(head.weight.detach().clone())
        model.tie_weights()


def causal_of(model: nn.Module) -> PreTrainedModel:
    """The causal model itself, whether an adapter is wrapped around it or not."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def mixed_precision(model: nn.Module) -> torch.autocast:
    """The context in which a model computes whose adapter or trained weights are float32 beside another format; for
    others it does nothing."""
    causal = causal_of(model)
    dtype = getattr(causal, "compute_dtype", causal.dtype)
    low = dtype != torch.float32 and any(p.dtype == torch.float32 for p in causal.parameters())
    return torch.autocast(causal.device.type, dtype if low else None, enabled=low, cache_enabled=False)


def train_all(model: PreTrainedModel) -> PreTrainedModel:
    """Makes every weight trainable, kept in float32; sums are made in the format that the model had."""
    model.compute_dtype = model.dtype
    return model.float().requires_grad_(True)


def save_memory(model: nn.Module) -> None:
    """Gradient checkpointing: the backward pass makes each layer's sums anew, instead of keeping them."""
    causal_of(model).activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})


def add_lora(model: PreTrainedModel, control_ids: list[int], r: int, alpha: int, dropout: float,
             layers: int = 0, dora: bool = False) -> PeftModel:
    """LoRA on every linear layer and the head, and the control tokens' input rows, all trained in float32.

    A head that shares the embedding gets its own copy first: its rows change, and those of the input stay.

    Args:
        layers: adapt this many layers at the top, so that the backward pass stops there; the control tokens' input
            rows then keep their start. 0 adapts every layer and trains those rows as well.
        dora: train the length of each output's weights apart from their direction (arXiv 2402.09353).
    """
    total = model.config.num_hidden_layers
    if not 0 <= layers <= total:
        raise ValueError(f"--lora_layers is {layers}, the model has {total} layers; 0 adapts all of them")
    untie_head(model)
    head = _name(model, model.get_output_embeddings())
    inner = {n.split(".")[-1] for n, m in model.named_modules() if isinstance(m, nn.Linear)} - {head}
    # A pattern rather than layers_to_transform, which would leave out the head.
    top = "|".join(str(layer) for layer in range(total - layers, total))
    pattern = rf"{head}|.*\.(?:{top if layers else r'[0-9]+'})\..*\.(?:{'|'.join(sorted(inner))})"
    rows = None if layers else {_name(model, model.get_input_embeddings()).split(".")[-1]: control_ids}
    config = LoraConfig(
        r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=pattern, task_type="CAUSAL_LM",
        trainable_token_indices=rows, use_dora=dora,
    )
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    for module in wrapped.modules():
        # peft would cast every layer's input to the float32 of its adapter; autocast takes the adapter down instead.
        # (peft's own switch for this stops at the layer of the trained rows, which lacks the attribute.)
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False
    return wrapped


def _name(model: nn.Module, module: nn.Module) -> str:
    return next(n for n, m in model.named_modules() if m is module)


def save_adapter(model: nn.Module, tokenizer, folder: str | Path, manifest: Mapping[str, object],
                 weights: Mapping[str, torch.Tensor] | None = None, more: Callable[[Path], None] | None = None) -> None:
    """Writes what was trained (an adapter with its control rows, or a whole model), tokenizer and manifest as one
    folder, by one rename.

    Args:
        weights: the trained weights by name, where the model's own are split over processes.
        more: writes what else belongs into the folder.
    """
    how = {"save_embedding_layers": False} if isinstance(model, PeftModel) else {}
    with replacing_folder(folder) as to:
        model.save_pretrained(to, state_dict=dict(weights) if weights else None, **how)
        tokenizer.save_pretrained(to)
        if more:
            more(to)
        (to / "manifest.json").write_text(json.dumps(manifest, indent=1))


def merge_adapter(adapter: str | Path, backbone: str, output: str | Path, manifest: Mapping[str, object]) -> None:
    """Merges an adapter into its backbone; the folder opens in plain transformers, or is one of RecLM-ret as before.

    The sums are made in float32 and rounded once, to the backbone's own dtype. Of what stands in `output` the files of
    a model are replaced, and others, such as results, stay. A folder of a whole trained model has
    nothing to be merged with, and is rounded alone.

    Raises:
        ValueError: the adapter or the backbone cannot be loaded.
    """
    tokenizer, model = _with_adapter(adapter, backbone)
    merged = model.to(_own_dtype(backbone))
    end_turns_alike(tokenizer, merged)
    with replacing_folder(output, lambda name: not is_of_a_model(name)) as to:
        merged.save_pretrained(to)
        tokenizer.save_pretrained(to)
        if has_retrieval(adapter):
            shutil.copytree(Path(adapter) / RETRIEVAL, to / RETRIEVAL)
        (to / "manifest.json").write_text(json.dumps(manifest, indent=1))


def load_trained(name: str, device: torch.device, dtype: str = "auto", flash: bool = False, backbone: str = ""):
    """Tokenizer and model of a merged or base model, or of an adapter's folder, which is merged in memory.

    Args:
        backbone: the base model of an adapter, instead of the one that its configuration names.

    Raises:
        ValueError: nothing loadable under `name`, an adapter whose base model is not there, or a base model named for
            what is no adapter.
    """
    base = backbone_of(name, backbone)
    if base is None:
        if backbone:
            raise ValueError(f"--backbone is {backbone!r}, and {name!r} is no adapter: it needs no base model")
        return load_backbone(name, device, dtype, flash)
    tokenizer, model = _with_adapter(name, base)
    return tokenizer, model.to(device, getattr(torch, pick_dtype(dtype, device))).eval()


def backbone_of(name: str | Path, instead: str = "") -> str | None:
    """The base model of an adapter's folder; None for a folder or name that is no adapter.

    The path that the adapter's configuration names is looked for from the adapter's own folder upward, so that the
    working directory does not matter, then from the working directory. An absolute path that is not there any more is
    looked for by its end (at least two names), as the whole tree may have been moved.

    instead: the base model to take, whatever is named.

    Raises:
        ValueError: the configuration is broken, or names a path that is nowhere.
    """
    path = Path(name) / "adapter_config.json"
    if not path.is_file():
        return None
    if instead:
        return instead
    config = read_json(path)
    named = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not isinstance(named, str) or not named:
        raise ValueError(f"{path} names no base model; give it by --backbone")
    places = _places_of(named, path)
    if there := next(filter(_holds_model, places), None) or next((place for place in places if place.exists()), None):
        return str(there)
    try:
        _source(named)
        return named
    except ValueError:
        raise ValueError(f"the base model {named!r} of the adapter {str(name)!r} is neither above the adapter's folder "
                         "nor in the working directory; give it by --backbone") from None


def trained_from(folder: str | Path) -> str:
    """The base model of a whole trained model by its manifest, looked for as that of an adapter; "" for none."""
    path = Path(folder) / "manifest.json"
    made = read_json(path) if path.is_file() else None
    named = made.get("config", {}).get("backbone") if isinstance(made, dict) else None
    return next((str(place) for place in _places_of(named, path) if _holds_model(place)), named) if named else ""


def _places_of(named: str, configuration: Path) -> list[Path]:
    """Where the base model that an adapter's configuration names may be, the likely places first."""
    path = Path(named).expanduser()
    above = list(dict.fromkeys([*configuration.resolve().parents, *configuration.absolute().parents]))
    if not path.is_absolute():
        return [*(parent / path for parent in above), path]
    tails = [Path(*path.parts[start:]) for start in range(1, len(path.parts) - 1)]
    return [path, *(parent / tail for tail in tails for parent in above)]


def _holds_model(place: Path) -> bool:
    return place.is_file() or (place / "config.json").is_file()


def _with_adapter(adapter: str | Path, backbone: str):
    """Tokenizer and float32 model of an adapter's folder, or of a whole trained model's."""
    whole = (Path(adapter) / "config.json").exists()
    if not whole and not (Path(adapter) / "adapter_config.json").exists():
        raise ValueError(f"no adapter in {str(adapter)!r}; train one first (scripts/train_RecLM_cgen.sh)")
    tokenizer = load_tokenizer(str(adapter))
    try:
        own, model = load_backbone(str(adapter) if whole else backbone, torch.device("cpu"), "float32")
    except ValueError as error:
        if whole:
            raise
        raise ValueError(f"the base model of the adapter {str(adapter)!r}: {error}; name it by --backbone") from None
    if whole:
        return tokenizer, model
    # The rows start as they did for training, also those that the adapter does not hold.
    if add_control_tokens(own):
        _start_rows(tokenizer, model)
    untie_head(model)
    try:
        return tokenizer, PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise ValueError(f"adapter {str(adapter)!r} was trained on another model than {backbone!r}: {told}") from None
