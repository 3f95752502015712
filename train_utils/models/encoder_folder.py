"""The folder of a sentence-transformers encoder, checked before the library reads it.

`modules.json` lists the modules that follow one another, each with a folder of its own. Modules that no encoder of
texts needs build anything of any size from their configuration, so the kinds are listed here.
"""

from pathlib import Path

from train_utils.characters import shown
from train_utils.files.json_files import read_json
from train_utils.model_folder import Weights, check_model_folder, weights_in

MOST_MODULES = 16  # released encoders have two to four
KINDS = ("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "LayerNorm")
_OWN_CODE = "sentence_transformers."


def check_encoder(folder: Path, trust_remote_code: bool = False) -> Weights:
    """Check the folder of an encoder, and those of its modules.

    Args:
        folder: the folder.
        trust_remote_code: whether modules of other code may be named.

    Returns:
        The size of the weights in all of them.

    Raises:
        ValueError: a file is not what it should be, or a module is of another kind or outside the folder.
    """
    check_model_folder(folder)
    path = folder / "modules.json"
    folders = _folders_of_modules(path, trust_remote_code) if path.is_file() else [folder]
    sizes = []
    for module in dict.fromkeys(folders):
        if not module.is_dir():  # a module without settings
            continue
        if module != folder:
            check_model_folder(module)
        if any(module.glob("*.safetensors")):
            sizes.append(weights_in(module))
        elif pickled := next(iter(sorted(module.glob("*.bin"))), None):
            raise ValueError(f"{pickled} is a pickle, which is not read; save the encoder again by save_pretrained")
    return Weights(sum(size.tensors for size in sizes), sum(size.elements for size in sizes))


def _folders_of_modules(path: Path, trust_remote_code: bool) -> list[Path]:
    modules = read_json(path, "download it again", "a list of modules")
    if not isinstance(modules, list) or not 0 < len(modules) <= MOST_MODULES:
        got = f"{len(modules)} modules" if isinstance(modules, list) else shown(modules)
        raise ValueError(f"{path} holds {got}, wanted a list of 1 to {MOST_MODULES} modules")
    folders = []
    for module in modules:
        match module:
            case {"type": str(kind), "path": str(name)} if not {"..", "/"} & {*Path(name).parts}:
                folders.append(path.parent / name)
            case _:
                raise ValueError(f"{path} names the module {shown(module)}, wanted a type, and a folder inside its own")
        if kind.startswith(_OWN_CODE) and kind.rpartition(".")[2] not in KINDS:
            raise ValueError(f"{path} names a module of the kind {shown(kind)}, wanted one of {', '.join(KINDS)}")
        if not kind.startswith(_OWN_CODE) and not trust_remote_code:
            raise ValueError(f"{path} names the module {shown(kind)}, which needs `trust_remote_code`")
    return folders
