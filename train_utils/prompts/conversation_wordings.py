"""Wordings of users who talk in the chat, for training. Those of the evaluation are others, on purpose.

A message is made of sentences: what the user says, and what the user asks for. Fields are `{titles}`, `{title}`,
`{category}`, `{which}` (a phrase of a range), `{n}` (a number of items) and `{s}` (the plural's letter). A wording of
what is asked has `{n}` or none: without it the chat lists `LIST_LENGTH` items.
"""

import random
from collections.abc import Mapping, Sequence

from train_utils.prompts.templates import in_words

# What the user liked, oldest first, in the first message and in a later one.
LIKED = (
    "I enjoyed {titles}.",
    "I loved {titles}.",
    "I like {titles} a lot.",
    "I am a big fan of {titles}.",
    "My recent favorites are {titles}.",
    "We adored {titles}.",
    "These were great: {titles}.",
    "Recently I enjoyed {titles}, in that order.",
    "I really liked {titles}.",
    "I love {titles}!",
    "i liked {titles}",
    "loved {titles}",
    "Lately I have been into {titles}.",
    "Here is what I liked, oldest first: {titles}.",
    "Among the best for me: {titles}.",
    "The last ones that I enjoyed are {titles}.",
)
LIKED_TOO = (
    "I also liked {titles}.",
    "I enjoyed {titles} as well.",
    "More recently I loved {titles}.",
    "Oh, and I love {titles}.",
    "By the way, I am a fan of {titles}.",
    "And lately I enjoyed {titles}.",
    "I should have said that I like {titles}.",
    "After that I liked {titles}.",
    "My newest favorites are {titles}.",
    "We adored {titles} too.",
    "i also love {titles}",
    "To help you: I enjoyed {titles}.",
    "The latest ones that I loved are {titles}.",
    "I forgot to say that I liked {titles}.",
)
DISLIKED = (
    "I disliked {title}.",
    "I hated {title}.",
    "{title} was awful.",
    "{title} bored me.",
    "{title} was a disappointment.",
    "I didn't enjoy {title}.",
    "I couldn't finish {title}.",
    "{title} is not my thing.",
    "{title} left me cold.",
    "I can't stand {title}.",
    "I do not like {title}.",
    "{title} was terrible.",
    "{title} is overrated.",
    "i really did not enjoy {title}",
)
# What is asked for, without any condition.
ASK = (
    "Recommend {n} title{s}.",
    "Could you suggest {n} title{s}?",
    "I'd like {n} recommendation{s}.",
    "Please list {n} title{s} for me.",
    "Show me {n} similar title{s}.",
    "{n} idea{s}, please.",
    "Pick {n} title{s} for me.",
    "Got {n} suggestion{s} in the same spirit?",
    "I want {n} new title{s}.",
    "can you give me {n} suggestion{s}",
    "Name {n} title{s} that I may like.",
    "Find me {n} pick{s} of that kind.",
    "What do you suggest?",
    "Any recommendations?",
    "What should I try next?",
    "Please recommend something similar.",
    "Surprise me.",
    "What goes with that?",
    "What else might I like?",
    "Got any ideas?",
    "Find me something new.",
    "I am looking for something like that.",
    "please recommend titles for me",
    "Which titles would suit me?",
)
MORE = (
    "Please give me {n} more.",
    "I'd like {n} further title{s}.",
    "Keep going with {n} more title{s}.",
    "Could I see {n} other title{s}?",
    "I would like {n} additional suggestion{s}.",
    "Recommend {n} other title{s}, please.",
    "Can I have {n} more suggestion{s}?",
    "show me {n} more title{s}",
    "List {n} further idea{s}.",
    "Suggest {n} more title{s}.",
    "What {n} other title{s} would you pick?",
    "Now {n} more title{s}, please.",
    "What else?",
    "Some more, please.",
    "Please give me more titles.",
    "Show me further titles.",
    "Keep going.",
    "Anything else?",
    "And what else is there?",
    "What other titles are there?",
    "I want more suggestions.",
    "more titles like that",
    "Can you recommend others?",
    "Go on, suggest more.",
)
ONLY = (
    "Only {category}, please: {n} title{s}.",
    "I am in the mood for {category}: {n} title{s}, please.",
    "What about {category}? I need {n} title{s}.",
    "Keep to {category} and show me {n} title{s}.",
    "Please recommend {n} title{s} of the category {category}.",
    "I want {n} title{s}, just {category}.",
    "{category} would be nice. Suggest {n} title{s}.",
    "Can you find {n} title{s} from {category}?",
    "Rather {category}: {n} suggestion{s}, please.",
    "give me {n} {category} title{s}",
    "I feel like {category}. Name {n} title{s}.",
    "Do you have {n} {category} title{s}?",
    "I want {category}.",
    "Only {category} now, please.",
    "How about {category}?",
    "Just {category}, please.",
    "Let's stick to {category}.",
    "I feel like {category} today.",
    "Please recommend something from {category}.",
    "Make it {category}.",
    "please show me only {category}",
    "I'd prefer {category}.",
    "I am looking for {category}.",
    "Can you suggest {category}?",
)
WITHOUT = (
    "Leave out {category}, please, and give me {n} title{s}.",
    "I'd like {n} title{s} without any {category}.",
    "I am tired of {category}. Suggest {n} other title{s}.",
    "No more {category}: {n} title{s}, please.",
    "Skip {category}. I want {n} title{s}.",
    "Show me {n} title{s} that are not {category}.",
    "Nothing from {category}. Can I have {n} idea{s}?",
    "I don't like {category}. Recommend {n} title{s}.",
    "Avoid {category} and list {n} title{s}.",
    "give me {n} title{s}, but not {category}",
    "I have had enough of {category}. Name {n} other title{s}.",
    "Please recommend {n} title{s}, excluding {category}.",
    "Not {category}, please.",
    "I don't want {category}.",
    "Please skip {category}.",
    "Enough of {category}, please.",
    "Please leave {category} out.",
    "I am sick of {category}. What else is there?",
    "Please avoid {category}.",
    "I want nothing from {category}.",
    "I can't stand {category}. What else do you suggest?",
    "everything but {category} please",
    "Please exclude {category}.",
    "I'd like something without {category}.",
)
# Those of a range; `{which}` is one of the phrases below.
RANGE = (
    "I want {n} title{s} {which}.",
    "Show me {n} title{s} {which}.",
    "Can you find {n} title{s} {which}?",
    "Please recommend {n} title{s} {which}.",
    "I need {n} suggestion{s} {which}.",
    "Name {n} title{s} {which}.",
    "What about {n} title{s} {which}?",
    "give me {n} title{s} {which}",
    "I'd like to see {n} title{s} {which}.",
    "List {n} title{s} {which}, please.",
    "I'd rather have {n} title{s} {which}.",
    "Could you suggest {n} title{s} {which}?",
    "I want something {which}.",
    "Only titles {which}, please.",
    "Do you have anything {which}?",
    "How about something {which}?",
    "I'd prefer titles {which}.",
    "Please recommend something {which}.",
    "Just titles {which}, please.",
    "I am looking for titles {which}.",
    "Show me something {which}.",
    "something {which} please",
    "Can you suggest titles {which}?",
    "I need something {which}.",
)
# Phrases of ranges of years, and of those of other attributes. `{before}` is the year before the first one, `{after}`
# the year after the last one.
YEARS: Mapping[str, tuple[str, ...]] = {
    "both": ("from {low} to {high}", "between {low} and {high}", "made from {low} to {high}", "of {low}-{high}"),
    "least": ("since {low}", "from {low} on", "from {low} or later", "after {before}", "no older than {low}"),
    "most": ("up to {high}", "from {high} or earlier", "before {after}", "no newer than {high}", "older than {after}"),
    "decade": ("from the {decade}", "of the {decade}", "made in the {decade}"),
}
NUMBERS: Mapping[str, tuple[str, ...]] = {
    "both": ("with {attribute} between {low} and {high}", "with {attribute} from {low} to {high}"),
    "least": (
        "with {attribute} at least {low}",
        "with {attribute} of {low} or more",
        "with a minimum {attribute} {low}",
    ),
    "most": ("with {attribute} at most {high}", "with {attribute} of {high} or less", "with {attribute} up to {high}"),
}
# Answers where nothing fits.
NOTHING = (
    "Sorry, there is no title that fits all of that.",
    "I am afraid that nothing fits this.",
    "Nothing in the catalog fits what you ask for.",
    "There is no such title, sorry.",
    "I cannot offer any title like that.",
    "No title meets all of these conditions.",
    "Unfortunately, I have nothing that fits.",
    "Sorry, I know of none.",
    "None of my titles is like that, sorry.",
    "That leaves no title to recommend.",
    "I looked, but no title fits that.",
    "With these conditions no title is left.",
)


def worded(wordings: Sequence[str], n: int | None, rng: random.Random, *, spelled: bool = False, **fields: str) -> str:
    """Return a wording with its fields filled.

    Args:
        wordings: the wordings to draw from.
        n: number of items that it asks for; None draws a wording without a number.
        rng: source of randomness.
        spelled: whether the number is a word.
        **fields: values of the other fields.
    """
    wording = rng.choice([wording for wording in wordings if ("{n}" in wording) == (n is not None)])
    number = "" if n is None else in_words(n) if spelled else str(n)
    text = wording.format(n=number, s="" if n == 1 else "s", **fields)
    return text[:1].upper() + text[1:] if wording.startswith("{n}") else text


def joined(names: Sequence[str], rng: random.Random) -> str:
    """Return titles as an enumeration."""
    if rng.random() < 0.2:
        names = [f'"{name}"' for name in names]
    if len(names) == 1 or rng.random() < 0.3:
        return ", ".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def sentences(parts: Sequence[str]) -> str:
    """Return sentences as one message; a full stop ends those before the last."""
    ended = [part if part[-1:] in ".!?" else f"{part}." for part in parts[:-1]]
    return " ".join([*ended, *parts[-1:]])
