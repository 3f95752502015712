// An answer as it is saved: {parts: [{text} | {item}], notices, end, error}; `end` is "", "stop", "length",
// "stopped" or "error".

// "1. " before an item: a card shows its rank itself.
const NUMBERING = /(^|\n)[ \t]*\d+[.)]?[ \t]*$/;

export function newAnswer() {
  return { role: "assistant", parts: [], notices: [], end: "", error: "" };
}

/** Add a chunk of the server to an answer. */
export function addChunk(answer, chunk) {
  const choice = chunk.choices?.[0];
  const { content = "", items = [] } = choice?.delta ?? {};
  if (items.length) answer.parts.push({ item: items[0] });
  else if (content) addText(answer.parts, content);
  if (chunk.reclm?.notice) answer.notices.push(chunk.reclm.notice);
  if (choice?.finish_reason) answer.end = choice.finish_reason;
}

function addText(parts, text) {
  const last = parts.at(-1);
  if (last && "text" in last) last.text += text;
  else parts.push({ text });
}

/** Return the text that the model wrote, which the next request sends back. */
export function contentOf(answer) {
  return answer.parts.map((part) => part.text ?? part.item.title).join("");
}

/** Return the items of an answer. */
export function itemsOf(answer) {
  return answer.parts.filter((part) => part.item).map((part) => part.item);
}

/**
 * Return the answer's parts as they are shown, [{text} | {items}]: neighboring items form a list, and their numbers
 * are left out.
 */
export function shownParts(answer) {
  const shown = [];
  answer.parts.forEach((part, position) => {
    if (part.item) {
      if (shown.at(-1)?.items) shown.at(-1).items.push(part.item);
      else shown.push({ items: [part.item] });
      return;
    }
    // The number of an item whose title is still being written is no text either.
    const beforeItem = answer.parts[position + 1]?.item || (!answer.end && position === answer.parts.length - 1);
    const text = (beforeItem ? part.text.replace(NUMBERING, "") : part.text).trim();
    if (text) shown.push({ text });
  });
  return shown;
}
