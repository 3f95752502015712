// Titles as people say them. The same rule as `spoken_title` in train_utils/prompts/title_forms.py.

const NUMBER = / \([1-9][0-9]?\)$/;
const ARTICLE_LAST = /^(.+), (the|an?|le|la|les|l'|el|los|las|der|die|das|il|un|une)$/i;

/** Return "The Lion King" for "Lion King, The", "Cape Fear" for "Cape Fear (1)", and other titles as they are. */
export function spoken(title) {
  const unnumbered = title.replace(NUMBER, "");
  const match = ARTICLE_LAST.exec(unnumbered);
  if (!match) return unnumbered;
  return match[2] + (match[2].endsWith("'") ? "" : " ") + match[1];
}
