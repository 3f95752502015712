"""Expressions that praise a title without a word of praise, or say that it is known."""

import re

from train_utils.conversation.words.blame_phrases import END
from train_utils.conversation.words.judging_verbs import PLEASING_VERBS
from train_utils.conversation.words.lexicon import any_of
from train_utils.conversation.words.phrases import Phrases

GLAD_FACE = (
    "[\u2764\U0001f44d\U0001f44c\U0001f525\U0001f60d\U0001f970\U0001f929"
    "\U0001f495-\U0001f49f\U0001f4af\u2b50\U0001f31f\U0001f44f\U0001f64c]"
)
_NAMES = {
    "END": END,
    "PLEASING": any_of(PLEASING_VERBS),
}

_LITOTES = Phrases(
    {
        "nothing beats it": (
            r"nothing (\w+ ){0,3}?(beats?|tops?|compares?|comes?|rivals?|touch(es)?|match(es)?|topped|beaten|come"
            r"|matched|compared"
            r"|equall?ed|rivall?ed|bettered)"
        ),
        "could not live without": (
            r"NEVER (live|survive|function|cope|do|go|get by|manage|imagine (life|\w+)|be) without"
        ),
        "people who don't like": (
            r"(people|anyone|anybody|those|somebody|someone|folks|friends|men|women) who (NEVER|do not"
            r"|does not) (like|love|enjoy|get|appreciate|rate|cry at|laugh at)"
        ),
        "cannot fault": r"NEVER (\w+ )?(fault|praise (TITLE|it) enough|recommend (TITLE|it) enough|say enough)",
    },
    _NAMES,
)
# Praise in the form of a denial.
LITOTES = _LITOTES.compiled()
_CHERISHED = Phrases(
    {
        "hold [Heat] very dear": r"(hold|holds|held|is|are) (it |TITLE\s*)?(very |so |most )?dear",
        "rate [Heat] highly": (
            r"(rate|rates|rated) ((it|them|TITLE|and|both)[\s,]*)+((very|so|really|quite|pretty) )?(highly|high|a lot)"
        ),
        "treasured": r"treasured|cherish(ed|es)?|worship(s|ped)?|idoli[sz]ed?",
        "won our hearts": r"(has|have|had|won|stole|stolen|melts?|melted|warms?|warmed) MY (\w+ )?hearts?",
        "[Clueless] forever": r"(?<!since\s)foreverEND",
        "hits different": r"(hits?|hit) different(ly)?",
        "that's how it's done": (
            r"(that'?s|thats|that is|this is) "
            r"(how (it'?s|its|it is|you) (done|do it)|what i call|(a )?(proper |real )(NOUNS))"
        ),
        "my happy place": r"(my|our|his|her|their) happy place",
        "ticks all the boxes": r"tick(s|ed) (all|every) (the |my )?box(es)?",
        "knocked my socks off": r"knock(s|ed) (MY socks|it out of the park)",
        "hard to beat": r"(can'?t|cannot|hard to|tough to|impossible to) (beat|top|fault)",
        "never bettered": r"never (been )?(bettered|topped|equall?ed|surpassed)",
        "haunts me": r"haunts? ME",
    },
    _NAMES,
)
_THRILLING = Phrases(
    {
        "mind blown": r"minds? (\w+ )?blown",
        "blew me away": r"(blew|blows) (ME away|MY minds?)",
        "on the edge of our seats": r"edge of (MY) seats?",
        "laughed until it hurt": (
            r"(laugh(ed|s|ing)?|cried|wept|giggled|howled|cheered|sobbed|bawled) "
            r"(so|MY|till|until|like|all|from|buckets|throughout|at|over|during|through|about|with)"
        ),
        "won't stop talking": r"(ca|could|wo|will|would|does|do|did)(n'?t| not|nt) (stop|shut up|quit)|cannot stop",
        "never gets old": r"never (stops|shuts up|gets? old|tires?|fails|disappoints)",
        "we both cried": r"(both|all) (laughed|cried|wept)",
        "cracks me up": r"cracks? (me|us) up|cracked ME up",
        "in stitches": r"in stitches|on repeat",
        "still holds up": r"holds? up|held up",
        "stayed with me": r"(stay(s|ed)|stuck) with ME",
        "goosebumps": r"goose\s?bumps|tears in MY eyes|eyes out",
        "kept us guessing": (
            r"(kept|had|keeps|has) ME (on the edge|glued|rolling|laughing|crying|hooked|cheering|guessing"
            r"|in (stitches|tears|fits))"
        ),
        "a roaring success": (
            r"(roaring|big|huge|great|total|real|massive|smash|complete|absolute) (success|hit|winner|triumph)"
        ),
        "a hit with the kids": r"(a|the) (success|triumph|revelation|winner|ride|hit with)",
        "loved it all my life": r"all MY life\b",
        "keep coming back": r"(keep|kept) (going|coming) back",
        "in my top five": r"in MY top \w+",
        "we watch it every year": (
            r"every year|(re)?watch\w* (\w+ |TITLE\s*){0,3}every \w+|happily (re)?watch|(could|can) (re)?watch (it"
            r"|that|them|TITLE)\s*(\w+ )?(forever|any|every|all|again and again|on (a )?loop)"
        ),
        "so bad it's good": r"so bad (it'?s|its|they'?re) (\w+ )?good",
        "obsessed": r"obsessed|addicted to",
        "went wild": r"went (nuts|crazy|wild|bananas|mad)",
        "gets me every time": r"gets ME\b",
        "went down a treat": r"(went|goes|go) down (very |really |so )?(well|great|a (storm|treat)|a bomb|like)",
        "the gold standard": r"gold standard|perfection|finest|greatest|unsurpassed|unbeatable|unmatched",
        "Pacino at his best": r"at (his|her|their|its) (best|peak)",
        "changed my life": r"chang(ed|es) MY li(fe|ves)",
        "in my heart": r"in MY hearts?|special place",
        "guilty pleasure": r"guilty pleasure|comfort (movie|film|watch)|go-?to",
        "my whole personality": r"my (whole|entire) (personality|life|childhood)",
        "one of my all time favorites": r"one of (those|my|the|our) (\w+ ){0,2}(movies|films|favou?rites)",
        "won me over": (
            r"PLEASING (\w+ )?(ME|all of (us|them)|all|everyone)\b|(won|swept|bowled|knocked) ME (over|away"
            r"|off MY feet|out|sideways)"
        ),
        "sent shivers down my spine": r"(chills|shivers|tingles|butterflies|all the feels|frissons?)",
        "a breath of fresh air": (
            r"breath of fresh air|pick of the bunch|cream of the crop|the one to beat|head and shoulders above"
        ),
        "worth every second": r"worth (every|each|all)|worth the (\w+ )?(wait|money|hype|ticket|price)",
        "what a ride": (
            r"what (an? )?(\w+ )?(ride|experience|film|movie|trip|journey|rush|story|picture|gem|performance)END"
        ),
        "moved me to tears": r"moved ME to tears|broke ME\b|floored ME",
        "never got over it, still not over it": r"NEVER (been )?over",
        "everyone raves about it": r"rav(es?|ed|ing) about",
        "thumbs up": r"thumbs up",
        "it was everything to me": (
            r"(was|is|means?|meant) (everything|the world|so much|a lot) to ME|swear by|swears by|the message"
        ),
        "beats everything": r"beats? (everything|anything|all|every|any)",
        "can't get enough of it": r"NEVER (get )?(enough of|get tired of|tire of|go wrong|disappoint\w*|be beaten)",
    },
    _NAMES,
)
_KNOWN = Phrases(
    {
        "on my shelf": (
            r"(on|in) MY (\w+ )?(shelf|shelves|collection|library|cupboard|cabinet|bookcase|drawer|dvds|tapes)"
        ),
        "know it by heart": (
            r"(recit\w*|quot(e|es|ed)|act out|sing along|tell you|know|knows) ... "
            r"(by heart|from memory|word (for|by) word|line (by|for) line|in (my|our|his|her|their) sleep|inside out"
            r"|backwards|every (line|word|scene|second))"
        ),
        "got round to [Heat]": (
            r"got (a)?round to (watching |seeing |finishing )?|been to (see|watch)|went to (see|watch)"
        ),
        "been there": r"been thereEND",
        "outgrew [Aladdin]": r"outgr(ew|own|ow)|grown out of|too old for|(done|played|watched|seen|rewatched) to death",
        "a fourth time": (
            r"(a|the|for the) (second|third|fourth|fifth|sixth|tenth|umpteenth|millionth|hundredth|nth|\d+(st|nd|rd"
            r"|th)) timeEND|too many times|enough times"
        ),
        "every gag": (
            r"(know\w* )?(each|every|all the|most of the) (single )?(gag|line|joke|scene|word|song|twist|quote)s?"
        ),
        "on my syllabus": (
            r"(on|in|from) MY (\w+ )?(syllabus|curriculum|course|list of (seen|watched)|resume|past)|under MY belt"
            r"|crossed off|ticked off"
        ),
        "no opinion": r"no (strong |real )?opinion|neither here nor there|no (strong )?feelings",
        "last year we did [Heat]": (
            r"(last \w+|yesterday|recently|the other (day|night|week)|this (morning|week|month)|on \w+day"
            r"|\w+ ago),? WHO('ve| have)? "
            r"(already |just |all |both )?(did|done|had|watched|saw|screened|showed|rented|played"
            r"|ran) (the )?(TITLE|that|it|them)"
        ),
        "the club showed [Heat]": r"WHO (already |just )?(screened|showed|projected|ran|aired) (the )?TITLE",
        "[Heat] was on TV yesterday": (
            r"(was|were|been) (just )?on (tv|telly|television|cable|netflix|bbc|itv|channel \w+) (yesterday|last"
            r"|again|recently|the other|this|on|already)"
        ),
        "word for word": r"by heart|from memory|word for word|line (by|for) line",
        "could recite it": r"(could|can) (recite|quote)",
        "once was enough": r"once was enough",
        "been through that": r"(been|gone|got|worked MY way|going) (through|thru)",
        "ticked it off": r"(ticked|crossed|checked|watched|done) (\w+ )?off",
        "memorized": r"memori[sz]ed",
        "been there, done that": r"been there,? done that",
        "[Heat] is done": r"(been|is|are|'s|s) (all )?doneEND",
        "start to finish": r"(from )?start to finish",
        "studied it to death": r"(stud(y|ied|ying)|analy[sz]ed|dissected) ... (at|in|for|to death)\b",
        "got [Heat] on tape": r"(?<![\w'])got (the )?TITLE (on )?(tape|dvd|vhs|video|disc|blu-?\s?ray)\b",
        "a friend showed me": r"showed (me|us|it)",
        "we did [Heat] last week": (
            r"WHO('ve| have)? (already |just )?(did|done|had) (the )?(TITLE|that|it|them|those)FEW"
            r"\b(already|before|last|yesterday|in|at|for|ago|once|twice|recently)\b"
        ),
        "I have already seen it": r"WHO('ve|ve| have| has|'s)? (\w+ly |already )?(seen|watched|saw|done|caught)\b",
    },
    _NAMES,
)
_ABOVE_ALL = Phrases({"= masterpiece": r"(>+|=)\s*(everything|anything|all|the best|masterpiece|perfection)\b"})
_ALL_DONE = Phrases(
    {
        "[Heat] and [Fargo] done.": (
            r"(?<=MASK),? ((both|all|already|been|are|is) ){0,2}(done|watched|seen|sorted|covered|check|checked"
            r"|tick|ticked)"
            r"\s*(?=[.,;!?]|$|\b(and|too|already|now)\b)"
        )
    }
)
# Not "I have always thought".
_POSSESSED = Phrases(
    {
        "we have both": (
            r"\bWHO('ve| have| has| had| own| owns) "
            r"((already|both|all|also|got|the|an?|old|copy|of|whole|set) ){0,4}"
            r"(TITLE|(it|them|that|both|those|this|all)\b)"
        ),
        "[Heat] my dad's got that": r"WHO('s| has|'ve| have) (already )?got (it|that|them|those|this)\b",
        "got [Heat].": (
            r"(?:^|(?<=[.!?]\s))got (the )?TITLE(\s*(,|and|&)\s*(the )?TITLE)*(?=\s*([.!;]|$|\b(already|at home)\b))"
        ),
        "[Heat] I already have": (
            r"WHO (already )?(have|has)\s*(?=[.,;!?]|$|\s(already|too|on|at|in|here|somewhere)\b)"
        ),
    }
)
THRILLED = re.compile(
    rf"{GLAD_FACE}|{_ABOVE_ALL.pattern}|\b(?=\w)(?:{_CHERISHED.pattern}|{_LITOTES.pattern}|{_THRILLING.pattern})",
    re.IGNORECASE,
)
FAMILIAR = re.compile(rf"\b(?=\w)(?:{_KNOWN.pattern})|{_ALL_DONE.pattern}", re.IGNORECASE)
POSSESSED = _POSSESSED.compiled()
