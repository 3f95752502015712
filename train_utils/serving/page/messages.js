// The messages of a conversation as they are shown.

import { shownParts } from "./answer.js";
import { cardView } from "./card.js";
import { element, icon } from "./dom.js";

/** Return a message of the user. */
export function userView(message) {
  return element(
    "article",
    { class: "message from-user" },
    element("h2", { class: "visually-hidden" }, "You"),
    element("div", { class: "bubble" }, message.text),
  );
}

/**
 * Return an answer; `update` shows what was added to it since, and moves nothing that is already there.
 * @param {object} answer - see answer.js
 * @param {object} actions - of the cards, and retry()
 * @returns {{node: Element, update: function(), refresh: function(object)}}
 */
export function answerView(answer, actions) {
  const body = element("div", { class: "answer-body" });
  const notes = element("div", { class: "notes" });
  const node = element(
    "article",
    { class: "message from-model" },
    element("h2", { class: "visually-hidden" }, "Answer"),
    body,
    notes,
  );
  const shown = []; // {text: Element} or {list: Element, cards}
  let preferences = null;

  function addCard(card, cards, list) {
    const view = cardView(card, actions);
    if (preferences) view.refresh(preferences);
    cards.push(view);
    list.append(view.node);
  }

  function showPart(part, position) {
    if (!shown[position]) {
      shown[position] = part.items
        ? { list: element("ol", { class: "cards", role: "list" }), cards: [] }
        : { text: element("div", { class: "answer-text" }) };
      body.append(shown[position].list ?? shown[position].text);
    }
    const { text, list, cards } = shown[position];
    if (part.items) part.items.slice(cards.length).forEach((card) => addCard(card, cards, list));
    else if (text.textContent !== part.text) text.textContent = part.text;
  }

  function update() {
    shownParts(answer).forEach(showPart);
    node.setAttribute("aria-busy", String(!answer.end));
    node.classList.toggle("is-waiting", !answer.end);
    notes.replaceChildren(...noteViews(answer, actions.retry));
  }

  function refresh(changed) {
    preferences = changed;
    for (const { cards = [] } of shown) cards.forEach((card) => card.refresh(changed));
  }

  update();
  return { node, update, refresh };
}

function noteViews(answer, retry) {
  const notes = answer.notices.map((line) => element("p", { class: "note" }, line));
  const again = () => element("button", { type: "button", class: "text-button", click: retry }, icon("retry"), "Retry");
  if (answer.end === "stopped") notes.push(element("p", { class: "note" }, "Stopped.", again()));
  if (answer.end === "error")
    notes.push(element("p", { class: "note is-error", role: "alert" }, answer.error, again()));
  if (answer.end && answer.end !== "error" && !answer.parts.length && !notes.length) {
    notes.push(element("p", { class: "note" }, "No answer."));
  }
  return notes;
}
