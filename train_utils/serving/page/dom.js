// Elements without innerHTML: text from the server or the user only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return a new element.
 * @param {string} tag - its name
 * @param {object} attributes - attribute -> value; false and null leave it out, functions are listeners ("click")
 * @param {...(Node|string|null)} children - elements and texts
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return an icon of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** Return a button that shows an icon and is named by a label. */
export function iconButton(name, label, onClick, attributes = {}) {
  return element(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, click: onClick, ...attributes },
    icon(name),
  );
}

/** Return the element with an id, which index.html must have. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element #${id}`);
  return found;
}

/** Say a text to screen readers. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** Return the address if it is one of the web; "" otherwise, so that data cannot run scripts. */
export function webAddress(value) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value)) return "";
  return URL.canParse(value) ? value : "";
}
