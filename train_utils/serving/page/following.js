// Keeps the end of an answer in sight while it is written.

import { byId } from "./dom.js";

const ABOVE = 12; // px between the top of the chat and the message that is answered

let followedTo = 0; // where the chat was scrolled to; a user who scrolls is not moved

/** Keep the end in sight when the room for the chat changes. */
export function setUpFollowing() {
  new ResizeObserver(followUnlessScrolled).observe(byId("log"));
}

/** Scroll to the end, but not past the message that is answered: answers are read from their beginning. */
export function follow() {
  const log = byId("log");
  const asked = [...log.querySelectorAll(".from-user")].at(-1);
  log.scrollTop = Math.min(log.scrollHeight - log.clientHeight, (asked?.offsetTop ?? 0) - ABOVE);
  followedTo = log.scrollTop;
}

/** Do the same unless the user has scrolled since. */
export function followUnlessScrolled() {
  if (Math.abs(byId("log").scrollTop - followedTo) < 2) follow();
}
