// What was understood, as chips that can be removed.

import { byId, element, icon } from "./dom.js";
import { chipsOf } from "./preferences.js";

let shownBefore = 0; // chips

/** Make the button work that shows all chips when a row does not hold them. */
export function setUpChips() {
  byId("all-chips").addEventListener("click", () => expand(!byId("understood").classList.contains("is-expanded")));
  new ResizeObserver(fit).observe(byId("chips"));
}

/**
 * Show the chips.
 * @param {object} preferences - see preferences.js
 * @param {function(string): string} titleOf - title of an item by its id
 * @param {function(object)} remove - takes a chip away
 */
export function showChips(preferences, titleOf, remove) {
  const chips = chipsOf(preferences);
  const list = byId("chips");
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...chips.map((chip) => chipView(chip, titleOf, remove)));
  byId("understood").classList.toggle("is-empty", !chips.length);
  fit();
  // The chip with the focus may be gone: the keyboard stays in the row.
  const buttons = list.querySelectorAll("button");
  if (focused >= 0) (buttons[Math.min(focused, buttons.length - 1)] ?? byId("message")).focus();
  // A like adds its chip at the end.
  if (shownBefore && chips.length === shownBefore + 1) list.scrollLeft = list.scrollWidth;
  shownBefore = chips.length;
}

function fit() {
  const list = byId("chips");
  const isExpanded = byId("understood").classList.contains("is-expanded");
  const overflows = list.scrollWidth > list.clientWidth + 1;
  byId("understood").classList.toggle("has-more", overflows);
  byId("all-chips").hidden = !overflows && !isExpanded;
}

/** Show one row of chips again. */
export function collapseChips() {
  expand(false);
}

function expand(isExpanded) {
  byId("understood").classList.toggle("is-expanded", isExpanded);
  byId("all-chips").setAttribute("aria-expanded", String(isExpanded));
  byId("all-chips").replaceChildren(icon(isExpanded ? "down" : "up"));
  fit();
}

function chipView(chip, titleOf, remove) {
  const label = chip.item === undefined ? chip.label : `${chip.label} ${titleOf(chip.item)}`;
  return element(
    "li",
    { class: `chip is-${chip.kind}` },
    element("span", { class: "chip-label" }, label),
    element(
      "button",
      {
        type: "button",
        class: "chip-remove",
        "aria-label": `Remove: ${label}`,
        title: "Remove",
        click: () => remove(chip),
      },
      icon("close"),
    ),
  );
}
