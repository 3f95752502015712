// The two side panels: columns on a wide page, drawers over the chat on a narrow one.

import { byId } from "./dom.js";

const PANELS = [
  { panel: "sidebar", button: "open-sidebar", overlay: window.matchMedia("(max-width: 800px)"), isOpenWide: true },
  { panel: "history", button: "open-history", overlay: window.matchMedia("(max-width: 1200px)"), isOpenWide: true },
];

/** Make the panels open and close; returns {closeOverlay}, which closes those that cover the chat. */
export function setUpDrawers() {
  for (const entry of PANELS) {
    const { panel, button, overlay, isOpenWide } = entry;
    const fit = () => set(entry, !overlay.matches && isOpenWide);
    overlay.addEventListener("change", fit);
    byId(button).addEventListener("click", () => set(entry, byId(panel).inert, true));
    byId(panel).querySelector(".close-panel").addEventListener("click", () => set(entry, false, true));
    fit();
  }
  byId("backdrop").addEventListener("click", closeOverlay);
  return { closeOverlay };
}

function set({ panel, button, overlay }, isOpen, byUser = false) {
  byId(panel).classList.toggle("is-open", isOpen);
  byId(panel).inert = !isOpen; // closed, its buttons are out of the keyboard's way
  byId(button).setAttribute("aria-expanded", String(isOpen));
  byId("backdrop").hidden = !PANELS.some((entry) => entry.overlay.matches && !byId(entry.panel).inert);
  if (!byUser) return;
  if (!isOpen) byId(button).focus();
  else if (overlay.matches) byId(panel).querySelector(".close-panel").focus();
}

function closeOverlay() {
  for (const entry of PANELS) {
    if (entry.overlay.matches && !byId(entry.panel).inert) set(entry, false, true);
  }
}
