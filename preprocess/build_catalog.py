"""Items without users -> dataset folder: metadata, categories, no sequences, and an audit."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from build_dataset import Dataset, categories_of, clean_categories, meta_entry, naming_of, settle_items
from distributions import distribution
from readers.records import RawCatalog
from titles import TitleRules, is_cut, token_counts, unique_titles

from train_utils.files.atomic import digest


def build_catalog(raw: RawCatalog, rules: TitleRules, popularity: str, without: Collection[str] = ()) -> Dataset:
    """Name the items of a dump. The catalog holds all items with a usable title, in the dump's order.

    Args:
        raw: the dump.
        rules: requirements of the tokenizer on titles.
        popularity: attribute that tells how popular an item is.
        without: categories whose items are left out.

    Raises:
        ValueError: no item is left.
    """
    unwanted = {item.id for item in raw.items if not set(without).isdisjoint(clean_categories(item, rules))}
    wanted = [item for item in raw.items if item.id not in unwanted]
    settled, unusable = settle_items(wanted, rules, need_category=False)
    unique = unique_titles(settled, rules)
    naming = naming_of(settled, {item_id: title for item_id, title in unique.items() if title is not None})
    if not naming.titles:
        raise ValueError(f"{raw.file}: no item is left ({unusable}); leave fewer categories out")
    if failed := len(unique) - len(naming.titles):
        unusable["no suffixed title survives the tokenizer"] = failed
    if unwanted:
        unusable[f"of a category that is left out ({', '.join(without)})"] = len(unwanted)
    by_id = {item.id: item for item in wanted}
    meta = {item_id: meta_entry(by_id[item_id], title, rules) for item_id, title in naming.titles.items()}
    audit = {
        "source": raw.source,
        "encodings": {raw.file.name: raw.encoding},
        "shortened": dict(raw.shortened),
        "unknown": unknown_fields(meta),
        "inputs": {raw.file.name: digest(raw.file)},
        "items": {
            "read": len(raw.items) + sum(raw.rejected.values()),
            "kept": len(naming.titles),
            "dropped": {**raw.rejected, **unusable},
        },
        "title_clashes": {"titles": naming.clashes, "items_suffixed": naming.suffixed},
        "titles_cut": sum(is_cut(entry["title_t"], entry["title"]) for entry in meta.values()),
        "title_tokens": distribution(np.maximum(token_counts(list(naming.titles.values()), rules), 1)),
    }
    return Dataset({}, meta, categories_of(meta), audit, popularity=popularity)


def unknown_fields(meta: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Return attribute, or "category" -> number of items of which the dump does not tell it, where there are any."""
    names = dict.fromkeys(name for entry in meta.values() for name in entry if name not in ("title", "description"))
    lacking = {name: sum(entry.get(name) in (None, []) for entry in meta.values()) for name in names}
    return {name: n for name, n in lacking.items() if n}
