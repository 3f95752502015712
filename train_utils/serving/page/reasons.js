// Why an item is in a list, in words. All functions are pure.

import { spoken } from "./titles.js";

const SHOWN_TITLES = 3;
const SIGNS = { "==": "", ">=": "from", "<=": "up to", ">": "above", "<": "below", "!=": "not" };

/**
 * Return the explanation of an item as sentences.
 * @param {object} explained - the item of an answer of /v1/why
 */
export function reasonInWords({ because, rules }) {
  const fits = rules.filter(({ holds }) => holds).map(ruleInWords).filter(Boolean);
  const misses = rules.filter(({ holds }) => !holds).map(ruleInWords).filter(Boolean);
  const titles = because.slice(0, SHOWN_TITLES).map(({ title }) => spoken(title));
  return [
    titles.length ? `Because you like ${listed(titles)}.` : "",
    fits.length ? `It fits what you asked for: ${fits.join(", ")}.` : "",
    misses.length ? `It no longer fits: ${misses.join(", ")}.` : "", // the catalog changed since it was listed
  ].filter(Boolean).join(" ");
}

/** Return a rule in words; "" for one about single items, such as "not what was listed before". */
function ruleInWords({ rule, value }) {
  switch (rule) {
    case "categories":
      return listed(value, "disjunction");
    case "all_categories":
      return listed(value);
    case "without_categories":
      return value.map((name) => `no ${name}`).join(", ");
    case "quotas":
      return listed(Object.entries(value).map(([name, n]) => `${n} ${name}`));
    case "where":
      return Object.entries(value).map(conditionsInWords).join(", ");
    default:
      return "";
  }
}

function conditionsInWords([attribute, conditions]) {
  return Object.entries(conditions)
    .map(([sign, bound]) => (sign === "outside" ? outside(bound) : `${SIGNS[sign] ?? sign} ${bound}`.trim()))
    .map((words) => `${attribute} ${words}`)
    .join(", ");
}

function outside(ranges) {
  return ranges.map(([low, high]) => (low === high ? `not ${low}` : `not ${low}–${high}`)).join(", ");
}

function listed(names, type = "conjunction") {
  return new Intl.ListFormat("en", { type }).format(names.map(String));
}
