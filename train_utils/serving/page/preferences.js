// What a conversation asks for, as the server returns it (`SavedPreferences`), and the edits that the user makes.
// All functions are pure: they return new preferences.

const JUDGMENTS = ["liked", "disliked", "known"];

const EMPTY = {
  count: null,
  liked: [],
  disliked: [],
  known: [],
  only: [],
  together: false,
  without: [],
  quotas: {},
  limits: {},
  ranges: [],
  excluded: [],
  listed: [],
  mentioned: [],
};

/** Return preferences with every field; anything but an object counts as none. */
export function completed(preferences) {
  return { ...EMPTY, ...(preferences && typeof preferences === "object" ? preferences : {}) };
}

/**
 * Return what was understood as chips, {kind, value, label, item}: `item` is the id of the item whose title belongs
 * to the label, where there is one.
 */
export function chipsOf(preferences) {
  const asked = completed(preferences);
  const chips = [];
  const quotas = Object.entries(asked.quotas).map(([name, n]) => `${n} ${name}`);
  // A list with a number of items per category says its length and its categories by these.
  if (quotas.length) chips.push({ kind: "quotas", value: null, label: quotas.join(" and ") });
  else if (asked.count)
    chips.push({ kind: "count", value: null, label: asked.count === 1 ? "1 title" : `${asked.count} titles` });
  if (!quotas.length) for (const name of asked.only) chips.push({ kind: "only", value: name, label: name });
  for (const name of asked.without) chips.push({ kind: "without", value: name, label: `no ${name}` });
  for (const [name, most] of Object.entries(asked.limits))
    chips.push({ kind: "limits", value: name, label: `at most ${most} ${name}` });
  for (const range of asked.ranges) chips.push({ kind: "range", value: range.attribute, label: rangeInWords(range) });
  asked.excluded.forEach((range, at) =>
    chips.push({ kind: "excluded", value: at, label: rangeInWords(range, "not ") }),
  );
  const words = { liked: "like", disliked: "not like", known: "not again" };
  for (const kind of JUDGMENTS) {
    for (const ids of asked[kind]) chips.push({ kind, value: ids[0], label: words[kind], item: ids[0] });
  }
  return chips;
}

function rangeInWords({ attribute, low, high, above, below }, sign = "") {
  const name = `${attribute} ${sign}`;
  if (low === null) return `${name}${below ? "below" : "up to"} ${high}`;
  if (high === null) return `${name}${above ? "above" : "from"} ${low}`;
  return low === high ? `${name}${low}` : `${name}${low}–${high}`;
}

/** Return the preferences without what a chip stands for. */
export function withoutChip(preferences, { kind, value }) {
  const asked = completed(preferences);
  if (kind === "count") return { ...asked, count: null };
  if (kind === "quotas") return { ...asked, quotas: {}, only: [], count: null };
  if (kind === "limits")
    return { ...asked, limits: Object.fromEntries(Object.entries(asked.limits).filter(([name]) => name !== value)) };
  if (kind === "excluded") return { ...asked, excluded: asked.excluded.filter((_, at) => at !== value) };
  if (kind === "range") return { ...asked, ranges: asked.ranges.filter((range) => range.attribute !== value) };
  if (JUDGMENTS.includes(kind)) return { ...asked, [kind]: asked[kind].filter((ids) => !ids.includes(value)) };
  const left = { ...asked, [kind]: asked[kind].filter((name) => name !== value) };
  return { ...left, together: left.together && left.only.length > 1 };
}

/** Return "liked", "disliked" or "known" for what the user said about an item; "" for nothing. */
export function judgmentOf(preferences, itemId) {
  const asked = completed(preferences);
  return JUDGMENTS.find((kind) => asked[kind].some((ids) => ids.includes(itemId))) ?? "";
}

/** Return the preferences with a judgment of an item, which replaces an earlier one; the same one takes it back. */
export function judged(preferences, itemId, kind) {
  const asked = completed(preferences);
  const before = judgmentOf(asked, itemId);
  const changed = { ...asked };
  for (const each of JUDGMENTS) changed[each] = asked[each].filter((ids) => !ids.includes(itemId));
  if (before !== kind) changed[kind] = [...changed[kind], [itemId]];
  return changed;
}

/** Return the preferences after an item was listed, so that it is not listed again. */
export function withListed(preferences, itemId) {
  const asked = completed(preferences);
  return asked.listed.includes(itemId) ? asked : { ...asked, listed: [...asked.listed, itemId] };
}

/** Return the preferences from before a message, with the judgments that were made since. */
export function beforeMessage(before, now) {
  const { liked, disliked, known } = completed(now);
  return { ...completed(before), liked, disliked, known };
}

/** Return the message that asks for further items under the preferences. */
export function moreMessage(preferences) {
  const { count } = completed(preferences);
  return count ? `${count} more` : "More";
}

/** Return the ids that show the user's taste: the history, then the likes; without likes what is known. */
export function tasteOf(historyIds, preferences) {
  const { liked, known } = completed(preferences);
  const named = (liked.length ? liked : known).map((ids) => ids[0]);
  return [...new Set([...historyIds, ...named])];
}

/** Return what an item of a list must be, without what is about single items, which a catalog may lack later. */
export function wishesOf(preferences) {
  const { only, together, without, quotas, ranges, excluded } = completed(preferences);
  return { only, together, without, quotas, ranges, excluded };
}
