"""English words by which requests are read, as lists of phrases. Titles and categories come from the catalog."""

import re

from train_utils.conversation.words.judging_verbs import (
    DISLIKING_VERBS,
    LIKING_VERBS,
    NOT_ENDURING,
    OWNING_VERBS,
    TAKING_VERBS,
)
from train_utils.conversation.words.judgment_words import BAD, GOOD

_ESCAPED = {"'": "'?", " ": r"\s+", "*": r"\w*"}


class _Node(dict[str, "_Node"]):
    """Node of a prefix tree of phrases: character -> what may follow it.

    Attributes:
        ends: whether a phrase ends here.
    """

    ends = False

    def pattern(self) -> str:
        """Return a pattern of what may follow, the longest first."""
        branches = [_ESCAPED.get(character, re.escape(character)) + node.pattern() for character, node in self.items()]
        if not branches:
            return ""
        if len(branches) == 1 and not self.ends:
            return branches[0]
        return f"(?:{'|'.join(branches)})" + ("?" if self.ends else "")


def any_of(phrases: str) -> str:
    """Return a pattern of comma-separated phrases, the longest first.

    An apostrophe may be missing in the text, and `*` stands for any ending. Phrases share their prefixes, so that a
    text is compared with hundreds of them at once.
    """
    root = _Node()
    for phrase in sorted({" ".join(phrase.split()) for phrase in phrases.split(",")} - {""}, key=len, reverse=True):
        node = root
        for character in phrase:
            node = node.setdefault(character, _Node())
        node.ends = True
    return f"(?:{root.pattern()})"


def finder(phrases: str) -> re.Pattern[str]:
    """Return a pattern that finds comma-separated phrases as whole words."""
    return re.compile(rf"\b{any_of(phrases)}(?!\w)", re.IGNORECASE)


# What items are called.
NOUNS = """
movie, movies, film, films, flick, flicks, title, titles, item, items, product, products, book, books, novel, novels,
game, games, show, shows, series, anime, song, songs, album, albums, picture, pictures, recommendation, recommendations,
suggestion, suggestions, pick, picks, option, options, choice, choices, idea, ideas, one, ones, other, others, things,
tips, sugestion, sugestions, reccomendation, reccomendations, recomendation, recomendations, moive, moives, flim, flims,
flix, pics, features, gems, classics, alternatives, bangers, videos, dvds, tapes, examples, proposals, movei, moveis,
moovie, moovies, fim, flm, classic, blockbuster, blockbusters, gem, masterpiece, masterpieces, biopic, biopics, epics,
sequels, winners, recs, reccos, reccs
"""

# Words that alone mean no category, although one is near to them ("dark comedy", "bored to death", "teen drama").
VAGUE = """
dark, black, teen, strange, death, tears, stiff, night, weird, deep, classic, evening, joke, jokes, clue, pre-war,
prewar, post-war, postwar, guilty, prison, jail, music, murder, brutal, disturbing, shocking, lesbian, gay, queer,
teacher, serious, family, random, obscure, weird, adult, adults, class, school, cry, sleep, boy, boys, girl, girls, kill
"""

# -- judgments ---------------------------------------------------------------------------------------------------------
LIKES = "like, likes, liked, love, loves, loved, adore, adores, adored, enjoy, enjoys, enjoyed"
# A judgment, where "no" and "not" may only mean that the user knows the title.
BASIC_DISLIKING = """
hate, hated, hates, dislike, disliked, didn't like, did not like, don't like, can't stand, couldn't stand, loathe,
loathed, despise, didn't enjoy, not a fan, no fan, despises, detest, detested, detests, loathes, couldn't bear, didn't
care for, did not care for, don't care for, can't stick, couldn't stick, can't abide, cannot abide, couldn't abide,
could not abide, can't stomach, couldn't stomach, can't be doing with, couldn't be doing with, do not care for, wasn't
into, wasn't a fan, couldn't care for
"""
DISLIKING = f"{BASIC_DISLIKING}, {DISLIKING_VERBS}, {NOT_ENDURING}"
# With these a statement may begin, without a subject.
STATING_ALONE = """
liked, loved, hated, saw, watched, seen, enjoyed, adored, finished, couldn't finish, couldn't stand, fell asleep, walked
out, gave up, disliked, couldn't get through, could not get through, couldn't get into, can't get enough, didn't like,
didn't care, did not care, can't stand, cannot stand, wasn't impressed, was not impressed, not impressed, didn't enjoy,
don't care for, have a soft spot, got a soft spot, can't get into, haven't seen, have not seen, never seen, never saw,
never watched, not seen, have seen, walked out on, had to watch, had to see
"""

# -- titles ------------------------------------------------------------------------------------------------------------
# After these a title follows.
NAMING = f"""
{LIKES}, {LIKING_VERBS}, {DISLIKING_VERBS}, {NOT_ENDURING}, {OWNING_VERBS}, can't stand, cannot stand, watched,
rewatched, saw, seen, hated, hate, disliked, dislike, finished, similar to, comparable to, reminiscent of, reminds me
of, remind me of, in the vein of, in the style of, in the spirit of, along the lines of, fan of, fans of, close to,
resembles, resembling, such as, than, except, called, titled, unlike, know, own, remember, into, as good as, more of,
recommend after, based on, likes of, matches, compares to, prefer, excluding, besides, apart from, after seeing, after
watching, mix of, mixture of, blend of, cross between, crossover of, combination of, couldn't finish, through, bored by,
amused by, moved by, impressed by, keen on, mad about, crazy about, thought, found, lent me, lent us, round to, around
to, glued to, sit through, sat through, grew up on, brought up on, have done, 've done, rented, borrowed, watches,
watching, rewatching, hates, dislikes, fell asleep during, replacement for, alternative to, alternatives to, substitute
for, followed by, as * as, impressed with, scared by, to death by, shocked by, fascinated by, blown away by, disturbed
by, surprised by, opposite of, knows, knew, to tears by, to sleep by, stiff by, familiar with, trashed, panned, slated,
slammed, bashed, roasted, mocked, praised, hyped, oversold, hyped up, talked up, recommended, couldn't stand, could not
stand, couldn't bear, could not bear, can't bear
"""
# The same, and other things as often.
OFFERING = f"""
{TAKING_VERBS}, how about, what about, show me, show us, give me, recommend, recommending, suggest, try, tried, see,
watch, put on, give, want, wants, wanna, caught, catch, bother with, mood for, hype around, hype about, cried at,
laughed at, hard at, good in, great in, brilliant in, amazing in, awesome in, have on, a lot at, so much at
"""
# Capitalized words that are no titles of their own.
NO_TITLE = frozenset(
    str.split(
        """
        monday tuesday wednesday thursday friday saturday sunday january february march april june july august
        september october november december christmas halloween easter english french german spanish italian japanese
        korean american british european hollywood bollywood disney pixar netflix mom mum dad mother father grandma
        grandpa tv dvd vhs imdb oscar oscars god
        """
    )
)

# -- requests ----------------------------------------------------------------------------------------------------------
# Words with which a statement asks for something: "I loved Alien, can you find more?"
ASKING = """
suggest, give me, gimme, give us, show me, show us, find me, find us, want, wants, wanna, need, needs, looking for, look
for, search for, searching for, in the mood, feel like, feeling like, fancy, crave, craving, how about, what about, what
should, what would, what could, what can, what are some, something, anything, another, rather, prefer, please, pls,
could you, can you, would like, i'd like, we'd like, i'd love, we'd love, let's, to watch, tell me, throw, help me, make
it, recomend, reccomend, recommand, sugest, wanted, looking, could do with, could use, i'll take, i'd take, we'll take,
let me have, let us have, let's have, let's try, let's go, got any, have you got, do you have, list, pick, stick to,
swap, switch to, next, i choose, go for, i'm up for, up for, time for, gotta, must see, i'm after, i am after, we're
after, i'm now after, we're now after, could go for, shoot me, shoot us, hand me, hand us, toss me, sling me, fetch me,
hook me up, serve me, give him, give her, give them, find him, find her, find them, show him, show her, show them,
hunting for, dying to, hoping for, get me, get us, lemme, let me get, propose, advise, start with, replace, should be,
has to be, must be, needs to be, have to be, ought to be, bring on, changed my mind, be grateful for,
appreciate a, be welcome, i search, i'm searching, wondering which, i wonder which, wouldn't say no to, wouldn't mind a,
wouldn't mind some, wouldn't mind seeing, wouldn't mind watching, can't say no to, never say no to, asked for
"""
# Questions about a title or the catalog; what they name is no example.
INFORMATION = """
explain, how many, what does, do you speak, do you like, who directed, who plays, who played, who starred, who stars,
who made, who wrote, what won, which won, which one won, which of them won, which of those won, which film won, what
film won, which movie won, what movie won, difference between, what is the plot, what's the plot, what is it about, when
was, when did, how long is, tell me about, who won, who is, who was, where can i stream, where can i watch, where to
watch, name of the, what year, which year, what genre is, what genre was, which genre is, which genre was, what kind of
movie is, what kind of movie was, what kind of film is, what kind of film was, which actor, what actor, which actress,
which director, what director, tell me a joke, tell me a story, tell me a bit, tell me something about, a joke,
translate, calculate, solve, what's the weather, what is the capital
"""
# The same, where a title follows.
INFORMATION_ON_TITLE = """
do you know, have you seen, have you heard of, is, was, what is, what's, who is, do you have, have you got, do you
offer, does your catalog have, is there
"""
PRONOUNS = """
it, them, they, em all, 'em all, both, those, that one, this one, that film, that movie, all of them, the tape, the dvd,
the disc, a copy, 'em, those two, these two, all three, both of them, both of those, each of them
"""
# Words that ask for recommendations even where the message names no title, category, range or number.
ASKING_FOR_ITEMS = """
recommend, recommendation, recommendations, recs, suggestion, suggestions, what should i, what should we, what could i,
what could we, what can i, what would you, what's next, what next, what else, something to watch, something else,
something similar, something like, something new, something good, something different, anything else, anything like,
anything similar, anything good, anything new, surprise me, should i watch, should we watch, can i watch, can we watch,
could i watch, give me some, give me more, give me another, some more, more like, more of, more from, more with, what
now, any advice, what is there for me, i'd like to watch, i want to watch, another one, one more, what to watch, what's
good, what is good, what have you got, what do you have, what do you suggest, and now, what to rent, what to see, give
me something, show me something, find me something, your turn, which ones, keep them coming, what's similar, what is
similar, similar ones, what goes with, others like, surprise us, what's on tonight, what's on tv, show me what, let's
see what, tell me what to, hit me, fire away, bring it on, go ahead, help me out, help me choose, help me pick, help me
decide, help us choose, help us pick, help us decide, open to anything, open to suggestions, open to ideas, you choose,
you pick, you decide, your call, your choice, your pick, whatever you like, worth a watch, worth watching, worth seeing,
worth a look, good to watch, good to see, keep 'em coming, could you help, can you help, what's your advice, what is
your advice, your advice, advice, advise me, advise us, can't decide, no clue what, don't know what to, no idea what to,
try again, same again, same thing, the same but, not those, not these, none of those, none of these, once more, where do
we go from here, where to go from here, where do i go from here, where to next, where next, where now, what then, what
can replace it, what could replace it, what do you say, what is comparable, what's comparable, start me off with, start
us off with, either of the two, either of these, either one, either is, either would, whichever, don't care which,
doesn't matter which, no matter which, impress me, impress us, dazzle me, amaze me, wow me, inspire me, inspire us,
entertain me, entertain us, along those lines, along these lines, along that line, put me on to, put me onto, what
remains, what's left, what is left, start from there, go from there, take it from there, work from there, build on that,
that feeling again, that feeling back, got a tip, got any tips, any tips, point me, where does that leave, comes close,
comes closest, should like to see, should like to watch, set me up, sort me out, sort us out, line up, feed me, sell me,
what am i missing, what did i miss, what have i missed, make my day, make my night, make my evening, fill my evening,
what's the move, what do you reckon, your thoughts, help a girl out, help a guy out, help a brother out, help a sister
out, drop some, drop a few, throw some, what fits, what suits, what follows, what would follow, what would you add, what
should follow, got others, where should i turn, guide me, steer me, show me the list, show us the list, see the list,
the list please
"""
# A sentence with one of these asks for nothing.
NOT_ASKING = """
not a request, not asking, no request, not looking for, don't need any*, do not need any*, no need to, just wanted to
say, just wanted to tell, just wanted to share, wanted to say, just saying, just sharing, just so you know, for the
record, fyi, no recommendations, no suggestions, that's all, that is all, that will be all, don't recommend anything,
don't suggest anything
"""
# Between one of these and a noun, a few words may stand: "any good old movies".
ASKING_BEFORE_NOUN = """
any, some, more, other, another, which, good, similar, new, find, show me, give me, need, want, list, suggest, i'd like
a, we'd like a, would like a, want a, need a, wants, looking for, looking to find, mood for, up for, how about, what
about, is there a, is there any, are there any, have you got a, do you have a, start me off, start us off, got, pick,
could use, would love, propose, know of, we need, after a, do you know, grateful for a, appreciate a
"""
MORE = """
more, another, additional, further, others, what else, who else, keep going, go on, other ones, extra ones, extra one,
extra titles, extra movies, extra films, next few, next batch, next lot, next ones, other ideas, other
suggestions, other tips, other recommendations, other options, keep them coming, keep 'em coming
"""
NOT_MORE = """
go on so, go on then, go on and, another i, another we, another one i, another one we, another of my, even more, more
so, more than, more recent, more recently, more or less, more days, more hours, more weeks, more minutes, more years,
more months, more nights, more times, more thing, more serious, more modern, more light*, more fun, more funny, more of
a, more of an, more the
"""
FORGET = """
forget that, forget it, forget this, forget those, ignore that, scratch that, scrap that, strike that, clear that, never
mind, nevermind, something completely different, something entirely different, something totally different, something
completely else, something entirely else, something altogether different, something quite different, something
completely new, anything completely different, new topic, let's reset, reset, reset please, start anew, wipe the slate,
clean slate, new slate, fresh slate, blank slate, clean sheet, new search, fresh search, fresh start, new start, do over
"""
# What a user does away with, and all that was said.
FORGETTING = """
forget, scrap, scratch, wipe, clear, delete, erase, drop, bin, ignore, disregard, cancel, undo, discard, ditch, strike,
dump, trash, lose, reset, forget about, forget all about, forget all of, forget all
"""
ANY_CATEGORY = """
any genre, any genres, any category, any kind, any kinds, any type, any types, all genres, all categories, genre doesn't
matter, genres don't matter, genre does not matter, category doesn't matter, don't care about genre, don't care about
the genre, don't care which genre, don't care what genre, no particular genre, no specific genre, whatever genre,
whichever genre, genre is irrelevant, genre isn't important, genre is not important, no matter the genre, no matter
which genre, no matter what genre, never mind the genre, forget the genre, forget about the genre, any sort, every
genre, anything goes
"""
# Between or around two categories, an item must have both.
TOGETHER = """
but still, but also, at the same time, that is also, that's also, which is also, as well as being, combined, with a, at
once, both in one, in one film, in one movie, in the same movie, in the same film, in the same one, in a single film, in
a single movie, simultaneously, mixed with, mixed together, combining, blended with, rolled into one, crossed with, a
mix of, mixture of, blend of, cross between, combination of, crossover of
"""
# Between two wishes of a message, the second replaces the first.
CORRECTING = """
no wait, wait no, wait, scratch that, scrap that, strike that, i mean, i meant, i mean to say, or rather, make that, no
make it, on second thought, on second thoughts, better yet, better still, correction, come to think of it, changed my
mind, change of plan, nah, nope
"""
ALSO = "also, as well, add, in addition, plus"
# What a clause says about its titles.
LIKING = f"""
{LIKES}, {LIKING_VERBS}, {GOOD}, fan, fans, favorite*, favourite*, similar, such as, best, obsessed, into, better than,
glued to, nuts about, vein, style, remind*, hit the spot, blew me away, joy, moved, benchmark, wow, touching, swear by,
swears by, rocks, rules, up my street, up my alley, hooked, cross between, mix of, mixture of, blend of, combination of,
soft spot, loving it, loving them, enjoying it, enjoying them, liking it, something special, special place, quite
something, something else entirely, weakness for, thing for, crazy about, mad about, keen on, again and again, over and
over
"""
KNOWING = f"""
{OWNING_VERBS}, seen, saw, watched, know, knew, known, own, owns, already, again, finished, read, played, rewatch,
rewatched, familiar, i've got, we've got, i got, we got, got it, got that, got them, on tape, on dvd, on vhs, on disc,
on video, made me watch, made us watch, makes me watch, makes us watch, sat through, attended, lent me, lent us, we've
done, i've done, they've done, have done, has done, by heart, knows every, know every, knows all the, know all the, worn
out, on my shelf, on our shelf, on the shelf, has had, have had, had to watch, had to see, has them all, have them all,
got them all
"""
# How a statement begins, before its subject, and what may stand before its verb.
OPENINGS = """
you know what, come to think of it, forget it, never mind, well, hi, hello, sorry, already, hm, hmm, hey, so, ok, okay,
yes, yeah, oh, and, also, actually, honestly, personally, yesterday, today, this weekend, on reflection, on second
thought, recently, lately, last night, last week, haha, hahaha, lol, hehe, ah, aha, right, man, dude, wow, ugh, oof,
damn, btw, by the way, hah, wait, no, nope, anyway, both, neither
"""
ADVERBS = """
really, also, just, have, 've, already, absolutely, totally, finally, all, both, never, always, am, 'm, are, 're, not,
don't, didn't, do not, did not, even, still, so, very, pretty, usually, often, normally, generally, rarely, mostly, used
to
"""
# What a person is after a film that was good, or bad.
MOVED = "thrilled, delighted, hooked, moved, over the moon, glued to the screen, ecstatic, amused, happy, entertained"
BORED = "bored, annoyed, let down, asleep, irritated, confused, sleepy"
# How a statement continues after its subject: "I (really) liked", "we have seen".
STATING = f"""
{LIKES}, {STATING_ALONE}, {DISLIKING}, fan, big fan, a fan, a big fan, a huge fan, own, know, didn't, did not, do not
like, was, is, were, are, thought, found, grew up, scared, bored, ruined, makes, made, left, has, have, had, blew, even
more, wasn't, couldn't, despised, cried, laughed, haven't, have not, hasn't, did, sucked, gets, got, bore, bores, put,
puts, fell, lost, let, deserves, rocks, rules, disappointed, changed, aren't, isn't, weren't, tired of, sick of, fed up,
allergic, obsessed, into, preferred, find, recommended, make me, make us, don't, do not, doesn't, avoid, avoids, have a
soft spot, has a soft spot, have always, grew up on, sucks, sux, stinks, stank, rocked, bombed, holds up, aged, sucked,
blows, slaps, meaning to, gave, gives, lent me, lent us, told me, told us, sent me, sent us, could have, could've,
should have
"""
# An answer that rejects what a question names: "Horror? Hard pass."
REFUSALS = """
no thanks, hard no, big no, firm no, kill me, shoot me now, do me a favour, do me a favor, no thank you, no thank, no
way, nope, nah, hard pass, pass, no chance, forget it, count me out, count us out, not for me, not for us, not today,
not tonight, not again, yuck, ugh, ew, eww, gross, bah, blah, never, please no, please don't, rather not, i'd rather
not, absolutely not, definitely not, certainly not, hell no, heck no, god no, no ta, do one,
not my thing, not my cup of tea, skip, skip it, leave it, not really, not so much, meh, i'll pass
"""
# -- negation ----------------------------------------------------------------------------------------------------------
NEGATING = f"""
{DISLIKING}, w/o, shouldn't, should not, mustn't, nobody, no one, no, not, without, except, except for, excluding,
exclude, avoid, avoiding, skip, never, nothing, none, don't, do not, doesn't, does not, didn't, did not, isn't, aren't,
wasn't, weren't, won't, wouldn't, hating, dislikes, cannot stand, can't bear, refuse, refuses, refused, vetoed, vetoes,
than watch, than see, than sit through, than endure, tired of, sick of, bored of, bored by, bored with, anything but,
everything but, all but, anything except, other than, apart from, besides, leave out, leave off, drop, minus, lose, cut,
cut out, remove, fed up with, enough of, allergic to, stay away from, nor, neither, unlike, ban, non, couldn't finish,
could not finish, hold the, less, fewer, instead of, rather than, spare me, keep away from, stay clear of, steer clear
of, hold off on, had enough of, far from, omit, leaving out, not counting, fell asleep during, fell asleep watching,
walked out of, gave up on, thumbs down for, bad:, dislikes:, anything besides, weary of, had it with, done with, through
with, shy away from, stop recommending, stop suggesting, stop showing, couldn't care less about, wouldn't want, aside
from, too many, too much, cannot bear, can't take, can't handle, can not stand, sans, genres but, genre but, kinds but,
genres except, ditch, scrap the, kill the, take out, get rid of, throw out, forget the, forget about the, no need for,
light on, go easy on, easy on the, i'll pass on, pass on, skipping, can't recommend, wouldn't recommend, cannot
recommend, regret, regretted, stopped watching, turned off, wouldn't watch, enough with, seen enough, spare us, unless
it's, unless it is, over it with, couldn't get through, could not get through, couldn't sit through, couldn't get into,
can't get into, never got into, didn't get into, switched off, sick and tired of, free of, can't deal with, cannot deal
with, can't do, can't watch, afraid of, scared of, terrified of, had enough, avoids, worst, worst film, worst movie,
worst film ever, worst movie ever, least favorite, least favourite, least favorite is, least favourite is, had my fill
of, had our fill of, over and done with, no time for, nix, leave off the, lay off, sworn off, swore off, given up on,
not up for, not feeling, not interested in, no interest in, no desire for, no appetite for, averse to, put off by, veto,
exempt, gone off, went off, stay off, keep off, anything bar, everything bar, all bar, no love for, life is too short
for, life's too short for, don't get me started on, sod, screw, sick to death of, bored to death of, bored to tears of,
sick to the back teeth of, fed up to the back teeth with, up to here with, zero time for, not one for, not a fan of, not
much of a fan of, keep clear of, not keen on, not big on, not into, tend to avoid, could live without, can live without,
could do without, can do without, doing without, can't say, cannot say, couldn't say, don't you dare, stop with, stop it
with, can't be bothered with, can't be bothered by, couldn't be bothered with, don't bother with, else than, different
from, different than, wasn't blown away by, not blown away by, wasn't thrilled by, not thrilled by, wasn't taken with,
not taken with, refrain from, refraining from, abstain from, count out, away with, zero, god forbid, filter out,
eliminate, devoid of, keep me away from, keep us away from, forbids, thumbs down on, nightmares from, nightmares of,
walked out on, walk out on, stop giving, stop sending, stop listing, quit recommending, quit suggesting, quit giving,
quit showing, opposite of
"""
# What leaves a category open: neither wanted nor rejected.
OPEN = """
don't mind, do not mind, wouldn't mind, don't dislike, do not dislike, don't hate, not necessarily, needn't be, doesn't
have to be, not only, not just, used to love, used to like, used to enjoy, used to watch, used to be into, used to adore
"""
# What is rejected no longer.
ALLOWING = """
don't mind, do not mind, didn't mind, don't dislike, do not dislike, don't hate, do not hate, okay with, ok with, fine
with, alright with, no objection to, no objections to, nothing against, no problem with, no issue with, no longer mind
"""
INCLUDING = """
include, including again, allow, bring back, bring in, put back, put back in, let back in, reinstate, re-include, may
include, don't leave out, don't exclude, don't skip, don't avoid, do not leave out, do not exclude, do not skip, no need
to avoid, no need to exclude, no need to skip, no need to leave out, no longer exclude, stop excluding, stop avoiding,
not exclude, not leave out, ok to show, okay to show, fine to show, ok to include, okay to include, fine to include, ok
to list, alright to show
"""
TAKING_BACK = """
take back, taking back, scratch, scrap, drop, lift, forget, forget about, remove, cancel, undo, lose, ignore, waive,
ditch, disregard, withdraw, relax, delete, kill, skip, never mind, nevermind, revoke, overrule, strike
"""
# Patterns of "what I said about", and of words for a restriction.
SAID = (
    r"(?:what|everything|anything|the\s+things?|the\s+stuff)\s+(?:that\s+)?(?:i|we)(?:'ve|'d|\s+had|\s+have)?\s+"
    r"(?:just\s+)?(?:said|told\s+you|asked|wrote)\s+(?:about|on|for)"
)
RULE = any_of(
    """
    rule, rules, ban, bans, restriction, restrictions, filter, filters, condition, conditions, limit, limits,
    limitation, requirement, requirements, constraint, constraints, exclusion, thing, part, bit, wish, idea, plan
    """
)
NOT_NEGATING = f"""
from zero, from nothing, from none, or nothing, or none, or bust, {INCLUDING}, {OPEN}, won't shut up, can't shut up,
never shuts up, not sure, not bad, not that, not really sure, no problem, no matter, no preference, no idea, no worries,
no rush, no doubt, no thanks, no thank you, no wait, why not, don't care, don't know, doesn't matter, if not, can't
wait, can't decide, can't get enough, nothing but, or not, haven't, have not, never seen, never watched, never mind, no
more than, no longer than, wasn't bad, isn't bad, not half bad, not too bad, weren't bad, doesn't have to, don't have
to, does not have to, do not have to, needn't, need not, less than, more or less, no less, nothing less, less known,
lesser known, less common, no need, not a problem, don't forget, do not forget, not yet, didn't mind, don't need to be,
can't go wrong, no particular, no specific, never fails, never disappoints, never gets old, never bores, can't stop,
can't help, not enough, nothing beats, isn't it, wasn't it, don't you think, don't you have, don't you agree, don't you
know, don't you love, aren't they, not to mention, why don't you, why don't, if you don't mind, can't you, couldn't you,
won't you, wouldn't you, cannot wait, say no to, says no to, said no to, no fewer, no fewer than, not fewer, not fewer
than, not less than, no less than, wouldn't say no to, would not say no to, won't say no to, can't say no to, couldn't
say no to, never say no to, not say no to, don't say no to, hard to say no to, used to hate, used to dislike, used to
avoid, used to loathe
"""
# After a title or a category: "westerns bore me".
NEGATING_AFTER = f"""
{BAD}, off the cards, off the agenda, off the list, not an option, no option, a turn-off, a turn off, a dealbreaker, a
deal breaker, a non-starter, freaked me out, creeped me out, weirded me out, confused me, confused us, freaked us out,
is for babies, bore me, bores me, isn't, is not, aren't, are not, wasn't, was not, not for, not my, suck, sucks, was
awful, was terrible, was boring, was bad, was horrible, was overrated, was dull, are boring, are awful, is boring, left
me cold, scare me, scares me, put me to sleep, excluded, no thanks, no thank you, out of it, was a letdown, let me down,
was disappointing, bored me, ruined, wasn't my thing, stink, stinks, did nothing, weren't, bored us, are out, is out, a
no-go, a no go, no-go, less so, banned, verboten, a no from me, a no from us, can do one, can get in the bin, can wait,
my idea of hell, off the menu, give me the ick, gives me the ick, out of the question, make me sleepy, makes me sleepy,
off the table, off limits, annoy me, annoys me, annoyed me, not a fan, trash, no way, nope, nah, get on my nerves, turn
me off, left us cold, lost me, not mine, fell flat, didn't, did not, don't work, don't do, don't interest, doesn't
interest, ugh, eww, not again, not so much, not really, never again, made me fall asleep, makes me fall asleep, made me
sleepy, a no, a hard no, a big no, a definite no, a firm no, a pass, a hard pass, hell no, god no, heck no, absolutely
not, definitely not, certainly not, not today, not tonight, rather not, please no, please don't, hard pass, not wanted,
unwanted, not allowed, not welcome, forbidden, prohibited, give me a headache, gives me a headache, gave me a headache,
give me headaches, gave me headaches, give me nightmares, gives me nightmares, give me the creeps, gives me the creeps,
i can do without, i could do without, i can live without, i could live without, we can do without, do nothing for me,
does nothing for me, aren't for, isn't for, tire me, tires me, i can't stand, i cannot stand, i don't like, i do not
like, i hate, i dislike, i avoid, i'd rather not, i don't want, i don't need, we don't want, i'd skip, i'd rather skip,
anything but good, anything but great, far from good, far from great, nothing special, have never been, has never been,
never been, never were, never was, never did, never appealed, have never done, has never done, never do it, don't
appeal, doesn't appeal, don't excite, doesn't excite, i never liked, i've never liked, i couldn't stand, we couldn't
stand, i could not stand, i hated, we hated, i disliked, we disliked, i didn't like, we didn't like, i did not like, i
didn't enjoy, i have not liked, i haven't liked, we haven't liked, i have not enjoyed, i haven't enjoyed, we didn't
enjoy, i couldn't finish, we couldn't finish, i loathed, i detested, i didn't care for, i couldn't bear, she hated, he
hated, they hated, put us to sleep, put everyone to sleep, sent me to sleep, sent us to sleep, bored him, bored her,
bored them, bored everyone, confused him, confused her, confused them, disturbed me, disturbed us
"""
# After a comma these begin a new clause.
NEW_CLAUSE = f"""
{STATING_ALONE}, just, only, please, give, show, i'd, i want, i would, i need, i like, i love, i prefer, maybe,
something, anything, how about, what, so, make, preferably, recommend, suggest, more, and give, and show, and no, and
not, and nothing, i, we, he, she, they, it, my, our, but, let's, could, can, would, any, also, then, do you, have you,
is there, are there, got any, got anything, replace, that one, that one's, that was, today, tonight, now, he's, she's,
they've, we've, i've
"""
CONTRAST = "but, however, though, instead, rather, whereas"
