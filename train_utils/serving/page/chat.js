// One conversation: sending, stopping, retrying, and editing what was understood. Knows no elements of the page.

import { addChunk, contentOf, newAnswer } from "./answer.js";
import { chatChunks, itemOf, sendFeedback, whyItem } from "./api.js";
import {
  beforeMessage,
  completed,
  judged,
  judgmentOf,
  moreMessage,
  tasteOf,
  wishesOf,
  withListed,
  withoutChip,
} from "./preferences.js";
import { reasonInWords } from "./reasons.js";
import { newConversation, saveConversation } from "./store.js";
import { spoken } from "./titles.js";

const SENT_EXCHANGES = 20; // the newest; what older ones asked is in the preferences
const TITLE_CHARACTERS = 60;
const FEEDBACK = { liked: "like", disliked: "dislike", known: "hide" }; // judgment -> event of the server's log

export class Chat {
  #shown;
  #historyIds;
  // {controller, edits, isDiscarded} of the answer under way; `edits` were made before its message was understood.
  #running = null;
  #asked = new Set(); // ids of items whose titles were asked for

  /**
   * @param {function(): string[]} historyIds - ids of the items that the user consumed before
   * @param {object} shown - called after changes: opened(), message(message), answer(), preferences(), state(),
   *     saved(hadRoom), failed(error, retry), where `retry` is null for what the user repeats by hand
   */
  constructor(historyIds, shown) {
    this.#historyIds = historyIds;
    this.#shown = shown;
    this.conversation = newConversation("");
    this.keepsFeedback = false; // whether the server keeps a log
  }

  get isRunning() {
    return this.#running !== null;
  }

  /** Begin a new conversation about a catalog. */
  begin(domain) {
    this.open(newConversation(domain));
  }

  /** Continue a saved conversation. */
  open(conversation) {
    this.stop();
    this.#running = null;
    this.conversation = conversation;
    // An answer that a reload interrupted has no end.
    const last = conversation.messages.at(-1);
    if (last?.role === "assistant" && !last.end) last.end = "stopped";
    this.#shown.opened();
    this.#shown.preferences();
  }

  /** Send a message and show the answer as it arrives. */
  async send(text) {
    if (this.isRunning || !text.trim()) return;
    const { conversation } = this;
    const message = { role: "user", text, before: conversation.preferences };
    conversation.messages.push(message);
    conversation.title ||= text.trim().replace(/\s+/g, " ").slice(0, TITLE_CHARACTERS);
    this.#shown.message(message);
    await this.#answer(conversation);
  }

  /** Ask for further titles under the preferences as they are. */
  async more() {
    await this.send(moreMessage(this.conversation.preferences));
  }

  /** Send the last message again, without what its answer said. */
  async retry() {
    const { conversation } = this;
    const at = conversation.messages.findLastIndex((message) => message.role === "user");
    if (this.isRunning || at < 0) return;
    const [message] = conversation.messages.splice(at);
    conversation.preferences = beforeMessage(message.before, conversation.preferences);
    this.#shown.opened();
    this.#shown.preferences();
    await this.send(message.text);
  }

  /** End the answer under way; what was written stays. */
  stop() {
    this.#running?.controller.abort();
  }

  /** End the answer under way and save nothing of it: the conversation was deleted. */
  discard() {
    if (this.#running) this.#running.isDiscarded = true;
    this.stop();
  }

  /** Save the conversation, also in the middle of an answer. */
  save(conversation = this.conversation) {
    this.#shown.saved(saveConversation(conversation));
  }

  async #answer(conversation) {
    const running = { controller: new AbortController(), edits: [], isDiscarded: false };
    const sent = messagesOf(conversation);
    const answer = newAnswer();
    conversation.messages.push(answer);
    this.#running = running;
    this.#shown.message(answer);
    this.save(conversation);
    this.#shown.state();
    const options = {
      domain: conversation.domain,
      history: this.#historyIds(),
      preferences: conversation.preferences,
      notices: "data",
    };
    try {
      for await (const chunk of chatChunks(sent, options, running.controller.signal)) {
        this.#take(chunk, answer, conversation, running);
      }
      answer.end ||= "stop";
    } catch (error) {
      answer.end = error.name === "AbortError" ? "stopped" : "error";
      answer.error = answer.end === "error" ? error.message : "";
      if (answer.end === "error") this.#shown.failed(error, () => this.retry());
    }
    if (this.#running === running) this.#running = null;
    if (running.isDiscarded) return;
    this.save(conversation);
    if (conversation === this.conversation) {
      this.#shown.answer();
      this.#shown.state();
    }
  }

  #take(chunk, answer, conversation, running) {
    addChunk(answer, chunk);
    const { preferences } = chunk.reclm ?? {};
    if (preferences && running.edits) {
      conversation.preferences = running.edits.reduce((asked, edit) => edit(asked), completed(preferences));
      answer.taste = tasteOf(this.#historyIds(), conversation.preferences); // what may move its items
      answer.wishes = wishesOf(conversation.preferences); // what they fit
      running.edits = null; // later chunks repeat these preferences: edits made meanwhile must not be lost
    }
    for (const card of chunk.choices?.[0]?.delta?.items ?? []) {
      conversation.titles[card.item_id] = card.title;
      conversation.preferences = withListed(conversation.preferences, card.item_id);
    }
    if (conversation !== this.conversation) return;
    this.#shown.answer();
    if (preferences) this.#shown.preferences();
  }

  // -- edits of what was understood ------------------------------------------------------------------------------

  /** Take back what a chip stands for, also for a retry of the last message. */
  removeChip(chip) {
    const change = (preferences) => withoutChip(preferences, chip);
    const message = this.conversation.messages.findLast((each) => each.role === "user");
    if (message) message.before = change(message.before);
    this.#edit(change);
  }

  /** Like, dislike or hide an item; the same judgment twice takes it back. */
  judge(card, kind) {
    this.conversation.titles[card.item_id] = card.title;
    const isTakenBack = judgmentOf(this.conversation.preferences, card.item_id) === kind;
    if (!isTakenBack && this.keepsFeedback) sendFeedback(card, FEEDBACK[kind]);
    this.#edit((preferences) => judged(preferences, card.item_id, kind));
  }

  #edit(change) {
    this.conversation.preferences = change(this.conversation.preferences);
    this.#running?.edits?.push(change);
    this.save();
    this.#shown.preferences();
  }

  /** Return the title of an item; "…" while the server is asked for it. */
  titleOf(id) {
    const { conversation } = this;
    const known = conversation.titles[id];
    if (known === undefined && !this.#asked.has(id)) this.#fetchTitle(conversation, id);
    return known === undefined ? "…" : spoken(known);
  }

  async #fetchTitle(conversation, id) {
    this.#asked.add(id);
    try {
      conversation.titles[id] = (await itemOf(conversation.domain, id)).title;
    } catch {
      conversation.titles[id] = id; // the item is gone, or the server: its id is all there is
    }
    this.#asked.delete(id);
    if (conversation === this.conversation) this.#shown.preferences();
  }

  /** Return what was known when an item was listed: {taste, wishes}. */
  #knownBefore(card) {
    const answer = this.conversation.messages.findLast((each) =>
      each.parts?.some((part) => part.item?.recommendation_id === card.recommendation_id),
    );
    const { preferences } = this.conversation;
    return {
      taste: Array.isArray(answer?.taste) ? answer.taste : tasteOf(this.#historyIds(), preferences),
      wishes: answer?.wishes ?? wishesOf(preferences),
    };
  }

  /** Return why an item is in a list, as a sentence. */
  async why(card) {
    const { taste, wishes } = this.#knownBefore(card);
    const history = taste.filter((id) => id !== card.item_id);
    try {
      const explained = await whyItem(history, card.item_id, this.conversation.domain, wishes);
      const reason = reasonInWords(explained);
      if (!history.length) return `Nothing was known of your taste when it was listed: others like it. ${reason}`;
      if (!explained.because.length) return `No title you like moves it up. ${reason || "It fits what you asked for."}`;
      return reason;
    } catch (error) {
      this.#shown.failed(error, null);
      return error.message;
    }
  }
}

/** Return the messages to send: the newest exchanges that were answered, and the message that was just added. */
function messagesOf(conversation) {
  const messages = [];
  const { messages: all } = conversation;
  for (let at = 0; at + 1 < all.length; at += 2) {
    const [message, answer] = [all[at], all[at + 1]];
    if (answer.end === "error" && !answer.parts.length) continue;
    messages.push({ role: "user", content: message.text }, { role: "assistant", content: contentOf(answer) });
  }
  return [...messages.slice(-2 * SENT_EXCHANGES), { role: "user", content: all.at(-1).text }];
}
