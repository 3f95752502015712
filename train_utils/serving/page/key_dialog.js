// Asks for the key of a server that answers with status 401.

import { ApiError, hasKey, useKey } from "./api.js";
import { byId } from "./dom.js";

let next = null; // what to do when the user has given a key

/** Make the dialog's form work. */
export function setUpKeyDialog() {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(byId("key").value.trim());
    byId("key").value = "";
    byId("key-dialog").close();
    next?.();
  });
}

/**
 * Ask for a key if this is what an error wants.
 * @param {Error} error - what went wrong
 * @param {function()|null} again - does again what failed; null where the user repeats it by hand
 */
export function askKey(error, again = null) {
  if (!(error instanceof ApiError) || error.status !== 401) return;
  next = again;
  byId("key-problem").hidden = !hasKey();
  if (!byId("key-dialog").open) byId("key-dialog").showModal();
}
