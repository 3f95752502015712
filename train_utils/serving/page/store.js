// Conversations and histories in localStorage. What is read back is data that anyone may have changed: entries of
// another form are ignored.

import { completed } from "./preferences.js";
import { local, session } from "./storage.js";

const CHAT = "reclm.chat."; // one key per conversation, so that two tabs do not overwrite each other's
const HISTORY = "reclm.history.";
const OPEN = "reclm.open"; // id of the conversation that this tab shows
const DOMAIN = "reclm.domain"; // name of the catalog that was used last
const MOST_CHATS = 50; // the oldest are deleted, since a browser gives a site about 5 MB
export const MOST_HISTORY = 200; // titles; the model sees the newest ones

export function newConversation(domain) {
  return {
    id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, // randomUUID is there on secure origins only
    domain,
    title: "",
    changed: Date.now(),
    messages: [],
    preferences: completed(null),
    titles: {},
  };
}

/** Return the saved conversations, the newest first. */
export function conversations() {
  return keysWith(CHAT)
    .map((key) => ({ key, found: readConversation(local.read(key)) }))
    .filter(({ key, found }) => found !== null && key === CHAT + found.id)
    .map(({ found }) => found)
    .sort((one, other) => other.changed - one.changed);
}

/** Save a conversation that has a message; returns whether there was room for it. */
export function saveConversation(conversation) {
  if (!conversation.messages.length) return true;
  conversation.changed = Date.now();
  const others = conversations().filter((each) => each.id !== conversation.id);
  others.slice(MOST_CHATS - 1).forEach((each) => deleteConversation(each.id));
  return local.write(CHAT + conversation.id, JSON.stringify(conversation));
}

export function deleteConversation(id) {
  local.remove(CHAT + id);
}

/** Remember the conversation that this tab shows, and its catalog. */
export function setOpen({ id, domain }) {
  session.write(OPEN, id);
  local.write(DOMAIN, domain);
}

/** Return the saved conversation that this tab showed before a reload; null for none. */
export function openConversation() {
  return readConversation(local.read(CHAT + session.read(OPEN)));
}

/** Return the name of the catalog that was used last; null for none. */
export function chosenDomain() {
  return local.read(DOMAIN);
}

/** Return the cards of the items that the user consumed, oldest first. */
export function historyOf(domain) {
  const saved = parsed(local.read(HISTORY + domain));
  return Array.isArray(saved) ? saved.filter(isCard).slice(-MOST_HISTORY) : [];
}

export function saveHistory(domain, cards) {
  const kept = cards.map(({ item_id, title, attributes }) => ({
    item_id,
    title,
    attributes: { year: attributes?.year },
  }));
  return local.write(HISTORY + domain, JSON.stringify(kept));
}

function keysWith(prefix) {
  return local.keys().filter((key) => key.startsWith(prefix));
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Return a conversation of a saved text; null for one of another form. */
export function readConversation(text) {
  const saved = parsed(text);
  const fits =
    isObject(saved) &&
    isText(saved.id) &&
    isText(saved.domain) &&
    isText(saved.title) &&
    Number.isFinite(saved.changed) &&
    isObject(saved.titles) &&
    Object.values(saved.titles).every(isText) &&
    arePreferences(saved.preferences) &&
    areExchanges(saved.messages);
  return fits ? saved : null;
}

function areExchanges(saved) {
  if (!Array.isArray(saved) || saved.length % 2) return false;
  return saved.every((message, position) => (position % 2 ? isAnswer(message) : isRequest(message)));
}

function isRequest(saved) {
  return isObject(saved) && saved.role === "user" && isText(saved.text) && arePreferences(saved.before);
}

function isAnswer(saved) {
  return (
    isObject(saved) &&
    saved.role === "assistant" &&
    Array.isArray(saved.parts) &&
    saved.parts.every(isPart) &&
    areTexts(saved.notices) &&
    isText(saved.end) &&
    isText(saved.error)
  );
}

function isPart(saved) {
  return isObject(saved) && (saved.item === undefined ? isText(saved.text) : isCard(saved.item));
}

function isCard(saved) {
  return (
    isObject(saved) &&
    isText(saved.item_id) &&
    isText(saved.title) &&
    (saved.categories === undefined || areTexts(saved.categories)) &&
    (saved.attributes === undefined || isObject(saved.attributes))
  );
}

function arePreferences(saved) {
  if (!isObject(saved)) return false;
  const asked = completed(saved);
  return (
    (asked.count === null || Number.isInteger(asked.count)) &&
    typeof asked.together === "boolean" &&
    [asked.liked, asked.disliked, asked.known, asked.mentioned].every(
      (titles) => Array.isArray(titles) && titles.every((ids) => areTexts(ids) && ids.length > 0),
    ) &&
    [asked.only, asked.without, asked.listed].every(areTexts) &&
    [asked.quotas, asked.limits].every((numbers) => isObject(numbers) && Object.values(numbers).every(Number.isInteger)) &&
    [asked.ranges, asked.excluded].every(
      (ranges) => Array.isArray(ranges) && ranges.every((range) => isObject(range) && isText(range.attribute)),
    )
  );
}

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === "string";
const areTexts = (value) => Array.isArray(value) && value.every(isText);
