// The side panel in which users collect the items that they consumed before.

import { searchItems } from "./api.js";
import { tile } from "./card.js";
import { announce, byId, element, iconButton } from "./dom.js";
import { MOST_HISTORY, historyOf, saveHistory } from "./store.js";
import { spoken } from "./titles.js";

const FOUND = 8; // items of a search
const PAUSE_MS = 200; // without typing before a search is sent

/** History of the user in a domain, oldest first, with its panel. */
export class HistoryPanel {
  #domain = "";
  #cards = [];
  #search = null; // the AbortController of the search under way
  #shown = { typed: "", cards: [] }; // the last search that was answered
  #timer = 0;
  #onError;

  /** @param {function(Error)} onError - takes what went wrong in a search */
  constructor(onError) {
    this.#onError = onError;
    byId("history-search").addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.find(), PAUSE_MS);
    });
    byId("history-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter();
    });
  }

  /** Ids of the items, oldest first. */
  get ids() {
    return this.#cards.map((card) => card.item_id);
  }

  /** Show the history of a domain. */
  show(domain) {
    this.#domain = domain;
    this.#cards = historyOf(domain);
    this.#search?.abort();
    byId("history-search").value = "";
    byId("history-found").replaceChildren();
    byId("history-problem").textContent = "";
    this.#shown = { typed: "", cards: [] };
    this.#render();
  }

  /** Search the typed text and show what is found. */
  async find() {
    clearTimeout(this.#timer);
    this.#search?.abort();
    this.#search = new AbortController();
    const typed = byId("history-search").value.trim();
    byId("history-problem").textContent = "";
    if (!typed) {
      byId("history-found").replaceChildren();
      return;
    }
    try {
      const found = await searchItems(typed, this.#domain, FOUND, this.#search.signal);
      this.#shown = { typed, cards: found };
      byId("history-found").replaceChildren(...found.map((card) => this.#foundRow(card)));
      announce(found.length ? `${found.length} titles found` : "No title found");
      if (!found.length) byId("history-problem").textContent = "No title is like this.";
    } catch (error) {
      if (error.name === "AbortError") return;
      byId("history-problem").textContent = error.message;
      this.#onError(error);
    }
  }

  /** Add the best item that is found for the typed text, and is not in the history yet; search where none is shown. */
  async #enter() {
    const typed = byId("history-search").value.trim();
    if (typed && this.#shown.typed !== typed) await this.find();
    if (!typed || this.#shown.typed !== typed || byId("history-search").value.trim() !== typed) return;
    const card = this.#shown.cards.find((each) => !this.ids.includes(each.item_id));
    if (card) this.#add(card);
  }

  #foundRow(card) {
    const isThere = this.ids.includes(card.item_id);
    const add = iconButton(isThere ? "done" : "add", `Add: ${spoken(card.title)}`, () => this.#add(card), {
      disabled: isThere,
    });
    return element("li", { class: "history-row" }, tile(card), titleAndYear(card), add);
  }

  #itemRow(card, position, last) {
    const name = spoken(card.title);
    const button = (sign, label, does, attributes) =>
      iconButton(sign, `${label}: ${name}`, does, { ...attributes, class: `icon-button is-${sign}` });
    return element(
      "li",
      { class: "history-row" },
      tile(card),
      titleAndYear(card),
      button("up", "Move up", () => this.#move(position, -1), { disabled: position === 0 }),
      button("down", "Move down", () => this.#move(position, 1), { disabled: position === last }),
      button("close", "Remove", () => this.#remove(position)),
    );
  }

  #add(card) {
    if (this.ids.includes(card.item_id)) return;
    this.#change([...this.#cards, card].slice(-MOST_HISTORY), `Added ${spoken(card.title)}`);
    byId("history-search").value = "";
    byId("history-found").replaceChildren();
    byId("history-search").focus();
  }

  #move(position, by) {
    const cards = [...this.#cards];
    const [card] = cards.splice(position, 1);
    cards.splice(position + by, 0, card);
    this.#change(cards, `Moved ${spoken(card.title)} to ${position + by + 1} of ${cards.length}`);
    const row = byId("history-items").children[position + by];
    const button = row.querySelector(by < 0 ? ".is-up" : ".is-down");
    (button.disabled ? row.querySelector(".is-close") : button).focus();
  }

  #remove(position) {
    const cards = this.#cards.filter((_, each) => each !== position);
    this.#change(cards, `Removed ${spoken(this.#cards[position].title)}`);
    const rows = byId("history-items").children;
    const row = rows[Math.min(position, rows.length - 1)];
    (row?.querySelector(".is-close") ?? byId("history-search")).focus();
  }

  #change(cards, said) {
    this.#cards = cards;
    if (!saveHistory(this.#domain, cards))
      byId("history-problem").textContent = "The browser has no room to save this.";
    this.#render();
    announce(said);
  }

  #render() {
    const last = this.#cards.length - 1;
    byId("history-items").replaceChildren(...this.#cards.map((card, position) => this.#itemRow(card, position, last)));
    byId("history-empty").hidden = this.#cards.length > 0;
    byId("history-count").textContent = this.#cards.length ? String(this.#cards.length) : "";
  }
}

function titleAndYear(card) {
  const year = card.attributes?.year;
  return element(
    "span",
    { class: "history-title" },
    spoken(card.title),
    year ? element("span", { class: "faint" }, ` ${year}`) : null,
  );
}
