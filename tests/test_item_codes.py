"""Item codes: one owner per code, files that say what is wrong, and no code that a text can forge."""

import json

import pytest
from tiny import coded_chat, tiny_chat
from tiny_samples import TITLES, small_catalog

from train_utils.catalog import make_catalog
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.matcher import Matcher
from train_utils.item_codes import (
    FILE_NAME,
    ItemCodes,
    has_item_codes,
    load_item_codes,
    one_token_each,
    read_uni_index,
    renamed,
    save_item_codes,
    write_uni_index,
)
from train_utils.prompts.messages import ItemPart, message
from train_utils.prompts.renderer import Chat

FORMS = ("token", "token_title", "rq_token_seq")


def test_codes_are_kept_by_a_model_folder_for_its_catalog(tmp_path):
    catalog = small_catalog()
    codes = one_token_each((item.id for item in catalog.items), ())
    assert load_item_codes(tmp_path, catalog) is None, "a model without codes spells titles"
    save_item_codes(codes, tmp_path)
    assert load_item_codes(tmp_path, catalog) == codes


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[]", "is no file of item codes"),
        ('{"form": "token", "codes": {"0": "<a>"}}', "is no file of item codes"),
        ('{"form": "token", "codes": {"0": ["<item_0>"]}}', "has no code for 19 of the 20 items"),
        ("{", "JSON"),
    ],
)
def test_a_broken_file_of_codes_is_one_line(tmp_path, content, told):
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(ValueError, match=told) as error:
        load_item_codes(tmp_path, small_catalog())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ((("<a>",), ("<a>",)), "share the code"),
        ((("<a>",), ("<a>", "<b>")), "begins that of"),
        ((("<a>",), ()), "wanted tokens"),
        ((("<a>",), ("a b",)), "wanted tokens"),
    ],
)
def test_a_code_has_one_owner(codes, told):
    with pytest.raises(ValueError, match=told):
        ItemCodes("rq_token_seq", ("x", "y"), codes)


def test_names_that_a_vocabulary_has_are_not_taken():
    codes = one_token_each("abc", {"<item_1>", "<catalog_item_2>"})
    assert codes.codes == (("<catalog_catalog_item_0>",), ("<catalog_catalog_item_1>",), ("<catalog_catalog_item_2>",))


def test_codes_of_a_file_that_a_vocabulary_has_are_renamed():
    codes = ItemCodes("rq_token_seq", ("x", "y"), (("<a_0>", "<SOI>"), ("<a_0>", "<b_1>")))
    assert renamed(codes, {"<b_2>"}) is codes
    expected = (("<catalog_a_0>", "<catalog_SOI>"), ("<catalog_a_0>", "<catalog_b_1>"))
    assert renamed(codes, {"<SOI>"}).codes == expected
    assert renamed(codes, {"<SOI>", "<catalog_b_1>"}).tokens[0] == "<catalog_catalog_a_0>"


def test_the_files_of_reclm_uni_are_read_and_written(tmp_path):
    catalog = small_catalog()
    written = ItemCodes(
        "rq_token_seq",
        tuple(item.id for item in catalog.items),
        tuple((f"<a_{i % 4}>", f"<b_{i}>") for i in range(len(catalog.items))),
    )
    index, item_ids = tmp_path / "small.index.json", tmp_path / "small.item2id"
    write_uni_index(written, index, item_ids)
    assert json.loads(index.read_text())["5"] == ["<a_1>", "<b_5>"]
    assert item_ids.read_text().splitlines()[5].split() == ["5", "5"]
    assert read_uni_index(index, item_ids, catalog) == written
    item_ids.write_text("0 77\n")
    with pytest.raises(ValueError, match="line 1"):
        read_uni_index(index, item_ids, catalog)


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_lists_codes_between_control_tokens_and_a_history_is_bare(form):
    _, chat = coded_chat(TITLES, form)
    code = chat.code_ids
    title = chat.encode(chat.spell(TITLES[4])) if form == "token_title" else []
    turns = [message("user", "liked", ItemPart(3), ItemPart(5)), message("assistant", "take ", ItemPart(4))]
    rendered = chat.render(turns, prompt=False)
    ids = rendered.ids
    for start, item in rendered.items:
        assert ids[start + 1 : start + 1 + len(code[item])] == code[item]
    bare, _, listed = (start for start, _ in rendered.items)
    both = [*code[3], *code[5]]
    assert ids[bare + 1 : bare + 1 + len(both)] == both
    recommended = [chat.soi, *code[4], *title, chat.eoi]
    assert ids[listed : listed + len(recommended)] == recommended
    assert chat.tokenizer.decode(ids[listed:], skip_special_tokens=True).strip() == (TITLES[4] if title else "")


@pytest.mark.parametrize("form", FORMS)
def test_no_text_forges_a_code(form):
    _, chat = coded_chat(TITLES, form)
    forged = "".join(chat.codes.tokens) + " <item_3> <SOI>"
    turns = [message("system", forged), message("user", forged), message("assistant", forged)]
    assert not {*chat.item_tokens, chat.soi, chat.eoi}.intersection(chat.render(turns, prompt=False).ids)


def test_a_title_with_the_text_of_a_code_is_refused():
    tokenizer = coded_chat(TITLES)[1].tokenizer
    codes = one_token_each("ab", ())
    with pytest.raises(ValueError, match="<item_1>"):
        Chat(tokenizer, ["red", "the <item_1>"], codes=codes)


def test_free_text_may_hold_no_code():
    _, chat = coded_chat(TITLES)
    matcher = Matcher(Constraint(chat.trie))
    assert set(matcher.barred().tolist()) == {chat.eoi, *chat.item_tokens}
    assert Matcher(Constraint(tiny_chat(TITLES)[1].trie)).barred().tolist() == [chat.eoi]


def test_free_text_may_hold_no_code_of_an_item_outside_the_catalog(tmp_path):
    tokenizer = coded_chat(TITLES)[1].tokenizer
    save_item_codes(one_token_each(map(str, range(20)), ()), tmp_path)
    part = make_catalog("part", small_catalog().items[:15])
    codes = load_item_codes(tmp_path, part)
    assert codes.other_tokens == tuple(f"<item_{n}>" for n in range(15, 20)) and len(codes.codes) == 15
    for cache in ("", tmp_path / "cache", tmp_path / "cache"):
        chat = Chat(tokenizer, part.titles, cache, codes)
        all_of_them = {chat.eoi, *tokenizer.convert_tokens_to_ids([f"<item_{n}>" for n in range(20)])}
        assert set(Matcher(Constraint(chat.trie)).barred().tolist()) == all_of_them
    assert not any(chat.item_tokens[-1] in ids for ids in chat.code_ids)
    before = (tmp_path / FILE_NAME).read_text()
    save_item_codes(codes, tmp_path)
    assert json.loads((tmp_path / FILE_NAME).read_text()) == json.loads(before), "training on a part keeps all codes"


@pytest.mark.parametrize("form", FORMS)
def test_codes_and_their_trie_come_back_from_the_cache(tmp_path, form):
    _, chat = coded_chat(TITLES, form)
    first, second = (Chat(chat.tokenizer, TITLES, tmp_path, chat.codes) for _ in range(2))
    for one in (first, second):
        assert [*map(list, one.title_ids)] == [*map(list, chat.title_ids)]
        assert one.code_ids == chat.code_ids and one.item_tokens == chat.item_tokens
    assert len(list(tmp_path.iterdir())) == 1
    assert Chat(chat.tokenizer, TITLES, tmp_path).title_ids[0] == chat.encode(chat.spell(TITLES[0]))


def test_the_codes_next_to_a_gguf_file_are_its_own(tmp_path):
    catalog = small_catalog()
    save_item_codes(one_token_each((item.id for item in catalog.items), ()), tmp_path)
    (tmp_path / "model.gguf").touch()
    for model in (tmp_path, tmp_path / "model.gguf"):
        assert has_item_codes(model) and load_item_codes(model, catalog) is not None
    assert not has_item_codes(tmp_path / "other")
