// The browser's storage, or the page's own memory where a browser forbids storage.

function available(kind) {
  try {
    void window[kind].length;
    return window[kind];
  } catch {
    return null;
  }
}

/** Texts under keys; `kind` is "localStorage" or "sessionStorage". */
class SafeStorage {
  #browser;
  #memory = new Map();

  constructor(kind) {
    this.#browser = available(kind);
  }

  read(key) {
    return this.#browser ? this.#browser.getItem(key) : (this.#memory.get(key) ?? null);
  }

  /** Write a text; returns whether there was room for it. */
  write(key, text) {
    if (!this.#browser) {
      this.#memory.set(key, text);
      return true;
    }
    try {
      this.#browser.setItem(key, text);
      return true;
    } catch {
      return false;
    }
  }

  remove(key) {
    if (this.#browser) this.#browser.removeItem(key);
    else this.#memory.delete(key);
  }

  keys() {
    return this.#browser ? Object.keys(this.#browser) : [...this.#memory.keys()];
  }
}

export const local = new SafeStorage("localStorage");
export const session = new SafeStorage("sessionStorage");
