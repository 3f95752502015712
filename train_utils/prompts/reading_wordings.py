"""Further wordings of users, for training a model to read messages. Those of the evaluation are others, on purpose.

Fields are as in `conversation_wordings`, and `{other}` is a second category. "title" stands for any of `NOUNS`.
"""

# What users call the items of a catalog.
NOUNS = ("title", "movie", "film", "item", "product", "book", "show", "game", "thing")
# What the user knows, without a judgment.
KNOWN = (
    "I have already seen {titles}.",
    "I already know {titles}.",
    "We had {titles} last week.",
    "I have been through {titles} before.",
    "{titles} I know by heart.",
    "Already done: {titles}.",
    "I own {titles}.",
    "Yesterday we had {titles}.",
    "{titles} are known to me.",
    "i know {titles} already",
    "We have seen {titles} together.",
    "You need not suggest {titles}, I have seen them.",
)
# Titles as examples of what is asked for.
SIMILAR = (
    "Give me {n} title{s} like {titles}.",
    "Something in the style of {titles}, please.",
    "I want {n} title{s} similar to {titles}.",
    "What resembles {titles}?",
    "Find {n} title{s} that go well with {titles}.",
    "Do you have anything like {titles}?",
    "{titles} - what else is of that kind?",
    "more in the spirit of {titles}",
    "If I liked {titles}, what are {n} good title{s}?",
    "Looking for {n} title{s} close to {titles}.",
)
# Two categories, of which an item must have both.
TOGETHER = (
    "I want {n} title{s} that are both {category} and {other}.",
    "Give me {n} {category} {other} title{s}.",
    "A mix of {category} and {other} in one title, please.",
    "Something that is {category} and {other} at once.",
    "Do you have {category} title{s} with {other} in them as well?",
    "{category} {other} please",
    "Find {n} title{s} that combine {category} with {other}.",
    "a {category} {other}",
)
# Two categories, one of which an item must have.
EITHER = (
    "I want {n} title{s}, {category} or {other}.",
    "Either {category} or {other}, please.",
    "Give me {n} {category} or {other} title{s}.",
    "{category} or {other} would be fine.",
    "Show me {category}, or maybe {other}.",
    "Do you have {n} title{s} of {category} or {other}?",
    "some {category} or {other} title",
    "Find {n} {category} and {other} title{s}, whichever.",
)
# A category that is added to those asked for before.
ALSO = (
    "{category} would be fine too.",
    "You may add {category} as well.",
    "Also {category}, please.",
    "I would take {category} too: {n} title{s}.",
    "Include {category} also and show me {n} title{s}.",
    "Add {category} to that.",
    "{category} is also welcome.",
    "And {category} as well, {n} title{s}.",
)
ANY_CATEGORY = (
    "Any genre will do.",
    "The kind does not matter any longer.",
    "Forget the genre, show me {n} title{s} of any kind.",
    "I am open to all categories now.",
    "From every genre, please.",
    "The category no longer matters: {n} title{s}.",
    "whatever genre",
    "No particular genre, {n} title{s}.",
)
# A category and a range.
ONLY_RANGE = (
    "I want {n} {category} title{s} {which}.",
    "Show me {category} title{s} {which}.",
    "Please recommend {n} {category} title{s} {which}.",
    "{category} {which}, please.",
    "Do you have {category} {which}?",
    "Name {n} title{s} {which}, only {category}.",
    "some {category} {which}",
    "{n} {category} title{s} {which}",
)
# A category that is wanted and one that is not.
ONLY_WITHOUT = (
    "I want {n} {category} title{s} without {other}.",
    "{category}, but no {other}.",
    "Show me {category} title{s}, only not {other}.",
    "Please recommend {n} {category} title{s}, and no {other}.",
    "I'd like {category}, but please nothing with {other}.",
    "Find {n} title{s} of {category} that are not {other}.",
)
FORGET = (
    "Let us start over.",
    "Forget all that I said.",
    "New search.",
    "Start from scratch, please.",
    "Never mind what I asked before.",
    "Reset, please.",
    "Different topic.",
    "Ignore my earlier wishes.",
)
# Messages that ask for nothing.
SMALL_TALK = (
    "Thanks a lot!",
    "Hello there.",
    "good morning",
    "Great, that helps.",
    "How are you?",
    "Okay, thank you, that is all.",
    "What can you do?",
    "Tell me a joke.",
    "Who made you?",
    "That is a nice list.",
    "I will think about it.",
    "Bye for now.",
    "What is the capital of Peru?",
    "lol",
    "You are funny.",
    "It is raining here today.",
)
