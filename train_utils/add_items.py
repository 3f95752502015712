"""Add new items to a trained model: `python -m train_utils.add_items --model_name M --data_path D --output N`.

The model gets a token for each item of the dataset that it has none for. The rows of the new tokens are predicted from
titles and categories, by a map that is fitted on the trained rows. So an item can be recommended before its first
event; later training on its events starts from there.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from train_utils.catalog import load_catalog
from train_utils.command import run_cli
from train_utils.files.atomic import exclusively
from train_utils.item_codes import ItemCodes, of_catalog, read_item_codes, save_item_codes, with_items
from train_utils.manifest import manifest, settings_in
from train_utils.models.backbone import load_backbone, model_files, n_embeddings, own_dtype
from train_utils.models.cold_items import fill_rows, item_features
from train_utils.models.merge import check_output
from train_utils.models.trained import save_model
from train_utils.options import parse
from train_utils.param.items import AddOptions
from train_utils.prompts.control_tokens import add_code_tokens, control_tokens
from train_utils.prompts.renderer import Chat

_NOT_OF_THE_MODEL = {"trust_remote_code"}


def add_items(options: AddOptions) -> tuple[int, int]:
    """Write a model that has tokens for all items of a dataset.

    Returns:
        The numbers of new and of known items of the dataset.

    Raises:
        ValueError: the model has no tokens for items, the dataset has no new items, or `output` holds another model.
    """
    output, model_path = Path(options.output), Path(options.model_name)
    before, catalog = read_item_codes(model_path), load_catalog(options.data_path)
    known = np.isin([item.id for item in catalog.items], before.ids)
    if known.all():
        raise ValueError(f"{options.model_name!r} has a token for each of the {len(known)} items of {catalog.name!r}")
    if known.sum() < 2:
        raise ValueError(
            f"{options.model_name!r} has a token for {known.sum()} of the {len(known)} items of {catalog.name!r}, "
            "wanted 2 or more to learn from; give a dataset that holds the items that the model was trained on"
        )
    if not (model_path / "config.json").is_file():
        raise ValueError(
            f"{options.model_name!r} is no folder of a merged model; merge the adapter first (scripts/run_SFT_merge.sh)"
        )
    with exclusively(output):
        check_output(output, "output", {"model": model_path}, _is_ours)
        tokenizer, model = load_backbone(
            options.model_name, torch.device("cpu"), "float32", trust_remote_code=options.trust_remote_code
        )
        codes = with_items(before, (item.id for item in catalog.items), _vocabulary_with(before, tokenizer))
        add_code_tokens(tokenizer, codes.tokens)
        if len(tokenizer) > n_embeddings(model):
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        chat = Chat(tokenizer, catalog.titles, codes=of_catalog(codes, catalog))  # refuses titles that hold a code
        spelled = chat.encode_many([chat.spell(title) for title in catalog.titles])
        ids = [code[0] for code in chat.code_ids]
        inputs = cast("nn.Embedding", model.get_input_embeddings()).weight
        outputs = cast("nn.Linear", model.get_output_embeddings()).weight
        with torch.no_grad():
            features = item_features(catalog, spelled, inputs.numpy())
            for table in (inputs, outputs):
                fill_rows(table, ids, features, known, catalog.training_events)
        model.config.item_form = codes.form
        model = model.to(own_dtype(options.model_name, options.trust_remote_code))  # type: ignore[arg-type]  # as in `load_backbone`
        made_from = manifest(_settings(options), model_files(options.model_name))
        save_model(tokenizer, model, output, made_from, lambda to: save_item_codes(codes, to))
    return int((~known).sum()), int(known.sum())


def _vocabulary_with(codes: ItemCodes, tokenizer) -> dict[str, int]:
    """Return the vocabulary of a tokenizer that has all codes of a model.

    Raises:
        ValueError: the tokenizer lacks a code, or a code is a token of the chat.
    """
    vocabulary = tokenizer.get_vocab()
    taken = {*control_tokens(tokenizer), *map(str, tokenizer.special_tokens_map.values())}
    if wrong := next((token for token in codes.tokens if token not in vocabulary or token in taken), None):
        raise ValueError(f"the code {wrong} is no token that the model has for an item; the model's files differ")
    return vocabulary


def _is_ours(written: Path) -> bool:
    """Return whether a manifest is that of this command."""
    return settings_in(written).keys() == {field.name for field in fields(AddOptions)} - _NOT_OF_THE_MODEL


def _settings(options: AddOptions) -> dict[str, object]:
    return {name: value for name, value in asdict(options).items() if name not in _NOT_OF_THE_MODEL}


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(AddOptions, argv)
    new, known = add_items(options)
    print(f"{new} items added to {known} known ones")
    print(f"model: {options.output}")


if __name__ == "__main__":
    run_cli(main)
