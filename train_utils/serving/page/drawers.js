// The two side panels: columns on a wide page, drawers over the chat on a narrow one.

import { byId } from "./dom.js";

const PANELS = [
  { panel: "sidebar", button: "open-sidebar", covers: window.matchMedia("(max-width: 800px)"), isOpen: false },
  { panel: "history", button: "open-history", covers: window.matchMedia("(max-width: 1200px)"), isOpen: false },
];

/** Make the panels open and close; returns {closeOverlay}, which closes the one that covers the chat. */
export function setUpDrawers() {
  for (const entry of PANELS) {
    const fit = () => {
      entry.isOpen = !entry.covers.matches;
      render();
    };
    entry.covers.addEventListener("change", fit);
    byId(entry.button).addEventListener("click", () => toggle(entry));
    byId(entry.panel)
      .querySelector(".close-panel")
      .addEventListener("click", () => close(entry));
    fit();
  }
  byId("backdrop").addEventListener("click", closeOverlay);
  return { closeOverlay };
}

function render() {
  const overlay = PANELS.find((entry) => entry.isOpen && entry.covers.matches);
  for (const entry of PANELS) {
    byId(entry.panel).classList.toggle("is-open", entry.isOpen);
    byId(entry.panel).inert = !entry.isOpen || (overlay !== undefined && overlay !== entry);
    byId(entry.button).setAttribute("aria-expanded", String(entry.isOpen));
  }
  // What an open drawer covers is out of reach, for the keyboard too.
  document.querySelector(".main").inert = overlay !== undefined;
  byId("backdrop").hidden = overlay === undefined;
}

function toggle(entry) {
  if (entry.isOpen) {
    close(entry);
    return;
  }
  entry.isOpen = true;
  render();
  if (entry.covers.matches) byId(entry.panel).querySelector(".close-panel").focus();
}

function close(entry) {
  entry.isOpen = false;
  render();
  byId(entry.button).focus();
}

function closeOverlay() {
  PANELS.filter((entry) => entry.isOpen && entry.covers.matches).forEach(close);
}
