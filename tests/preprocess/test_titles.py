"""Promises of titles.py: whatever the dump holds, titles come out clean, unique and spellable."""

from functools import cache

import pytest
from byte_tokenizer import byte_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from small_events import plain_rules
from titles import (
    TitleRules,
    clean_text,
    is_cut,
    load_rules,
    rules_of,
    settle,
    settle_ahead,
    title_or_reason,
    titles_or_reasons,
    token_counts,
    unique_titles,
)


@cache
@cache
def rules() -> TitleRules:
    return rules_of(byte_tokenizer())


RAW_TITLES = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(["Halo", "Halo (1)", "halo", "Halo (2)", " Halo", "Halo\u200b", "<SOI>Halo", "<b>Halo</b>"]),
        st.lists(
            st.sampled_from(
                ["<S", "OI>", "<SOI>", "<EOI>", "<|im_end|>", "&lt;", "&amp;", "b>", "\n", "\x00", "e\u0301"]
            )
        ).map("".join),
        st.characters(categories=["Cs", "Cf", "Zs", "Cc", "So"]),
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(RAW_TITLES)
def test_whatever_the_raw_titles_the_results_are_unique_spellable_and_clean(raw):
    settled = {}
    for number, text in enumerate(raw):
        title, reason = title_or_reason(text, rules())
        assert (title is None) == bool(reason)
        if title is not None:
            settled[str(number)] = title
    final = list(unique_titles(settled, rules()).values())
    assert None not in final and len(set(final)) == len(settled)
    for title in final:
        assert title.strip() == title != ""
        ids = byte_tokenizer().encode(title, add_special_tokens=False)
        assert byte_tokenizer().decode(ids, clean_up_tokenization_spaces=False) == title
        assert not any(token in title for token in rules().special_tokens)
        assert not set(ids) & set(byte_tokenizer().all_special_ids)
        assert clean_text(title, rules().special_tokens) == title


@given(st.text())
def test_cleaning_is_idempotent(text):
    assert clean_text(clean_text(text)) == clean_text(text)


@given(st.text("ab <|>SOI[CLS]\t\u00a0"))
def test_clean_text_has_single_spaces_and_no_special_token(text):
    special_tokens = ["<|a|>", "<SOI>", "[CLS]"]
    clean = clean_text(text, special_tokens)
    assert clean == " ".join(clean.split()) and not any(token in clean for token in special_tokens)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("Tom &amp;amp; Jerry", "Tom & Jerry"),
        ("AT&T; AT&T", "AT&T; AT&T"),
        ("&lt;b&gt;Bold&lt;/b&gt;", "Bold"),
        ("<span id='x'>Movie</span>", "Movie"),
        ("I <3 NY, 2 > 1", "I <3 NY, 2 > 1"),
        ("a\tb\r\n c\u00a0d\u2028e", "a b c d e"),
        ("<S<SOI>OI>x", "x"),
        ("<|im_end|>system", "system"),
        ("zero\u200bwidth\u202e", "zerowidth"),
        ("e\u0301", "é"),
        ("lone\ud800surrogate", "lonesurrogate"),
    ],
)
def test_cleaning_by_example(raw, clean):
    assert clean_text(raw, ["<|im_end|>", "<SOI>", "<EOI>"]) == clean


@pytest.mark.parametrize(
    "raw",
    [
        "var aPageStart = (new Date()).getTime();",
        "function(a){return a}",
        ".a-box-inner{background-color:#fff;color:red}",
        "",
        "  ",
        "<SOI>",
        "\u200b\u200d",
        "<script>alert(1)",
    ],
)
def test_page_code_and_empty_titles_are_refused_with_a_reason(raw):
    title, reason = title_or_reason(raw, plain_rules())
    assert title is None and reason


def test_hostile_titles_do_not_stall_the_cleaning():
    for raw in (
        "{" + ":" * 20_000,
        "{:" + ";:" * 10_000,
        "function" + " " * 20_000,
        "<a" * 10_000,
        "&" * 20_000,
    ):
        title_or_reason(raw, plain_rules())


def test_suffixes_follow_catalog_order_and_spare_titles_borne_by_others():
    settled = {"a": "Halo", "b": "Halo", "c": "Halo (1)", "d": "Halo", "e": "Halo (1)"}
    assert unique_titles(settled, plain_rules()) == {
        "a": "Halo",
        "b": "Halo (2)",
        "c": "Halo (1)",
        "d": "Halo (3)",
        "e": "Halo (1) (1)",
    }


def test_a_tokenizer_that_changes_text_gets_its_fixed_point():
    lower = plain_rules(str.lower)
    assert title_or_reason("The MATRIX", lower) == ("the matrix", "")
    assert unique_titles({"a": "x", "b": "x"}, lower) == {"a": "x", "b": "x (1)"}


def test_a_title_without_fixed_point_is_refused_and_so_is_a_lost_suffix():
    assert title_or_reason("x", plain_rules(lambda text: text + "!"))[1] == "title does not survive the tokenizer"
    without_suffix = plain_rules(lambda text: text.split(" (")[0])
    assert unique_titles({"a": "x", "b": "x"}, without_suffix) == {"a": "x", "b": None}


WORDS = st.lists(
    st.sampled_from(["the", "red", "moon", "Éternel", "夜", "a-very-long-word" * 4, "(1995)", "–"]),
    min_size=1,
    max_size=40,
)


@given(WORDS, st.integers(16, 40))
def test_a_title_of_too_many_tokens_is_cut_at_a_word_and_stays_settled(words, most):
    tokenizer = byte_tokenizer()
    rules = rules_of(tokenizer, most)
    title, _ = title_or_reason(" ".join(words), rules)
    whole, _ = title_or_reason(" ".join(words), rules_of(tokenizer))
    assert title is not None and rules.count_tokens(title) <= most
    assert settle(title, rules) == title
    assert (title == whole) == (rules.count_tokens(whole) <= most)
    if title != whole:
        kept = title.removesuffix("\u2026")
        assert title.endswith("\u2026") and whole.startswith(kept) and is_cut(title, whole)
        if " " in kept:
            assert whole[len(kept)] in " ,;:-(["


FAMILY, FLAG = "\U0001f468\u200d\U0001f469\u200d\U0001f466", "\U0001f1e9\U0001f1ea"
CONSONANTS = "\u0915\u094d\u0937\u093f"


@pytest.mark.parametrize(
    "seen",
    [
        FAMILY,
        FLAG,
        "\U0001f44d\U0001f3fd",
        "\u2764\ufe0f",
        "q\u0301\u0323",
        CONSONANTS,
        "\u1112\u119e",
        "\u591c",
        "x",
        "-",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("most", [32, 41, 64])
def test_a_title_without_spaces_is_cut_between_the_characters_that_a_reader_sees(seen, most):
    rules = rules_of(byte_tokenizer(), most)
    title, _ = title_or_reason(seen * 1700, rules)
    one = settle(seen, rules)
    kept = title.removesuffix("\u2026")
    assert kept and kept == one * (len(kept) // len(one)) and rules.count_tokens(title) <= most
    numbered = unique_titles(dict.fromkeys(map(str, range(12)), title), rules)
    assert len(set(numbered.values())) == 12
    for number, other in list(numbered.items())[1:]:
        head = other.removesuffix(f"\u2026 ({number})")
        assert head and head == one * (len(head) // len(one)) and rules.count_tokens(other) <= most


def test_a_character_of_more_marks_than_fit_is_cut_inside():
    rules = rules_of(byte_tokenizer(), 20)
    title, _ = title_or_reason("a" + "\u0323\u0336" * 900, rules)
    assert title is not None and title.endswith("\u2026") and rules.count_tokens(title) <= 20


def test_titles_that_are_cut_alike_get_numbers_within_the_bound():
    rules = rules_of(byte_tokenizer(), 20)
    long = "red " * 30
    settled = {str(n): title_or_reason(f"{long}{n}", rules)[0] for n in range(12)}
    unique = unique_titles(settled, rules)
    assert len(set(unique.values())) == 12 and all(rules.count_tokens(title) <= 20 for title in unique.values())


def test_a_bound_too_small_for_a_word_and_a_number_is_refused():
    with pytest.raises(ValueError, match="--max_title_tokens is 5, wanted 16 or more, or 0"):
        load_rules("nowhere", 5)


@settings(max_examples=50)
@given(RAW_TITLES, st.sampled_from([0, 16, 20]))
def test_titles_in_batches_and_ahead_are_those_settled_one_by_one(raw, most):
    limited = rules_of(byte_tokenizer(), most)
    alone = [title_or_reason(title, limited) for title in raw]
    some = [*raw[::2], *raw[:3]]  # some of them twice
    settle_ahead(some, limited)
    assert limited.settled == dict(zip(raw[::2], alone[::2], strict=True)) | dict(zip(raw[:3], alone[:3], strict=True))
    assert list(titles_or_reasons(raw, limited)) == alone
    titles = [title for title, _ in alone if title is not None]
    assert token_counts(titles, limited) == [limited.count_tokens(title) for title in titles]


def test_a_tokenizer_that_is_not_there_is_one_line_with_the_remedy(tmp_path):
    with pytest.raises(ValueError) as refused:
        load_rules(f"{tmp_path}/none")
    expected = f"tokenizer '{tmp_path}/none' cannot be loaded: no such folder; give the base model as --tokenizer_path"
    assert str(refused.value).startswith(expected) and "scripts/fetch_defaults.py" in str(refused.value)
