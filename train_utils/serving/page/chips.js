// What was understood, as chips that can be removed.

import { byId, element, icon } from "./dom.js";
import { chipsOf } from "./preferences.js";

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
  byId("more").disabled = !chips.length;
  // The chip with the focus may be gone: the keyboard stays in the row.
  const buttons = list.querySelectorAll("button");
  if (focused >= 0) (buttons[Math.min(focused, buttons.length - 1)] ?? byId("message")).focus();
}

function chipView(chip, titleOf, remove) {
  const label = chip.item === undefined ? chip.label : `${chip.label} ${titleOf(chip.item)}`;
  return element(
    "li",
    { class: `chip is-${chip.kind}` },
    element("span", { class: "chip-label" }, label),
    element(
      "button",
      { type: "button", class: "chip-remove", "aria-label": `Remove: ${label}`, title: "Remove", click: () => remove(chip) },
      icon("close"),
    ),
  );
}
