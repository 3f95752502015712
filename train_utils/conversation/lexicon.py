"""English words by which requests are read, as lists of phrases. Titles and categories come from the catalog."""

import re

_ESCAPED = {"'": "'?", " ": r"\s+", r"\*": r"\w*", "*": r"\w*"}


def any_of(phrases: str) -> str:
    """Return a pattern of comma-separated phrases, the longest first.

    An apostrophe may be missing in the text, and `*` stands for any ending.
    """
    listed = sorted({" ".join(phrase.split()) for phrase in phrases.split(",")} - {""}, key=len, reverse=True)
    return "(?:" + "|".join("".join(_ESCAPED.get(c, re.escape(c)) for c in phrase) for phrase in listed) + ")"


def finder(phrases: str) -> re.Pattern[str]:
    """Return a pattern that finds comma-separated phrases as whole words."""
    return re.compile(rf"\b{any_of(phrases)}(?!\w)", re.IGNORECASE)


# What items are called.
NOUNS = """
movie, movies, film, films, flick, flicks, title, titles, item, items, product, products, book, books, novel, novels,
game, games, show, shows, series, anime, song, songs, album, albums, picture, pictures, recommendation,
recommendations, suggestion, suggestions, pick, picks, option, options, choice, choices, idea, ideas, one, ones,
other, others, things, tips
"""

# -- requests ----------------------------------------------------------------------------------------------------------
# Words with which a statement asks for something: "I loved Alien, can you find more?"
ASKING = """
recommend, recs, suggest, give me, gimme, show me, find me, want, wants, wanna, need, needs, looking for, look for,
search for, searching for, in the mood, feel like, feeling like, fancy, crave, craving, how about, what about, what
else, what next, what now, what should, what would, what could, what can, what are some, something, anything, another,
rather, prefer, please, pls, could you, can you, would like, i'd like, we'd like, i'd love, we'd love, let's, to
watch, tell me, throw, hit me, help me, make it, surprise me, and now, others like
"""
# Questions about a title or the catalog; what they name is no example.
INFORMATION = """
explain, how many, what does, do you speak, do you like, who directed, who plays, who played, who starred, who stars,
who made, who wrote, difference between, what is the plot, what's the plot, what is it about, when was, when did, how
long is, tell me about
"""
# The same, where a title follows.
INFORMATION_ON_TITLE = "do you know, have you seen, have you heard of, is, was, what is, what's, who is"
PRONOUNS = "it, them, both, those, that one, this one, that film, that movie, all of them"
# Words that ask for recommendations even where the message names no title, category, range or number.
ASKING_FOR_ITEMS = """
recommend, recommendation, recommendations, recs, suggestion, suggestions, what should i, what should we, what could
i, what could we, what can i, what would you, what's next, what next, what else, something to watch, something else,
something similar, something like, something new, something good, something different, anything else, anything like,
anything similar, anything good, anything new, surprise me, should i watch, should we watch, can i watch, can we
watch, could i watch, give me some, give me more, give me another, some more, more like, more of, what now, any
advice, what is there for me, i'd like to watch, i want to watch, another one, one more
"""
# Between one of these and a noun, a few words may stand: "any good old movies".
ASKING_BEFORE_NOUN = """
any, some, more, other, another, which, good, similar, new, find, show me, give me, need, want, list, suggest, i'd
like a, we'd like a, would like a, want a, need a
"""
MORE = "more, another, additional, further, others, what else, who else, keep going, go on"
NOT_MORE = """
even more, more than, more recent, more recently, more or less, more serious, more modern, more light*, more fun, more
funny
"""
FORGET = """
scratch everything, scrap everything, scrap all of that, scrap all that, forget that, forget it, forget this, forget
everything, forget all that, forget all of that, forget about that, forget about it, forget all about that, forget
what i said, forget those, ignore everything, ignore that, back to square one, start from the beginning, start over,
start again, start afresh, start fresh, start from scratch, starting over, from scratch, scratch that, scrap that,
never mind, nevermind, something completely different, something entirely different, something totally different,
something completely else, something entirely else, something altogether different, something quite different,
something completely new, anything completely different, new topic, let's reset, reset, clean slate
"""
ANY_CATEGORY = """
any genre, any genres, any category, any kind, any kinds, any type, any types, all genres, all categories, genre
doesn't matter, genres don't matter, genre does not matter, category doesn't matter, don't care about genre, don't
care about the genre, don't care which genre, don't care what genre, no particular genre, no specific genre, not only,
not just
"""
# Between or around two categories, an item must have both.
TOGETHER = """
but still, but also, at the same time, that is also, that's also, which is also, as well as being, combined, with a
"""
ALSO = "also, too, as well, add, in addition, plus"
# What a clause says about its titles.
LIKING = """
like, liked, likes, love, loved, loves, enjoy, enjoyed, enjoys, adore, adored, fan, fans, favorite*, favourite*,
great, good, amazing, similar, such as, excellent, awesome, fantastic, wonderful, perfect, brilliant, best, obsessed,
into, better than, vein, style, remind*, fun, hit the spot, blew me away, masterpiece, terrific, superb, joy, adores,
moved, speechless, benchmark, wow, touching, stunning, classic
"""
KNOWING = """
seen, saw, watched, know, knew, known, own, owns, have, have got, got, already, again, finished, read, played,
rewatch, rewatched, familiar
"""
# How a statement begins, before its subject, and what may stand before its verb.
OPENINGS = """
well, hi, hello, sorry, already, hm, hmm, hey, so, ok, okay, yes, yeah, oh, and, also, actually, honestly, personally,
yesterday, today, this weekend, on reflection, on second thought, recently, lately, last night, last week
"""
ADVERBS = """
really, also, just, have, 've, already, absolutely, totally, finally, all, both, never, always, am, 'm, are, 're
"""
# How a statement continues after its subject: "I (really) liked", "we have seen".
STATING = """
like, liked, likes, love, loved, loves, enjoy, enjoyed, enjoys, saw, seen, watched, hate, hated, hates, dislike,
disliked, fan, big fan, a fan, a big fan, a huge fan, own, know, didn't, did not, don't like, do not like, can't
stand, was, is, were, are, adore, adored, thought, found, finished, grew up, scared, bored, ruined, makes, made, left,
has, have, had, blew, even more, too, wasn't
"""
STATING_ALONE = "liked, loved, hated, saw, watched, seen, enjoyed, adored, finished, couldn't finish"
# -- negation ----------------------------------------------------------------------------------------------------------
NEGATING = """
w/o, shouldn't, should not, mustn't, nobody, no one, no, not, without, except, except for, excluding, exclude, avoid,
avoiding, skip, never, nothing, none, don't, do not, doesn't, does not, didn't, did not, isn't, aren't, wasn't,
weren't, won't, wouldn't, hate, hates, hated, hating, dislike, dislikes, disliked, can't stand, cannot stand, couldn't
stand, can't bear, tired of, sick of, bored of, bored by, bored with, anything but, everything but, all but, anything
except, other than, apart from, besides, leave out, leave off, drop, minus, lose, cut, cut out, remove, fed up with,
enough of, allergic to, stay away from, nor, neither, unlike, loathe, despise, ban, non, couldn't finish, could not
finish
"""
NOT_NEGATING = """
don't dislike, do not dislike, don't hate, not only, not just, not sure, not bad, not that, not really sure, not
necessarily, no problem, no matter, no preference, no idea, no worries, no rush, no doubt, no thanks, no thank you, no
wait, why not, don't mind, do not mind, don't care, don't know, doesn't matter, if not, can't wait, can't decide,
can't get enough, nothing but, or not, haven't, have not, never seen, never watched, never mind, no more than, no
longer than
"""
# After a title or a category: "westerns bore me".
NEGATING_AFTER = """
bore me, bores me, isn't, is not, aren't, are not, wasn't, was not, not for, not my, suck, sucks, was awful, was
terrible, was boring, was bad, was horrible, was overrated, was dull, are boring, are awful, is boring, left me cold,
disappointed, scare me, scares me, put me to sleep, didn't, did not, don't work, don't do, excluded, no thanks, no
thank you, out of it, was a letdown, a letdown, let me down, a disappointment, was disappointing, bored me, ruined,
awful, terrible, boring, dreadful, horrible, overrated, a waste, wasn't my thing
"""
# After a comma these begin a new clause.
NEW_CLAUSE = """
liked, loved, hated, seen, saw, enjoyed, disliked, watched, just, only, please, give, show, i'd, i want, i would, i
need, i like, i love, i prefer, maybe, something, anything, how about, what, so, make, preferably, recommend, suggest,
more, and give, and show, and no, and not, and nothing
"""
CONTRAST = "but, however, though, instead, rather, whereas"
