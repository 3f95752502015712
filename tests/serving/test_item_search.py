"""A search finds titles that have the text, or begin a word like it, and nothing else."""

import pytest

from train_utils.catalog import Item, make_catalog
from train_utils.serving.item_search import found_items

TITLES = ["Alien", "Aliens", "Alien: Resurrection", "English Patient, The", "Client, The", "Terminator", "Toy Story"]
SEARCHED = [title.lower() for title in TITLES], range(len(TITLES))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alien", {"Alien", "Aliens", "Alien: Resurrection"}),
        ("the english patient", {"English Patient, The"}),
        ("terminater", {"Terminator"}),
        ("tory", {"Toy Story"}),
        ("No such film xyz", set()),
        ("", set(TITLES)),
    ],
)
def test_what_is_found_has_the_text_or_is_near_it(text, expected):
    catalog = make_catalog("films", [Item(str(i), title) for i, title in enumerate(TITLES)])
    found = found_items(SEARCHED, catalog, text, 10)
    assert {TITLES[i] for i in found} == expected and len(found) == len(expected)
    assert len(found_items(SEARCHED, catalog, text, 1)) == min(1, len(expected))
