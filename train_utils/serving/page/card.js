// An item of a list as a card.

import { element, icon, iconButton, webAddress } from "./dom.js";
import { judgmentOf } from "./preferences.js";
import { spoken } from "./titles.js";

const TINTS = 6; // colors of letter tiles, .tint-0 and so on in chat.css
const SHOWN_ATTRIBUTES = 4;
const LONGEST_ATTRIBUTE = 60; // characters; longer texts belong in a description
const COPIED_MS = 1500;

const JUDGING = [
  { kind: "liked", sign: "like", label: "Like" },
  { kind: "disliked", sign: "dislike", label: "Dislike" },
  { kind: "known", sign: "hide", label: "Not again" },
];

/** Return the first letter of a title on a tint that the title decides, or the item's cover. */
export function tile(card) {
  const letter = [...card.title.replace(/^[^\p{L}\p{N}]+/u, "")][0] ?? "?";
  const tint = [...card.title].reduce((sum, character) => sum + character.codePointAt(0), 0) % TINTS;
  const made = element("span", { class: `tile tint-${tint}`, "aria-hidden": "true" }, letter.toUpperCase());
  const cover = webAddress(card.image_url);
  if (cover.startsWith("https:")) {
    // the server's policy lets no others load
    const image = element("img", { alt: "", loading: "lazy", referrerpolicy: "no-referrer" });
    image.addEventListener("error", () => image.remove()); // the letter is underneath
    image.src = cover;
    made.append(image);
  }
  return made;
}

/** Return the year and the categories of an item, in one line. */
export function kindOf(card) {
  const { year } = card.attributes ?? {};
  return [...(year ? [String(year)] : []), ...(card.categories ?? [])].join(" · ");
}

/** Return what else the catalog says about an item, in one line. */
export function factsOf(card) {
  const attributes = Object.entries(card.attributes ?? {})
    .filter(([name]) => name !== "year")
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value) && value !== "")
    .filter(([, value]) => String(value).length <= LONGEST_ATTRIBUTE)
    .slice(0, SHOWN_ATTRIBUTES)
    .map(([name, value]) => attributeText(name, value));
  const offer = ["price", "brand", "availability"].filter((name) => ["string", "number"].includes(typeof card[name]));
  return [...offer.map((name) => attributeText(name, card[name])), ...attributes].join(" · ");
}

function attributeText(name, value) {
  return typeof value === "string" ? value : `${name} ${value.toLocaleString("en")}`;
}

/**
 * Return the card of an item.
 * @param {object} card - the item, in the server's form
 * @param {object} actions - judge(card, kind); why(card), which resolves to a sentence
 * @returns {{node: Element, refresh: function(object)}} refresh shows what the preferences say about the item
 */
export function cardView(card, actions) {
  const name = spoken(card.title);
  const judging = JUDGING.map(({ kind, sign, label }) => ({
    kind,
    button: iconButton(sign, `${label}: ${name}`, () => actions.judge(card, kind), { "aria-pressed": "false" }),
  }));
  const reason = element("p", { class: "card-reason", role: "status" });
  const link = webAddress(card.url);
  const title = link ? element("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, name) : name;
  const node = element(
    "li",
    { class: "card", "data-item": card.item_id },
    element("span", { class: "card-rank" }, String(card.rank ?? "")),
    tile(card),
    element(
      "div",
      { class: "card-body" },
      element("p", { class: "card-title" }, title),
      element("p", { class: "card-facts" }, kindOf(card)),
      element("p", { class: "card-facts" }, factsOf(card)),
      typeof card.description === "string" && card.description
        ? element("p", { class: "card-description" }, card.description)
        : null,
      reason,
    ),
    element(
      "div",
      { class: "card-actions" },
      ...judging.map(({ button }) => button),
      iconButton("why", `Why: ${name}`, (event) => showReason(event.currentTarget, reason, card, actions)),
      iconButton("copy", `Copy the id of ${name}`, (event) => copyId(event.currentTarget, card.item_id)),
    ),
  );
  const refresh = (preferences) => {
    const judgment = judgmentOf(preferences, card.item_id);
    for (const { kind, button } of judging) button.setAttribute("aria-pressed", String(kind === judgment));
    node.classList.toggle("is-hidden", judgment === "known" || judgment === "disliked");
  };
  return { node, refresh };
}

async function showReason(button, reason, card, actions) {
  button.disabled = true;
  reason.textContent = await actions.why(card);
  button.disabled = false;
  button.focus();
}

async function copyId(button, id) {
  let copied = true;
  try {
    await navigator.clipboard.writeText(id);
  } catch {
    copied = false; // the clipboard is there on secure origins only
  }
  const label = button.title;
  button.replaceChildren(icon(copied ? "done" : "copy"));
  button.title = copied ? "Copied" : `The id is ${id}`;
  button.setAttribute("aria-label", button.title);
  setTimeout(() => {
    button.replaceChildren(icon("copy"));
    button.title = label;
    button.setAttribute("aria-label", label);
  }, COPIED_MS);
}
