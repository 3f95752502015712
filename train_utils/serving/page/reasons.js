// Why an item is in a list, in words. All functions are pure.

import { spoken } from "./titles.js";

const SHOWN_TITLES = 3;
const SIGNS = { "==": "", ">": "above", "<": "below", "!=": "not" };

/**
 * Return the explanation of an item as sentences.
 * @param {object} explained - the item of an answer of /v1/why
 */
export function reasonInWords({ because, rules }) {
  const fits = rulesInWords(rules.filter(({ holds }) => holds));
  const misses = rulesInWords(rules.filter(({ holds }) => !holds));
  const titles = because.slice(0, SHOWN_TITLES).map(({ title }) => spoken(title));
  return [
    titles.length ? `Because you like ${listed(titles)}.` : "",
    fits.length ? `It fits what you asked for: ${fits.join(", ")}.` : "",
    misses.length ? `It no longer fits: ${misses.join(", ")}.` : "", // the catalog changed since it was listed
  ].filter(Boolean).join(" ");
}

/** Return rules in words, those on attributes last; each of an answer has one condition of one attribute. */
function rulesInWords(rules) {
  const conditions = new Map();
  for (const { value } of rules.filter(({ rule }) => rule === "where")) {
    for (const [attribute, bounds] of Object.entries(value)) {
      conditions.set(attribute, { ...conditions.get(attribute), ...bounds });
    }
  }
  const others = rules.filter(({ rule }) => rule !== "where").map(ruleInWords);
  return [...others, ...[...conditions].map(conditionsInWords)].filter(Boolean);
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
    default:
      return "";
  }
}

function conditionsInWords([attribute, { ">=": low, "<=": high, ...others }]) {
  const bounds = [];
  if (low !== undefined && high !== undefined) bounds.push(low === high ? `${low}` : `${low}–${high}`);
  else if (low !== undefined) bounds.push(`from ${low}`);
  else if (high !== undefined) bounds.push(`up to ${high}`);
  const signed = Object.entries(others).map(([sign, bound]) =>
    sign === "outside" ? outside(bound) : `${SIGNS[sign] ?? sign} ${bound}`.trim(),
  );
  return [...bounds, ...signed].map((words) => `${attribute} ${words}`).join(", ");
}

function outside(ranges) {
  return ranges.map(([low, high]) => (low === high ? `not ${low}` : `not ${low}–${high}`)).join(", ");
}

function listed(names, type = "conjunction") {
  return new Intl.ListFormat("en", { type }).format(names.map(String));
}
