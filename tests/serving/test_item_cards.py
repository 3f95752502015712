"""Items as JSON objects, lists read back from text, and keys."""

import pytest

from train_utils.catalog import Item
from train_utils.prompts.messages import ItemPart
from train_utils.recommender import Recommendation
from train_utils.serving.access import Keys
from train_utils.serving.item_card import item_card, recommended_card
from train_utils.serving.listed_titles import listed_parts

INDEX = {"Heat": 0, "Empire Strikes Back, The": 1, "1. FC": 2}


def test_a_card_has_the_names_of_product_feeds_and_keeps_the_rest_as_attributes():
    attributes = {"link": "https://shop.example/1", "price": 9.5, "year": 1995, "tags": ["a"], "brand": ""}
    card = item_card(Item("7", "Heat", ("Crime", "Drama"), "A film.", attributes), "films")
    assert card == {
        "item_id": "7",
        "title": "Heat",
        "domain": "films",
        "url": "https://shop.example/1",
        "price": 9.5,
        "product_category": "Crime, Drama",
        "categories": ["Crime", "Drama"],
        "attributes": {"year": 1995},
        "description": "A film.",
    }


def test_numbers_that_json_lacks_are_left_out():
    bad = {"price": float("inf"), "year": float("nan"), "mass": 2.5}
    assert item_card(Item("7", "Heat", attributes=bad), "films")["attributes"] == {"mass": 2.5}
    assert "price" not in item_card(Item("7", "Heat", attributes=bad), "films")


BAD_LINKS = ("javascript:alert(1)", "data:text/html,x", "//evil.example", "http://", "http://[", 7)


@pytest.mark.parametrize("address", BAD_LINKS)
def test_what_is_no_web_address_is_no_link_of_a_card(address):
    card = item_card(Item("a/b?", "Heat", attributes={"url": address, "image_url": address}), "my films")
    assert card["url"] == "/v1/items/my%20films/a%2Fb%3F" and "image_url" not in card


def test_a_recommended_card_tells_rank_and_score():
    card = recommended_card(Recommendation("7", "Heat", 2, -1.23456789), Item("7", "Heat"), "films")
    assert (card["rank"], card["score"]) == (2, -1.234568)


@pytest.mark.parametrize(
    "text, items",
    [
        ("1. Heat\n2. Empire Strikes Back, The", [0, 1]),
        ("Here you are:\n- Heat\n* Empire Strikes Back, The\n• 1. FC", [0, 1, 2]),
        (" Heat ", [0]),
        ("only 1 item of films fits\nHeat", [0]),
        ("not in films: Heat 2\nonly 1 item of films fits\n Heat \n", [0]),
        ("1. Empire Strikes Back, The\nHeat", [1]),
        ("Heat\nis on.", []),
        ("1) Heat\r\n2) Nothing like it", [0]),
        ("Heat is on.\nHeat\n1.Heat\n1. heat", []),
        ("", []),
    ],
)
def test_lists_are_read_back_from_the_text_of_an_answer(text, items):
    parts = listed_parts(text, INDEX)
    assert [part.item for part in parts if isinstance(part, ItemPart)] == items
    titles = {item: title for title, item in INDEX.items()}
    spelled = "".join(titles[part.item] if isinstance(part, ItemPart) else part for part in parts)
    stripped = "\n".join(line.strip() for line in text.strip().splitlines())
    assert spelled in (text, stripped), "no character is lost but white space"


def test_keys_have_rights_and_an_unknown_one_has_none(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# who\nreading-key-0123456 read\n\nwriting-key-0123456 read,feedback,catalogue\n")
    keys = Keys.read(path)
    assert keys.needed
    assert keys.rights("Bearer reading-key-0123456") == {"read"}
    assert keys.rights("bearer  writing-key-0123456") == {"read", "feedback", "catalogue"}
    for header in ("", "Bearer", "Bearer ", "Basic reading-key-0123456", "Bearer reading-key-012345", "Bearer é\udce9"):
        assert keys.rights(header) is None, header


def test_without_keys_everybody_may_read_and_give_feedback_but_not_change_catalogs():
    assert Keys().rights("") == {"read", "feedback"} and not Keys().needed


@pytest.mark.parametrize("line", ["short read", "reading-key-0123456", "reading-key-0123456 all", "a b c", ""])
def test_a_broken_key_file_is_refused_in_one_line_without_the_key(tmp_path, line):
    path = tmp_path / "keys"
    path.write_text(line + "\n")
    with pytest.raises(ValueError) as refused:
        Keys.read(path)
    assert "\n" not in str(refused.value) and "reading-key" not in str(refused.value)
