// The server's HTTP API.

import { session } from "./storage.js";

const KEY = "reclm.key";

/** An error with one line for the user, and the HTTP status; 0 where no answer came. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Keep the key of this browser tab, which the server asks for with status 401. */
export function useKey(key) {
  session.write(KEY, key);
}

export function hasKey() {
  return Boolean(session.read(KEY));
}

/** Return {data: the catalogs, first: name of the first}. */
export async function catalogs() {
  return json("/v1/catalogues");
}

/** Return the items whose titles are most like a text; for "" the most popular ones. */
export async function searchItems(text, domain, limit, signal) {
  const query = new URLSearchParams({ q: text.slice(0, 200), domain, limit: String(limit) });
  return (await json(`/v1/items/search?${query}`, { signal })).items;
}

/** Return an item. */
export async function itemOf(domain, itemId) {
  return json(`/v1/items/${encodeURIComponent(domain)}/${encodeURIComponent(itemId)}`);
}

/** Return the titles of a history that move an item up, the strongest first, and which preferences hold for it. */
export async function whyItem(history, itemId, domain, preferences) {
  const body = { history, item_ids: [itemId], domain, preferences };
  return (await json("/v1/why", { method: "POST", body })).items[0];
}

/** Tell the server what the user did with a listed item; it may keep no log, or the key may have no right to it. */
export function sendFeedback(card, event) {
  if (!card.recommendation_id) return;
  const body = { recommendation_id: card.recommendation_id, item_id: card.item_id, event };
  json("/v1/feedback", { method: "POST", body }).catch(() => {});
}

/**
 * Yield the chunks of an answer as they arrive.
 * @param {object[]} messages - {role, content}, oldest first
 * @param {object} options - the server's own options, under the key `reclm`
 * @param {AbortSignal} signal - ends the answer
 */
export async function* chatChunks(messages, options, signal) {
  const body = { messages, stream: true, reclm: options };
  const response = await request("/v1/chat/completions", { method: "POST", body, signal });
  for await (const data of sentData(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(String(chunk.error.message), 200);
    yield chunk;
  }
  throw new ApiError("The answer broke off: the connection to the server ended.", 0);
}

/** Yield the `data` of server-sent events. */
async function* sentData(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await read(reader);
    if (done) return;
    waiting += value;
    const events = waiting.split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      if (event.startsWith("data: ")) yield event.slice("data: ".length);
    }
  }
}

async function read(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The answer broke off: the connection to the server ended.", 0);
  }
}

async function json(path, options) {
  return (await request(path, options)).json();
}

async function request(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  const key = session.read(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Check that it runs, then retry.", 0);
  }
  if (!response.ok) throw new ApiError(await problem(response), response.status);
  return response;
}

async function problem(response) {
  try {
    return String((await response.json()).error.message);
  } catch {
    return `The server answered with status ${response.status}.`;
  }
}
