// The page: connects the chat with what is shown.

import { contentOf, itemsOf } from "./answer.js";
import { catalogs, searchItems } from "./api.js";
import { Chat } from "./chat.js";
import { collapseChips, setUpChips, showChips } from "./chips.js";
import { showConversations } from "./conversations_panel.js";
import { announce, byId } from "./dom.js";
import { setUpDrawers } from "./drawers.js";
import { follow, followUnlessScrolled, setUpFollowing } from "./following.js";
import { HistoryPanel } from "./history_panel.js";
import { askKey, setUpKeyDialog } from "./key_dialog.js";
import { answerView, userView } from "./messages.js";
import { chosenDomain, deleteConversation, openConversation, setOpen } from "./store.js";
import { showSuggestions, suggestionsOf } from "./suggestions.js";

const SAID_CHARACTERS = 1000; // of an answer, to screen readers
const LOADING_MS = 3000; // between two looks at catalogs that the server still loads

const composer = byId("message");
const ASK = composer.placeholder;
let isStarted = false; // what is typed before stays in the box: there is no chat yet that could take it
const domains = byId("domain");
let catalogOf = {}; // name -> catalog
let views = []; // of the answers

const historyPanel = new HistoryPanel(askKey);
const chat = new Chat(() => historyPanel.ids, {
  opened,
  message,
  answer,
  preferences,
  state,
  saved,
  failed: askKey,
});
const drawers = setUpDrawers();
setUpChips();
setUpFollowing();
setUpKeyDialog();

// -- what the chat shows ------------------------------------------------------------------------------------------

function opened() {
  const { conversation } = chat;
  views = [];
  byId("messages").replaceChildren();
  conversation.messages.forEach(message);
  domains.value = conversation.domain;
  historyPanel.show(conversation.domain);
  byId("welcome").hidden = conversation.messages.length > 0;
  showSuggestions([], send);
  if (!conversation.messages.length) suggest(conversation.domain);
  setOpen(conversation);
  showButtons();
  collapseChips();
  follow();
}

function message(added) {
  byId("welcome").hidden = true;
  const view =
    added.role === "user"
      ? { node: userView(added) }
      : answerView(added, {
          judge: (card, kind) => chat.judge(card, kind),
          why: (card) => chat.why(card),
          retry: () => chat.retry(),
        });
  if (added.role === "assistant") {
    view.refresh(chat.conversation.preferences);
    views.push(view);
  }
  byId("messages").append(view.node);
  follow();
}

function answer() {
  views.at(-1).update();
  followUnlessScrolled();
}

function preferences() {
  showChips(
    chat.conversation.preferences,
    (id) => chat.titleOf(id),
    (chip) => chat.removeChip(chip),
  );
  views.forEach((view) => view.refresh(chat.conversation.preferences));
}

function state() {
  showButtons();
  announce(chat.isRunning ? "Writing the answer" : said(chat.conversation.messages.at(-1)));
}

function showButtons() {
  byId("send").hidden = chat.isRunning;
  byId("stop").hidden = !chat.isRunning;
  byId("more").disabled = chat.isRunning;
  listConversations();
}

function said(last) {
  if (last?.role !== "assistant") return "";
  const items = itemsOf(last);
  const count = items.length ? `${items.length} ${items.length === 1 ? "title" : "titles"}: ` : "";
  return [count + contentOf(last), ...last.notices, last.error].filter(Boolean).join(" ").slice(0, SAID_CHARACTERS);
}

function saved(hadRoom) {
  byId("no-room").hidden = hadRoom;
}

function listConversations() {
  showConversations(chat.conversation.id, {
    open(conversation) {
      if (conversation.id !== chat.conversation.id) chat.open(conversation);
      drawers.closeOverlay();
      readyToType();
    },
    remove(id) {
      const isOpen = id === chat.conversation.id;
      if (isOpen) chat.discard();
      deleteConversation(id);
      if (isOpen) chat.begin(chat.conversation.domain);
      else listConversations();
      byId("new-chat").focus();
    },
  });
}

async function suggest(domain) {
  const catalog = catalogOf[domain];
  if (!catalog) return;
  try {
    const popular = await searchItems("", domain, 1);
    if (chat.conversation.domain === domain && !chat.conversation.messages.length) {
      showSuggestions(suggestionsOf(catalog, popular), send);
    }
  } catch (error) {
    askKey(error, () => suggest(domain));
  }
}

// -- what the user does -------------------------------------------------------------------------------------------

function send(text) {
  chat.send(text);
  readyToType();
}

/** Put the cursor into the message field, except where that opens a keyboard over the chat. */
function readyToType() {
  if (!window.matchMedia("(pointer: coarse)").matches) composer.focus();
}

function sendTyped() {
  if (!isStarted || chat.isRunning || !composer.value.trim()) return;
  const text = composer.value;
  composer.value = "";
  send(text);
}

function begin(domain) {
  chat.begin(domain);
  drawers.closeOverlay();
  readyToType();
}

function onKey(event) {
  if (event.key === "Escape" && chat.isRunning) chat.stop();
  else if (event.key === "Escape") drawers.closeOverlay();
}

composer.addEventListener("keydown", (event) => {
  // While an input method composes a character, Enter confirms it.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    sendTyped();
  }
});
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  sendTyped();
});
byId("stop").addEventListener("click", () => {
  chat.stop();
  readyToType();
});
byId("more").addEventListener("click", () => chat.more());
byId("new-chat").addEventListener("click", () => begin(domains.value));
domains.addEventListener("change", () => begin(domains.value));
byId("theme").addEventListener("click", () => announce(`${window.toggleTheme()} theme`));
byId("retry-start").addEventListener("click", () => start());
document.addEventListener("keydown", onKey);
window.addEventListener("pagehide", () => {
  if (chat.isRunning) chat.save();
});

// -- the start ----------------------------------------------------------------------------------------------------

/** Show the catalogs that there are, and look again while others are being loaded. */
function showCatalogs({ data, loading }) {
  const chosen = chat.conversation?.domain ?? domains.value;
  catalogOf = Object.fromEntries(data.map((catalog) => [catalog.domain, catalog]));
  domains.replaceChildren(
    ...data.map(
      (catalog) => new Option(`${catalog.domain} · ${catalog.items.toLocaleString("en")} titles`, catalog.domain),
    ),
  );
  domains.hidden = !data.length;
  if (chosen in catalogOf) domains.value = chosen;
  if (loading?.length) setTimeout(lookAgain, LOADING_MS);
}

function lookAgain() {
  catalogs().then(showCatalogs, () => setTimeout(lookAgain, LOADING_MS));
}

async function start() {
  let first = "";
  byId("start-problem").hidden = true;
  composer.placeholder = "Loading the catalogs…";
  try {
    const answered = await catalogs();
    chat.keepsFeedback = answered.feedback === true;
    isStarted = true;
    composer.placeholder = ASK;
    ({ first } = answered);
    showCatalogs(answered);
  } catch (error) {
    byId("start-problem-text").textContent = error.message;
    byId("start-problem").hidden = false;
    askKey(error, start);
    return;
  }
  const last = openConversation();
  if (last) chat.open(last);
  else chat.begin(chosenDomain() in catalogOf ? chosenDomain() : first);
  readyToType();
}

start();
