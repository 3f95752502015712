// The list of saved conversations.

import { byId, element, icon, iconButton } from "./dom.js";
import { conversations } from "./store.js";

/**
 * Show the saved conversations.
 * @param {string} currentId - id of the open one
 * @param {object} actions - open(conversation), remove(id)
 */
export function showConversations(currentId, actions) {
  const saved = conversations();
  byId("conversations").replaceChildren(...saved.map((each) => row(each, each.id === currentId, actions)));
  byId("no-conversations").hidden = saved.length > 0;
}

function row(conversation, isCurrent, actions) {
  return element(
    "li",
    { class: "conversation" },
    element(
      "button",
      {
        type: "button",
        class: "conversation-open",
        "aria-current": isCurrent ? "true" : null,
        title: conversation.title,
        click: () => actions.open(conversation),
      },
      element("span", { class: "conversation-title" }, conversation.title),
      element("span", { class: "conversation-domain" }, conversation.domain),
    ),
    deleteButton(conversation, actions),
  );
}

// Deleting cannot be undone, so it takes a second press; leaving the button takes the first one back.
function deleteButton(conversation, actions) {
  const label = `Delete: ${conversation.title}`;
  const button = iconButton("delete", label, () => {
    if (button.classList.contains("is-asking")) {
      actions.remove(conversation.id);
      return;
    }
    button.classList.add("is-asking");
    button.replaceChildren("Delete?");
    button.setAttribute("aria-label", `${label}. Press again to delete.`);
  });
  button.addEventListener("blur", () => {
    button.classList.remove("is-asking");
    button.replaceChildren(icon("delete"));
    button.setAttribute("aria-label", label);
  });
  return button;
}
