// First messages that a catalog can answer, for a conversation that has not begun.

import { byId, element } from "./dom.js";
import { spoken } from "./titles.js";

/**
 * Return first messages.
 * @param {object} catalog - the catalog, in the server's form
 * @param {object[]} popular - its most popular items
 */
export function suggestionsOf(catalog, popular) {
  const categories = Object.entries(catalog.categories)
    .sort((one, other) => other[1] - one[1])
    .map(([name]) => name);
  const [most, second, third] = categories;
  const [, newest] = catalog.ranges.year ?? [];
  const suggestions = [];
  if (popular.length) suggestions.push(`Something like ${spoken(popular[0].title)}`);
  if (third) suggestions.push(`5 ${second} titles, no ${third}`);
  if (newest) suggestions.push(`${most ?? "Titles"} from ${newest - 5} to ${newest}`);
  suggestions.push("Surprise me: recommend 5 titles");
  return suggestions;
}

/** Show messages as buttons that send them. */
export function showSuggestions(suggestions, send) {
  byId("suggestions").replaceChildren(
    ...suggestions.map((text) =>
      element("li", {}, element("button", { type: "button", class: "suggestion", click: () => send(text) }, text)),
    ),
  );
}
