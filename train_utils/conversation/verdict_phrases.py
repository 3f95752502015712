"""Expressions that judge a title without a word of praise or blame, or say that it is known."""

import re

from train_utils.conversation.judging_verbs import DISPLEASING_VERBS, PLEASING_VERBS
from train_utils.conversation.lexicon import any_of
from train_utils.conversation.phrases import Phrases

SICK_FACE, _GLAD_FACE = (
    "[\U0001f44e\U0001f4a9\U0001f92e\U0001f922\U0001f634\U0001f5d1\U0001f971\U0001f612\U0001f644\U0001f4a4\u274c\u2716]",
    "[\u2764\U0001f44d\U0001f44c\U0001f525\U0001f60d\U0001f970\U0001f929\U0001f495-\U0001f49f\U0001f4af\u2b50\U0001f31f\U0001f44f\U0001f64c]",
)
_NAMES = {
    "LOST": r"(?:time|money|bucks|dollars|pounds|quid|euros?|hours?|minutes|evening|night|life|afternoon|ticket)",
    "END": r"(?=\s*(?:[.,;!?)]|$|\b(?:tbh|imo|ngl|lol|mate|and|but|though|to\s+me|for\s+me|if)\b))",  # of a clause
    "PLEASING": any_of(PLEASING_VERBS),
    "DISPLEASING": any_of(DISPLEASING_VERBS),
}

_TIME_LOST = Phrases(
    {
        "three bucks down the drain": r"LOST ... (down the drain|wasted|back|(see|get) (\w+ )?(again|back))",
        "a waste of two hours": r"(wastes?|wasted|waist) ... (LOST|on|TITLE)",
        "that went down the drain": r"down the drain",
        "want my money back": r"(wants?|wanted|give) (ME )?MY LOST back",
        "put me to sleep": r"(put|puts|sent|sends|lulled|bored|nearly bored) ME (straight |right )?(to|in|into) (a )?(deep )?(sleep|tears|death|coma|stupor|slumber)",
        "[Heat] bored me": r"bored (ME|stiff|to)",
        "fell fast asleep": (
            r"(fell|fall|falls|falling|was|were|nodded|nodding|dozed|dozing|drifted) "
            r"(fast |sound |half )?(asleep|off)\b"
        ),
        "what a snooze": r"snored|snoring|yawn(ed|ing|s)?|snooze\w*|snore\w*|yawn\w+",
        "so bored": r"(so|that|as|really|more|utterly|completely|totally) bored",
        "kept checking my watch": r"looked at MY watch|check(ed|ing) MY (watch|phone)",
        "we walked out": r"walk(ed|s|ing)? out",
        "turned it off": r"(turned|switched|turn|switch) (it |that |TITLE )?off",
        "gave up": r"gave up|given up|bailed",
    },
    _NAMES,
)
_DISLIKED = Phrases(
    {
        "couldn't finish": (
            r"NEVER ((really|quite|even|just|ever) )?"
            r"((follow|get|make it|sit|got|made it) (past|through|into|to the end)|finish"
            r"|see the (appeal|point|attraction)"
            r"|(get|got|understand|understood|see|saw) (the |all the |what all the )?"
            r"(hype|fuss|appeal|point|attraction|love|praise)"
            r"|cared? for|warm(ed)? to|take to|took to|click(ed)?|grab(bed)? ME|do(ne)? it for)"
        ),
        "left me stone cold": r"(left|leaves|leave) ME (\w+ )?(cold|angry|sick|indifferent|unmoved|flat)",
        "made me want to leave": (
            r"(made|makes|make) ME (\w*sick|cringe|angry|yawn|nauseous|feel sick|ill|roll|mad|furious|sleepy"
            r"|want to (leave|die|scream|run|throw))"
        ),
        "has aged badly": r"(aged|holds? up|held up) (so |very |really )?(terribly|badly|poorly)",
        "the second half drags": r"drag(s|ged)(?! ME)",
        "the sequel flopped": r"bombed|flopped|tanked|fell flat|stank|stunk",
        "a train-wreck": r"train\s*-?\s*wreck|catastroph\w+|fiasco|failure",
        "a disaster, and no disaster movie": r"disaster(?! (NOUNS|epics?)\b)",
        "a chore": r"ordeal|torture|chore|slog|abomination|turkey|bore-?fest|snooze-?fest",
        "an insult": r"a crime|an insult|if you paid",
        "gave me the creeps": (
            r"g[ia]v(e|es|ing) ME (nightmares|headaches?|a headache"
            r"|the (\w+ )?(creeps|icks?|willies|horrors|heebie-?jeebies|hump|pip))"
        ),
        "put me off": r"put ME off\b",
        "drove us up the wall": r"(drove|drives) ME (up the wall|mad|crazy|nuts)",
        "always disappoints": r"(always|badly|really|just) disappoint(s|ed)",
        "not a patch on [Alien]": r"not a patch on|(not|n'?t) half as",
        "an hour in and quit": r"and quit\b|quit (it|after|halfway)",
        "halfway through we stopped": r"half\s?way (in|into|through)\b[^.!?;]{0,30}?\b(quit|stopped|gave|left)\b",
        "not my favorite": r"(not|never) (one of )?MY (\w+ )?fav\w*",
        "disgusted": r"appall(ed|s)|disgust(ed|s)|traumati[sz]ed|offended|repulsed|unpleasant|regret\w*",
        "thumbs down": r"thumbs down",
        "[Heat] top, [Casino] flop": r"(?<=MASK) (a |an |the )?((big|total|complete|huge|massive|real|utter) )?(flops?|dud|dross|bust|tosh|meh|worse)END",
        "bored us all": r"DISPLEASING (\w+ )?(ME|all of (us|them)|all|everyone)\b(?! to (tears|death|sleep))",
        "endured [Evita]": r"(?<!to\s)(?<!could\s)(suffered|endured|trudged|slogged|plodded|ploughed|plowed) (through )?(it|that|them|TITLE|the)",
        "I wanted to scream": (
            r"(wanted|wished|longed|begged|begging|prayed|praying|dying|waiting|wait) (for )?(it |that |TITLE\s*)?to "
            r"(die|scream|leave|run|cry|end|stop|finish|be over|go home|escape|puke|vomit|throw (up|something)|hide|claw|gouge)"
        ),
        "had me begging for the end": (
            r"(had|has|got|left) ME (\w+ly )?(begging|praying|wishing|reaching for|checking|looking at|screaming|running"
            r"|squirming|dozing|snoring|yawning|nodding|heading|asking for|fleeing|scratching|rolling MY eyes|fuming|seething)"
        ),
        "made my ears bleed": (
            r"(made|makes|make|hurts?|bled) MY (eyes?|ears?|brain|head|skin|stomach|teeth|soul|toes?|flesh)( cells)?"
            r"( (bleed|hurt|ache|crawl|turn|spin|die|melt|itch|rot|curl|explode))?\b"
        ),
        "asked for a refund": r"refund(ed)?",
        "watching paint dry": r"(watch(ing)? )?(paint|grass|cement|concrete) (dry|grow|set)(ing)?|root canal|pulling teeth",
        "pure boredom": r"(?<!cured\s)(?<!no\s)(boredom|tedium|drudgery|agony|purgatory|dreck)",
        "felt robbed": (
            r"(felt|feel|feels|feeling|was|were) (so |absolutely |just |totally |a bit |completely )*"
            r"(nothing|cheated|robbed|ripped off|scammed|conned|dirty|patronised|patronized|unwell|queasy)"
        ),
        "lost the will to live": r"(lost|losing|lose) (all )?(interest|patience|the will|the plot|ME\b)",
        "what were they thinking": r"what (were|was|are) (they|he|she|you|anyone) (even )?(thinking|on|smoking)",
        "for all the wrong reasons": r"wrong reasons|everything (that )?('s |is )?wrong with",
        "left a bad taste": r"(left|leaves|leave|leaving) (ME (with )?)?(an? )?(\w+ )?(bad|sour|bitter|nasty|funny|foul) taste",
        "oh dear": r"oh dear|good grief|god help|spare me",
        "all talk": r"all (talk|show|noise|fluff|bark|flash|surface|hype|gimmicks?)END",
        "you couldn't pay me to": r"(could|can|would)(n'?t| not) (even )?(pay|bribe) ME|(paid|pay) ME to|not if you (paid|pay)",
        "burn it with fire": (
            r"(burn|torch|nuke|flush|bury|destroy|bin|trash|binned|kill) "
            r"(it|them|that|TITLE|every( single)? copy|all copies)( (with fire|down|out|away|in the \w+))?"
        ),
        "belongs in a landfill": r"belongs? in (the |a |my )?(landfill|dump|dustbin|sewer|fire|hell|sea|past|trashcan|wastebasket)",
        "can rot": (
            r"(can|could|should|may) (just )?(rot|burn|sink|die|disappear|vanish|go (away|to hell|hang|in the (bin|sea|trash|fire))"
            r"|stay (buried|away|in the past))"
        ),
        "should never have been made": (
            r"(should|ought)( have)?(n'?t| not| never)( have)?( to have)? (been )?"
            r"(made|released|shot|filmed|bothered|exist(ed)?|left the)"
        ),
        "on my worst enemy": r"worst enem(y|ies)",
        "made me ashamed": r"(made|makes|left) ME (\w+ )?(embarrassed|ashamed|sorry|sad for|queasy|squirm|groan|fidget|restless|snore|sleep)",
        "walked away from": r"walk(ed|ing)? away from|ran (away )?from|fled",
        "my ears have not recovered": r"NEVER (quite |fully )?(recover(ed)?|be the same)",
        "cure for insomnia": r"insomnia|sleeping pills?|a (\w+[ -])?(hour|minute)s?[ -](long )?(nap|snooze|snore|sleep)",
        "not pleased": r"not pleased?",
        "nearly left": r"nearly (left|died|cried of boredom)",
        "even worse": r"(even )?worse",
        "isn't for me": (
            r"(ai|is|was|are|were)(n'?t| not) (for ME|MY (\w+ )?(thing|cup|bag|kind|type|style|taste|jam))"
        ),
        "did nothing for us": r"(did|does|do) (\w+ly )?(nothing|zero|zilch|nowt|naff all|sod all|diddly\w*)",
        "nearly killed me": (
            r"(nearly|almost|practically|basically|literally) (\w+ )?(killed|finished|broke|destroyed|ended) ME"
        ),
        "does my head in": r"(does|did|do|doing) MY (head|nut|brain) in",
        "gets on my nerves": r"(get|gets|got|getting) on MY (\w+ )?(nerves|wick|tits|goat)",
        "whoever made it should be in jail": (
            r"(should|ought to|needs to|deserves? to) (all )?(be|go|have been|get) (in |to )?"
            r"(jail|prison|ashamed|banned|illegal|shot|sacked|fired|arrested|locked|burn(ed|t)|binned|buried|forgotten|hell)"
        ),
        "belongs in the bin": r"belongs? in (the|a) (bin|trash|rubbish|skip|toilet|gutter|garbage)",
        "can get in the sea": r"can (get in the (bin|sea)|do one|get (lost|stuffed)|go to hell|sod off|jog on)",
        "where it all went wrong": (
            r"(where|when) (it|things|the \w+|\w+) (all )?"
            r"(went (wrong|to die|downhill|off the rails|stale)|fell apart|lost it|died)"
        ),
        "went downhill": r"(went|goes) (straight )?downhill",
        "style over substance": r"style (no|and no|over|without) substance",
        "made no sense": r"(makes?|made) (no|zero|little) sense",
        "nobody could sit through it": (
            r"(nobody|no one|none) ... (get|sit|got|sat|finish|stand|stood|follow|made it)\b"
        ),
        "not really my scene": r"not (really )?MY (thing|cup|bag|kind|type|style|taste|jam|scene)\b",
        "ruined it": r"ruined (MY|it|everything)",
        "never again": r"never again",
        "is a no from me": r"(is|was|were|are|it'?s) (an? )?(\w+ )?(pass|no|thumbs down) (from|for) (me|us)",
        # Words that blame only as a predicate: not "Dead Man Walking".
        "was pants": (
            r"(is|was|are|were|be|felt|so|total|utter|absolute|just|=) "
            r"((so|just|proper|a bit|absolutely|totally|utterly|well|pure|such|kinda) )*"
            r"(dead|pants|toss|poo|death|gash|pony|rank|arse|flat|thin|forced|empty|daft|stiff|tired"
            r"|a con|a dog|a pain|a trial|a mistake|a lemon|a bomb)END"
        ),
        "did not make me laugh": (
            r"NEVER (even )?(make ME (laugh|smile|cry)|(laugh|smile|giggle|crack a smile)(ed|d)? once)"
        ),
        "the dumbest thing I ever saw": (
            r"(dullest|worst|lamest|slowest|silliest|stupidest|dumbest|weakest)(?=( \w+){1,3}? (of|in|ever|i|we)\b)"
        ),
    },
    _NAMES,
)
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
        "we watch it every year": r"every year|(re)?watch\w* (\w+ |TITLE\s*){0,3}every \w+|happily (re)?watch|(could|can) (re)?watch (it|that|them|TITLE)\s*(\w+ )?(forever|any|every|all|again and again|on (a )?loop)",
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
        "won me over": r"PLEASING (\w+ )?(ME|all of (us|them)|all|everyone)\b|(won|swept|bowled|knocked) ME (over|away|off MY feet|out|sideways)",
        "sent shivers down my spine": r"(chills|shivers|tingles|butterflies|all the feels|frissons?)",
        "a breath of fresh air": r"breath of fresh air|pick of the bunch|cream of the crop|the one to beat|head and shoulders above",
        "worth every second": r"worth (every|each|all)|worth the (\w+ )?(wait|money|hype|ticket|price)",
        "cannot fault": r"NEVER (\w+ )?(fault|praise TITLE enough|praise it enough|recommend it enough)",
        "what a ride": r"what (an? )?(\w+ )?(ride|experience|film|movie|trip|journey|rush|story|picture|gem|performance)END",
        "moved me to tears": r"moved ME to tears|broke ME\b|floored ME",
        "never got over it, still not over it": r"NEVER (been )?over",
        "everyone raves about it": r"rav(es?|ed|ing) about",
        "thumbs up": r"thumbs up",
        "nothing beats it": r"nothing (\w+ ){0,3}?(beats?|tops?|compares?|comes?|rivals?|touch(es)?|match(es)?)",
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
        "got round to [Heat]": r"got (a)?round to (watching |seeing |finishing )?|been to (see|watch)|went to (see|watch)",
        "been there": r"been thereEND",
        "last year we did [Heat]": (
            r"(last \w+|yesterday|recently|the other (day|night|week)|this (morning|week|month)|on \w+day|\w+ ago),? WHO('ve| have)? "
            r"(already |just |all |both )?(did|done|had|watched|saw|screened|showed|rented|played|ran) (the )?(TITLE|that|it|them)"
        ),
        "the club showed [Heat]": r"WHO (already |just )?(screened|showed|projected|ran|aired) (the )?TITLE",
        "[Heat] was on TV yesterday": r"(was|were|been) (just )?on (tv|telly|television|cable|netflix|bbc|itv|channel \w+) (yesterday|last|again|recently|the other|this|on|already)",
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
            r"(?<=MASK),? ((both|all|already|been|are|is) ){0,2}(done|watched|seen|sorted|covered|check|checked|tick|ticked)"
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
        "got [Heat].": r"(?:^|(?<=[.!?]\s))got (the )?TITLE(\s*(,|and|&)\s*(the )?TITLE)*(?=\s*([.!;]|$|\b(already|at home)\b))",
        "[Heat] I already have": (
            r"WHO (already )?(have|has)\s*(?=[.,;!?]|$|\s(already|too|on|at|in|here|somewhere)\b)"
        ),
    }
)
ENDURED = re.compile(rf"{SICK_FACE}|\b(?:{_TIME_LOST.pattern}|{_DISLIKED.pattern})", re.IGNORECASE)
THRILLED = re.compile(
    rf"{_GLAD_FACE}|{_ABOVE_ALL.pattern}|\b(?:{_CHERISHED.pattern}|{_THRILLING.pattern})", re.IGNORECASE
)
FAMILIAR = re.compile(rf"\b(?:{_KNOWN.pattern})|{_ALL_DONE.pattern}", re.IGNORECASE)
POSSESSED = _POSSESSED.compiled()
