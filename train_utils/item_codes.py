"""Item codes: the tokens that stand for the items of a catalog, where items are not spelled by their titles alone."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

from train_utils.catalog import Catalog
from train_utils.files.atomic import write_text
from train_utils.files.json_files import read_json
from train_utils.files.text_files import text_lines

Form = Literal["title_t", "token", "token_title", "rq_token_seq"]
FORMS: tuple[str, ...] = get_args(Form)
FILE_NAME = "item_index.json"
# Every code token has this form, so that a title can be searched for all of them in one pass.
MAX_LEVELS = 64  # tokens of a code; quantizers make up to 10
CODE = re.compile(r"<[^<>\s]+>")


@dataclass(frozen=True)
class ItemCodes:
    """Code tokens of a catalog's items, added to the vocabulary.

    Attributes:
        form: "token": one token per item; "token_title": this token, then the title; "rq_token_seq": several tokens
            per item, from coarse to fine.
        ids: item ids, in catalog order.
        codes: code tokens of each item, in the same order; no code is a prefix of another.
        others: (id, code tokens) of items outside the catalog that a model was trained with. They are kept with the
            model, and no text may contain their tokens.
        sequences: whether the model was trained on histories of bare codes, and so predicts what follows one.

    Raises:
        ValueError: a code is missing, malformed, shared by two items, or a prefix of another.
    """

    form: str
    ids: tuple[str, ...]
    codes: tuple[tuple[str, ...], ...]
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()
    sequences: bool = False

    def __post_init__(self) -> None:
        if self.form not in FORMS[1:]:
            raise ValueError(f"the item form is {self.form!r}, wanted one of {', '.join(FORMS[1:])}")
        if len(self.ids) != len(self.codes):
            raise ValueError(f"there are {len(self.codes)} item codes for {len(self.ids)} items")
        owner: dict[tuple[str, ...], str] = {}
        for item_id, code in zip(self.ids, self.codes, strict=True):
            if not 0 < len(code) <= MAX_LEVELS or not all(CODE.fullmatch(token) for token in code):
                got = str(list(code[:9]))[:80]
                raise ValueError(
                    f"the code of item {item_id!r} is {got}, wanted tokens such as '<a_17>', up to {MAX_LEVELS}"
                )
            if code in owner:
                raise ValueError(f"items {owner[code]!r} and {item_id!r} share the code {''.join(code)}")
            owner[code] = item_id
        for code, item_id in owner.items():
            if longer := next((code[:n] for n in range(1, len(code)) if code[:n] in owner), None):
                raise ValueError(f"the code {''.join(longer)} of item {owner[longer]!r} begins that of {item_id!r}")

    @property
    def with_title(self) -> bool:
        """Whether the title follows the code."""
        return self.form == "token_title"

    @cached_property
    def other_tokens(self) -> tuple[str, ...]:
        """The code tokens that only items outside the catalog have."""
        own = set(self.tokens)
        return tuple(dict.fromkeys(token for _, code in self.others for token in code if token not in own))

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The distinct code tokens, in order of first use."""
        return tuple(dict.fromkeys(chain.from_iterable(self.codes)))


def one_token_each(ids: Iterable[str], vocabulary: Collection[str], form: str = "token", first: int = 0) -> ItemCodes:
    """Return codes of one new token per item, `<item_0>` and so on.

    Args:
        ids: item ids, in catalog order.
        vocabulary: tokens that the codes must differ from.
        form: "token" or "token_title".
        first: number of the first item's token.
    """
    ids = tuple(ids)
    numbers, stem = range(first, first + len(ids)), "item"
    while any(f"<{stem}_{number}>" in vocabulary for number in numbers):
        stem = f"catalog_{stem}"
    return ItemCodes(form, ids, tuple((f"<{stem}_{number}>",) for number in numbers))


def with_items(codes: ItemCodes, ids: Iterable[str], vocabulary: Collection[str]) -> ItemCodes:
    """Return codes with one new token for each item that has none, behind the items that have one.

    Args:
        codes: codes of one token per item.
        ids: item ids; those with a code keep it.
        vocabulary: tokens that the new codes must differ from.

    Raises:
        ValueError: the codes have several tokens per item, which follow from the vectors of the whole catalog.
    """
    if codes.form == "rq_token_seq":
        raise ValueError(
            f"items of the form {codes.form} cannot be added: their codes follow from the vectors of all items; make "
            "codes for the new catalog and train"
        )
    known = set(codes.ids)
    new = one_token_each((i for i in ids if i not in known), vocabulary, codes.form, len(codes.ids))
    return replace(codes, ids=codes.ids + new.ids, codes=codes.codes + new.codes)


def renamed(codes: ItemCodes, vocabulary: Collection[str]) -> ItemCodes:
    """Return codes whose tokens are not in a vocabulary: `<a_1>` becomes `<catalog_a_1>` where one of them is."""
    while not set(codes.tokens).isdisjoint(vocabulary):
        longer = tuple(tuple(f"<catalog_{token[1:]}" for token in code) for code in codes.codes)
        codes = replace(codes, codes=longer)
    return codes


def save_item_codes(codes: ItemCodes, folder: str | Path) -> None:
    """Write the codes of a model into its folder."""
    by_id = dict([*zip(codes.ids, codes.codes, strict=True), *codes.others])
    content = {"form": codes.form, "sequences": codes.sequences, "codes": by_id}
    write_text(Path(folder) / FILE_NAME, json.dumps(content, ensure_ascii=False))


def codes_path(model: str | Path) -> Path:
    """Return where the codes of a model are: in its folder, or next to a GGUF file."""
    path = Path(model)
    return (path.parent if path.is_file() else path) / FILE_NAME


def has_item_codes(model: str | Path) -> bool:
    """Return whether a model has item codes."""
    return codes_path(model).is_file()


def check_item_codes(form: str | None, model: str | Path) -> None:
    """Check that a model that was trained with item codes has them next to it.

    Args:
        form: item form in the model's configuration (`item_form`); None for titles.
        model: folder, GGUF file or hub name of the model.

    Raises:
        ValueError: the codes are missing, so that items would be spelled by titles that the model never learned.
    """
    if form and not has_item_codes(model):
        where = "download its repository to a folder and give that" if not Path(model).exists() else "copy it there"
        raise ValueError(
            f"model {str(model)!r} writes items as {form}, and there is no {FILE_NAME} next to it; {where}"
        )


def load_item_codes(model: str | Path, catalog: Catalog) -> ItemCodes | None:
    """Load the codes of a catalog's items from a model folder; None for a model that spells titles.

    Raises:
        ValueError: the file is broken, or an item of the catalog has no code.
    """
    path = codes_path(model)
    if not path.is_file():
        return None
    form, by_id, sequences = _parsed(read_json(path), path)
    return replace(_of_catalog(form, by_id, catalog, path), sequences=sequences)


def read_item_codes(model: str | Path) -> ItemCodes:
    """Read all codes of a model folder, whatever the catalog.

    Raises:
        ValueError: the model has no codes, or the file is broken.
    """
    path = codes_path(model)
    if not path.is_file():
        why = "it spells its items by their titles" if Path(model).exists() else "there is no such folder"
        raise ValueError(f"{str(model)!r} has no {FILE_NAME}: {why}")
    form, by_id, sequences = _parsed(read_json(path), path)
    return ItemCodes(form, tuple(by_id), tuple(map(tuple, by_id.values())), sequences=sequences)


def _parsed(content: object, path: Path) -> tuple[str, Mapping[str, Sequence[str]], bool]:
    """Return form, codes by item id, and whether the model knows histories of bare codes (not in older files)."""
    fields = content if isinstance(content, dict) else {}
    form, codes = fields.get("form"), fields.get("codes")
    if not isinstance(codes, dict) or not isinstance(form, str) or not all(map(_is_code, codes.values())):
        raise ValueError(f'{path} is no file of item codes, wanted {{"form": ..., "codes": {{id: [token, ...]}}}}')
    return form, codes, fields.get("sequences") is True


def _is_code(code: object) -> bool:
    return isinstance(code, list) and all(isinstance(token, str) for token in code)


def _of_catalog(form: str, by_id: Mapping[str, Sequence[str]], catalog: Catalog, path: Path) -> ItemCodes:
    lacking = [item.id for item in catalog.items if item.id not in by_id]
    if lacking:
        raise ValueError(
            f"{path} has no code for {len(lacking)} of the {len(catalog.items)} items of catalog {catalog.name!r}, "
            f"such as {lacking[0]!r}; take the dataset that the model was trained on, train a model for this one, or "
            "add the items by python -m train_utils.add_items"
        )
    codes = tuple(tuple(by_id[item.id]) for item in catalog.items)
    others = tuple((item_id, tuple(code)) for item_id, code in by_id.items() if item_id not in catalog.index)
    return ItemCodes(form, tuple(item.id for item in catalog.items), codes, others)


def are_of_another_catalog(codes: ItemCodes, catalog: Catalog) -> bool:
    """Return whether most items of a catalog have no code: the model was trained on other items.

    Where few have none, the catalog has grown, and spelling its titles would give up what the model learned.
    """
    known = set(codes.ids)
    return 2 * sum(item.id in known for item in catalog.items) < len(catalog.items)


def codes_for(model: str | Path, catalog: Catalog) -> tuple[ItemCodes | None, Sequence[str]]:
    """Return the codes of a catalog's items, and the code tokens of a model that has those of another catalog.

    Raises:
        ValueError: the file of codes is broken, or some items of the catalog have no code.
    """
    if has_item_codes(model) and are_of_another_catalog(codes := read_item_codes(model), catalog):
        return None, codes.tokens
    return load_item_codes(model, catalog), ()


def of_catalog(codes: ItemCodes, catalog: Catalog) -> ItemCodes:
    """Return the codes of a catalog's items, in its order.

    Raises:
        ValueError: an item of the catalog has no code.
    """
    by_id = dict(zip(codes.ids, codes.codes, strict=True))
    return replace(_of_catalog(codes.form, by_id, catalog, Path(FILE_NAME)), sequences=codes.sequences)


def uni_paths(data_path: str | Path, name: str) -> tuple[Path, Path]:
    """Return the paths of `NAME.index.json` and `NAME.item2id` in a dataset folder."""
    return Path(data_path) / f"{name}.index.json", Path(data_path) / f"{name}.item2id"


def load_uni_index(data_path: str | Path, catalog: Catalog) -> ItemCodes:
    """Read the codes of a dataset folder; see `read_uni_index`.

    Raises:
        ValueError: the folder has no codes, or broken ones.
    """
    paths = uni_paths(data_path, catalog.name)
    if missing := [path for path in paths if not path.is_file()]:
        raise ValueError(
            f"{missing[0]} does not exist, and `item_index` rq_token_seq reads codes from it; make it by "
            f"python -m train_utils.make_codes --data_path {data_path}"
        )
    return read_uni_index(*paths, catalog)


def read_uni_index(index: str | Path, item_ids: str | Path, catalog: Catalog) -> ItemCodes:
    """Read codes in the files of RecLM-uni.

    Args:
        index: `NAME.index.json`, {"0": ["<a_137>", "<b_180>", ...], ...} by row.
        item_ids: `NAME.item2id`, a line "ITEM-ID ROW" per item.
        catalog: the catalog.

    Raises:
        ValueError: a file is missing or malformed, or an item of the catalog has no code.
    """
    content = read_json(index)
    if not isinstance(content, dict) or not all(map(_is_code, content.values())):
        raise ValueError(f'{index} is no index of item codes, wanted {{"0": ["<a_1>", "<b_2>"], ...}}')
    by_id: dict[str, Sequence[str]] = {}
    for number, line in enumerate(text_lines(item_ids), 1):
        item_id, _, row = line.rstrip().rpartition("\t" if "\t" in line else " ")
        if not item_id or row not in content:
            raise ValueError(f"{item_ids}, line {number}: {line[:80]!r} is no 'ITEM-ID ROW' of a row in {index}")
        by_id[item_id] = content[row]
    # No model was trained with the codes of other items.
    return replace(_of_catalog("rq_token_seq", by_id, catalog, Path(index)), others=())


def write_uni_index(codes: ItemCodes, index: str | Path, item_ids: str | Path) -> None:
    """Write codes as the files of RecLM-uni, the index last; see `read_uni_index`."""
    write_text(Path(item_ids), "".join(f"{item_id}\t{row}\n" for row, item_id in enumerate(codes.ids)))
    write_text(Path(index), json.dumps({str(row): list(code) for row, code in enumerate(codes.codes)}))
