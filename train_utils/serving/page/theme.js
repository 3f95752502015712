// Sets the chosen theme before the page is painted; without a choice the system's holds.
// A classic script in the head: a module would run too late and the page would flash.

(() => {
  const KEY = "reclm.theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const saved = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const current = () => document.documentElement.dataset.theme || (system.matches ? "dark" : "light");
  if (saved() === "dark" || saved() === "light") document.documentElement.dataset.theme = saved();
  window.toggleTheme = () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // storage is switched off: the choice holds for this visit
    }
    return next;
  };
})();
