// Titles as people say them. The same rule as `spoken_title` in train_utils/prompts/named_titles.py.

const ARTICLE_LAST = /^(.+), (the|an?|le|la|les|l'|el|los|las|der|die|das|il|un|une)$/i;

/** Return "The Lion King" for "Lion King, The", and other titles as they are. */
export function spoken(title) {
  const match = ARTICLE_LAST.exec(title);
  if (!match) return title;
  return match[2] + (match[2].endsWith("'") ? "" : " ") + match[1];
}
