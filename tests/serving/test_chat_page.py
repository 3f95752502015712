"""The chat page in a browser, with a real server of a tiny model."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from page_server import BOOKS, FILMS, HOSTILE, KEY, World, running_world

from train_utils.prompts.title_forms import spoken_title
from train_utils.serving.http_app import PAGE

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the package axe-playwright-python")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium on the path")

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 360, "height": 740}  # pixels


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@dataclass
class Visitor:
    """A visitor of the page, with storage of their own.

    Attributes:
        page: the page.
        errors: errors of scripts, and lines of the console that are errors, violations of the policy included.
    """

    page: "sync_api.Page"
    errors: list[str] = field(default_factory=list)

    def ask(self, text: str) -> None:
        """Send a message and wait for the end of its answer."""
        self.send(text)
        self.wait()

    def reload(self) -> None:
        """Load the page again, until it has its catalogs."""
        self.page.reload()
        self.page.wait_for_selector("#message[placeholder^=Ask]")

    def send(self, text: str) -> None:
        self.page.wait_for_selector("#message[placeholder^=Ask]")
        self.page.fill("#message", text)
        self.page.press("#message", "Enter")

    def wait(self) -> None:
        self.page.wait_for_selector("#send:not([hidden])")

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    @property
    def listed(self) -> list[str]:
        """Titles of the last list."""
        return self.texts(".message:last-child .card-title")

    def request_of(self, act) -> dict:
        """Do something and return the body of the chat request that it sends."""
        with self.page.expect_request("**/v1/chat/completions") as sent:
            act()
        self.wait()
        return sent.value.post_data_json


@pytest.fixture
def visit(browser, world):
    """Return a function that opens the page for a new visitor; no visitor may have met an error."""
    contexts, visitors = [], []

    def opened(url: str = world.url, **options) -> Visitor:
        contexts.append(browser.new_context(viewport=WIDE, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        visitor = Visitor(page)
        page.on("pageerror", lambda error: visitor.errors.append(str(error)))
        page.on("console", lambda line: visitor.errors.append(line.text) if line.type == "error" else None)
        page.goto(url)
        if url == world.url:
            page.wait_for_selector(".suggestion")
        visitors.append(visitor)
        return visitor

    yield opened
    world.gate.open()
    errors = [error for visitor in visitors for error in visitor.errors]
    for context in contexts:
        context.close()
    assert not errors


def test_a_list_is_shown_as_cards_with_what_the_catalog_says(visit):
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    visitor.ask("Recommend 3 Comedy titles")
    assert len(visitor.listed) == 3 and {FILMS[title] for title in visitor.listed} == {"Comedy"}
    assert visitor.texts(".card-rank") == ["1", "2", "3"]
    assert all(re.fullmatch(r"199\d · Comedy", facts) for facts in visitor.texts(".card-facts:not(:empty)"))
    assert visitor.texts(".answer-text") == [], "the numbers are the cards' ranks"
    assert visitor.texts(".chip") == ["3 titles", "Comedy"]
    assert visitor.page.text_content("#announcer").startswith("3 titles: ")
    visitor.page.locator("[aria-label^='Copy']").first.click()
    visitor.page.wait_for_selector("[aria-label='Copied']")
    copied = visitor.page.evaluate("navigator.clipboard.readText()")
    assert copied == visitor.page.get_attribute(".card", "data-item")


def test_text_appears_while_the_answer_is_written_and_stays_when_it_is_stopped(visit, world):
    visitor = visit()
    world.gate.close_after(20)
    visitor.send("Hello")
    visitor.page.wait_for_selector(".answer-text:not(:empty)")
    assert visitor.page.get_attribute(".from-model", "aria-busy") == "true"
    assert visitor.page.is_visible("#stop")
    visitor.page.keyboard.press("Escape")
    visitor.wait()
    assert "Stopped." in visitor.texts(".message .note")[0] and visitor.texts(".answer-text")[0]
    world.gate.open()
    visitor.page.get_by_role("button", name="Retry").click()
    visitor.wait()
    assert len(visitor.texts(".message")) == 2
    assert visitor.texts(".message .note") == ["the answer reached max_tokens"]


def test_a_forbidden_category_is_a_chip_and_removing_it_lifts_the_rule(visit):
    visitor = visit()
    visitor.ask("Recommend 4 titles, no Comedy")
    assert not {"red moon", "blue river", "green night", "the end"} & {*visitor.listed}
    visitor.page.get_by_role("button", name="Remove: no Comedy").click()
    assert visitor.texts(".chip") == ["4 titles"]
    body = visitor.request_of(lambda: visitor.page.click("#more"))
    assert body["messages"][-1]["content"] == "4 more"
    assert body["reclm"]["preferences"]["without"] == []
    assert [FILMS[title] for title in visitor.listed] == ["Comedy"] * 4, "the others were listed before"


def test_limits_and_excluded_years_are_chips_and_removing_them_lifts_the_rules(visit):
    visitor = visit()
    visitor.ask("Recommend 4 titles, at most one Comedy, not from 1990")
    assert [FILMS[title] for title in visitor.listed].count("Comedy") == 1
    assert "red moon" not in visitor.listed, "it is of 1990"
    assert visitor.texts(".chip") == ["4 titles", "at most 1 Comedy", "year not 1990"]
    visitor.page.get_by_role("button", name="Remove: at most 1 Comedy").click()
    visitor.page.get_by_role("button", name="Remove: year not 1990").click()
    body = visitor.request_of(lambda: visitor.page.click("#more"))
    assert (body["reclm"]["preferences"]["limits"], body["reclm"]["preferences"]["excluded"]) == ({}, [])


def test_judgments_on_cards_go_with_the_next_request(visit):
    visitor = visit()
    visitor.ask("Recommend 3 titles")
    for position, label in enumerate(("Like", "Dislike", "Not again"), 1):
        visitor.page.click(f".card:nth-child({position}) [aria-label^='{label}:']")
    ids = [card.get_attribute("data-item") for card in visitor.page.query_selector_all(".card")]
    assert len(visitor.texts(".chip")) == 4
    visitor.page.click(".card:nth-child(2) [aria-label^='Dislike:']")  # takes it back
    asked = visitor.request_of(lambda: visitor.page.click("#more"))["reclm"]["preferences"]
    assert (asked["liked"], asked["disliked"], asked["known"]) == ([[ids[0]]], [], [[ids[2]]])
    assert asked["listed"] == ids


def test_a_judgment_while_the_answer_is_written_is_not_lost_when_it_ends(visit, world):
    visitor = visit()
    visitor.ask("Recommend 2 titles")
    world.gate.close_after(20)
    visitor.send("Hello")
    visitor.page.wait_for_selector(".answer-text:not(:empty)")
    visitor.page.locator("[aria-label^='Like:']").first.click()
    world.gate.open()
    visitor.wait()
    assert visitor.texts(".chip")[-1].startswith("like ")


def test_why_is_a_sentence_under_the_card(visit):
    visitor = visit()
    visitor.ask("Recommend 2 titles")
    visitor.page.locator("[aria-label^='Why:']").first.click()
    visitor.page.wait_for_selector(".card-reason:not(:empty)")
    assert "Nothing was known of your taste when it was listed" in visitor.texts(".card-reason")[0]
    visitor.page.locator("[aria-label^='Like:']").nth(1).click()
    visitor.ask("Recommend 1 title more")
    visitor.page.locator("[aria-label^='Why:']").last.click()
    reason = visitor.page.locator(".card-reason").last
    sync_api.expect(reason).to_have_text(re.compile("Because you like|No title you like"))
    visitor.page.locator("[aria-label^='Why:']").first.click()  # what was liked later did not move it
    sync_api.expect(visitor.page.locator(".card-reason").first).to_have_text(re.compile("Nothing was known"))


def test_why_names_what_was_asked_for_when_the_item_was_listed(visit):
    visitor = visit()
    visitor.ask("Recommend 1 Comedy or Horror title, no Drama, from 1990 or later")
    visitor.ask("Recommend 1 Drama title")
    visitor.page.locator("[aria-label^='Why:']").first.click()
    first = visitor.page.locator(".card-reason").first
    sync_api.expect(first).to_contain_text("It fits what you asked for: Comedy or Horror, no Drama, year from 1990.")
    visitor.reload()  # what was asked for is kept with the conversation
    visitor.page.locator("[aria-label^='Why:']").last.click()
    sync_api.expect(visitor.page.locator(".card-reason").last).to_contain_text("It fits what you asked for: Drama")
    visitor.ask("Recommend 1 title from 1990 to 1999")
    visitor.page.locator("[aria-label^='Why:']").last.click()
    sync_api.expect(visitor.page.locator(".card-reason").last).to_contain_text("year 1990–1999.")


def test_reasons_are_text_whatever_the_catalog_says(visit):
    visitor = visit()
    visitor.ask("Recommend 1 title")
    explained = {
        "because": [{"item_id": "f7", "title": HOSTILE, "score_change": -1.0}],
        "rules": [
            {"source": "preferences", "rule": "categories", "value": [HOSTILE, "Drama"], "holds": True},
            {"source": "preferences", "rule": "quotas", "value": {HOSTILE: 2}, "holds": True},
            {
                "source": "preferences",
                "rule": "where",
                "value": {HOSTILE: {"outside": [[1, 1], [3, 5]]}},
                "holds": False,
            },
            {"source": "preferences", "rule": "disliked", "value": None, "holds": True},
        ],
    }
    visitor.page.route("**/v1/why", lambda route: route.fulfill(json={"items": [explained]}))
    visitor.page.locator("[aria-label^='Like:']").first.click()
    visitor.page.locator("[aria-label^='Why:']").first.click()
    reason = visitor.page.locator(".card-reason").first
    sync_api.expect(reason).to_contain_text(f"It fits what you asked for: {HOSTILE} or Drama, 2 {HOSTILE}.")
    sync_api.expect(reason).to_contain_text(f"It no longer fits: {HOSTILE} not 1, not 3–5.")
    assert not visitor.page.locator(".card-reason *").count() and visitor.page.title() != "1"


def test_another_catalog_begins_a_new_chat_about_it(visit):
    visitor = visit()
    visitor.ask("Recommend 2 titles")
    visitor.page.select_option("#domain", "books")
    assert visitor.texts(".message") == [] and visitor.texts(".chip") == []
    visitor.ask("Recommend 2 titles")
    assert {*visitor.listed} <= {*BOOKS}
    visitor.page.locator(".conversation-open").nth(1).click()
    assert visitor.page.input_value("#domain") == "films" and {*visitor.listed} <= {*FILMS}


def test_the_history_is_sent_in_its_order_and_is_not_recommended(visit):
    visitor = visit()
    for title in ("red moon", "blue river"):
        visitor.page.fill("#history-search", title)
        visitor.page.get_by_role("button", name=f"Add: {title}").click()
    visitor.page.get_by_role("button", name="Move up: blue river").click()
    visitor.reload()
    visitor.page.wait_for_selector("#history-items li:nth-child(2) .history-title")
    assert visitor.texts("#history-items .history-title") == ["blue river 1991", "red moon 1990"]
    body = visitor.request_of(lambda: visitor.send("Recommend 9 titles"))
    assert body["reclm"]["history"] == ["f1", "f0"]
    assert len(visitor.listed) == 6 and not {"red moon", "blue river"} & {*visitor.listed}
    assert "only 6 items" in visitor.texts(".message .note")[0]
    visitor.page.get_by_role("button", name="Remove: red moon").click()
    assert visitor.texts("#history-items .history-title") == ["blue river 1991"]


def test_enter_in_the_search_adds_the_best_title_that_is_not_in_the_history_yet(visit):
    visitor = visit()
    for expected, typed in enumerate(("red moon", "red moon", "blue river")):
        visitor.page.fill("#history-search", typed)
        visitor.page.press("#history-search", "Enter")
        visitor.page.wait_for_selector(f"#history-items li:nth-child({max(1, expected)})")
    assert visitor.texts("#history-items .history-title") == ["red moon 1990", "blue river 1991"]
    visitor.page.fill("#history-search", "zzzzzz")
    visitor.page.press("#history-search", "Enter")
    visitor.page.wait_for_selector("#history-problem:text('No title')")
    assert len(visitor.texts("#history-items .history-title")) == 2


def test_a_reload_keeps_the_conversation_and_a_new_chat_leaves_it_in_the_list(visit):
    visitor = visit()
    visitor.ask("Recommend 2 Drama titles")
    shown = visitor.listed
    visitor.reload()
    visitor.page.wait_for_selector(".card")
    assert visitor.listed == shown and visitor.texts(".chip") == ["2 titles", "Drama"]
    visitor.page.click("#new-chat")
    assert visitor.texts(".message") == []
    visitor.page.click(".conversation-open")
    assert visitor.listed == shown
    visitor.ask("2 more")
    assert not {*shown} & {*visitor.listed}, "what was listed is not listed again"


def test_deleting_a_conversation_takes_two_presses(visit):
    visitor = visit()
    visitor.ask("Recommend 2 titles")
    delete = visitor.page.locator(".conversation .icon-button")
    delete.click()
    assert visitor.texts(".conversation .icon-button") == ["Delete?"]
    delete.click()
    assert visitor.texts(".conversation") == [] and visitor.texts(".message") == []


def test_a_conversation_that_is_deleted_while_it_is_answered_does_not_come_back(visit, world):
    visitor = visit()
    world.gate.close_after(20)
    visitor.send("Hello")
    visitor.page.wait_for_selector(".answer-text:not(:empty)")
    visitor.page.locator(".conversation .icon-button").click()
    visitor.page.locator(".conversation .icon-button").click()
    world.gate.open()
    visitor.ask("Hello again")
    assert visitor.texts(".conversation-title") == ["Hello again"]


def test_two_visitors_do_not_see_each_other(visit):
    one, other = visit(), visit()
    one.send("Recommend 2 Comedy titles")
    other.send("Recommend 2 Drama titles")
    one.wait()
    other.wait()
    for visitor, category in ((one, "Comedy"), (other, "Drama")):
        assert {FILMS[title] for title in visitor.listed} == {category}
        assert visitor.texts(".chip") == ["2 titles", category]
        assert visitor.texts(".conversation-title") == [f"Recommend 2 {category} titles"]


def test_titles_and_messages_with_markup_stay_text(visit):
    visitor = visit()
    visitor.ask("Recommend 1 Horror title")
    assert visitor.listed == [HOSTILE]
    visitor.page.locator("[aria-label^='Like:']").click()
    visitor.ask(HOSTILE)
    visitor.page.fill("#history-search", "onerror")
    visitor.page.wait_for_selector("#history-found .history-row")
    assert visitor.page.locator("img[src=x]").count() == 0 and visitor.page.title() == "RecLM"


def test_links_that_are_no_web_addresses_are_left_out_and_titles_are_spoken_as_everywhere_else(visit):
    page = visit().page
    addresses = ["javascript:alert(1)", "data:text/html,x", "https://example.org/a", "//example.org", "http://", 7]
    script = "values => import('/dom.js').then(dom => values.map(dom.webAddress))"
    assert page.evaluate(script, addresses) == ["", "", "https://example.org/a", "", "", ""]
    titles = ["Lion King, The", "Avventura, L'", "red moon", "A, B", "Now and Then, an", ", The", "City, das"]
    titles += ["Ice Storm, The (1)", "Cape Fear (1)", "Fahrenheit (451)"]
    script = "titles => import('/titles.js').then(({spoken}) => titles.map(spoken))"
    assert page.evaluate(script, titles) == [spoken_title(title) for title in titles]


def test_saved_data_of_another_form_is_ignored(visit):
    visitor = visit()
    form = {"domain": "films", "title": "t", "changed": 1, "titles": {}, "preferences": {}, "messages": []}
    said = {"role": "user", "text": "Hello", "before": {}}
    answer = {"role": "assistant", "parts": [{"text": "Hi"}], "notices": [], "end": "stop", "error": ""}
    wrong = [
        "{", "null", "[]", '{"id": "ID"}',
        *(json.dumps({"id": "ID", **form, **changes}) for changes in (
            {"id": 1}, {"changed": "1"}, {"titles": {"f0": 1}}, {"messages": [7]}, {"messages": [said]},
            {"messages": [said | {"text": 1}, answer]}, {"messages": [answer, said]},
            {"messages": [said, answer | {"parts": [{"item": {"item_id": "f0"}}]}]},
            {"preferences": {"liked": [[]]}}, {"preferences": {"liked": [None]}}, {"preferences": {"count": "3"}},
            {"preferences": {"ranges": [1]}},
        )),
    ]  # fmt: skip
    right = json.dumps({"id": "ID", **form, "title": "good", "messages": [said, answer]})
    visitor.page.evaluate(
        """saved => {
            saved.forEach((text, number) => localStorage.setItem(`reclm.chat.${number}`, text.replace("ID", number)));
            sessionStorage.setItem("reclm.open", "0");
            localStorage.setItem("reclm.history.films", '[1, {"item_id": "f0"}, {"item_id": "f1", "title": "good"}]');
        }""",
        [*wrong, right],
    )
    visitor.reload()
    visitor.page.wait_for_selector(".suggestion")
    assert visitor.texts(".conversation-title") == ["good"]
    assert visitor.texts("#history-items .history-title") == ["good"]
    visitor.page.click(".conversation-open")
    assert visitor.texts(".answer-text") == ["Hi"]


def test_a_server_that_is_gone_is_an_error_line_and_retry_answers_without_the_chips_removed_since(visit):
    visitor = visit()
    visitor.ask("Recommend 1 title, no Comedy")
    visitor.page.context.set_offline(True)
    visitor.ask("2 more")
    assert "The server does not answer" in visitor.texts(".message .note.is-error")[0]
    visitor.errors.clear()  # the browser reports the failed request
    visitor.page.context.set_offline(False)
    visitor.page.get_by_role("button", name="Remove: no Comedy").click()
    body = visitor.request_of(lambda: visitor.page.get_by_role("button", name="Retry").click())
    assert body["reclm"]["preferences"]["without"] == []
    assert len(visitor.listed) == 2 and visitor.texts(".message .note") == []


def test_a_server_with_keys_asks_for_one_and_a_reload_keeps_it(visit, world):
    visitor = visit(world.url_with_keys)
    for key in ("wrong", KEY):
        visitor.page.wait_for_selector("#key-dialog[open]")
        visitor.page.fill("#key", key)
        visitor.page.press("#key", "Enter")
        if key == "wrong":
            visitor.page.wait_for_selector("#key-problem:not([hidden])")
    visitor.page.wait_for_selector(".suggestion")
    visitor.errors.clear()  # the browser reports the refused requests
    visitor.reload()
    visitor.page.wait_for_selector(".suggestion")
    visitor.ask("Recommend 2 titles")
    assert len(visitor.listed) == 2


def test_the_keyboard_is_enough(visit):
    visitor = visit()
    page = visitor.page
    assert page.evaluate("document.activeElement.id") == "message"
    page.keyboard.type("Recommend 2")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Comedy titles")
    assert page.input_value("#message") == "Recommend 2\nComedy titles"
    page.keyboard.press("Enter")
    visitor.wait()
    page.focus("#log")
    reached = []
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('aria-label').split(/:| the id/)[0]"))
    assert reached == ["Like", "Dislike", "Not again", "Why", "Copy"] * 2
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # takes the first chip away
    assert visitor.texts(".chip") == ["Comedy"]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove: Comedy"


def test_nothing_moves_while_an_answer_arrives(visit):
    visitor = visit()
    visitor.page.evaluate(
        """() => {
            window.moved = [];
            new PerformanceObserver(list => window.moved.push(...list.getEntries().map(entry => entry.value)))
                .observe({type: "layout-shift", buffered: false});
        }"""
    )
    visitor.ask("Recommend 5 titles, no Horror")
    visitor.ask("Hello")
    visitor.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert sum(visitor.page.evaluate("window.moved")) < 0.01


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_accessible_and_fits_a_phone(visit, scheme):
    visitor = visit(color_scheme=scheme, reduced_motion="reduce")
    checker = axe.Axe()
    assert not checker.run(visitor.page).response["violations"]
    visitor.ask("Recommend 3 titles, no Horror")
    for position, label in enumerate(("Like", "Dislike", "Not again"), 1):
        visitor.page.click(f".card:nth-child({position}) [aria-label^='{label}:']")
    assert not checker.run(visitor.page).response["violations"]
    visitor.page.set_viewport_size(PHONE)
    assert not checker.run(visitor.page).response["violations"]
    assert visitor.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for panel in ("sidebar", "history"):
        visitor.page.click(f"#open-{panel}")
        assert visitor.page.evaluate(f"document.getElementById('{panel}').contains(document.activeElement)")
        visitor.page.keyboard.press("Escape")
        assert visitor.page.evaluate("document.activeElement.id") == f"open-{panel}"


def test_the_theme_follows_the_system_until_it_is_chosen(visit):
    visitor = visit(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = visitor.page.evaluate(background)
    visitor.page.click("#theme")
    light = visitor.page.evaluate(background)
    visitor.reload()
    assert visitor.page.evaluate(background) == light != dark


def test_the_page_has_no_inline_script_or_style_and_needs_no_other_site():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|innerHTML\s*=", text), path.name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)\w", text), path.name
