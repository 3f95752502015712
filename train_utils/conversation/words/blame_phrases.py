"""Expressions that blame a title without a word of blame: "three bucks down the drain"."""

import re

from train_utils.conversation.words.judging_verbs import DISPLEASING_VERBS
from train_utils.conversation.words.lexicon import any_of
from train_utils.conversation.words.phrases import Phrases

SICK_FACE = (
    "[\U0001f44e\U0001f4a9\U0001f92e\U0001f922\U0001f634\U0001f5d1\U0001f971\U0001f612\U0001f644\U0001f4a4\u274c\u2716]"
)
# End of a clause.
END = r"(?=\s*(?:[.,;!?)]|$|\b(?:tbh|imo|ngl|lol|mate|and|but|though|to\s+me|for\s+me|if)\b))"
_NAMES = {
    "LOST": r"(?:time|money|bucks|dollars|pounds|quid|euros?|hours?|minutes|evening|night|life|afternoon|ticket)",
    "END": END,
    "DISPLEASING": any_of(DISPLEASING_VERBS),
}

_TIME_LOST = Phrases(
    {
        "three bucks down the drain": r"LOST ... (down the drain|wasted|back|(see|get) (\w+ )?(again|back))",
        "a waste of two hours": r"(wastes?|wasted|waist) ... (LOST|on|TITLE)",
        "that went down the drain": r"down the drain",
        "want my money back": r"(wants?|wanted|give) (ME )?MY LOST back",
        "put me to sleep": (
            r"(put|puts|sent|sends|lulled|bored|nearly bored) ME (straight |right )?(to|in"
            r"|into) (a )?(deep )?(sleep|tears|death|coma|stupor|slumber)"
        ),
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
        "bored us all": r"DISPLEASING (\w+ )?(ME|all of (us|them)|all|everyone)\b(?! to (tears|death|sleep))",
        "endured [Evita]": (
            r"(?<!to\s)(?<!could\s)(suffered|endured|trudged|slogged|plodded|ploughed|plowed) (through )?(it|that"
            r"|them|TITLE|the)"
        ),
        "I wanted to scream": (
            r"(wanted|wished|longed|begged|begging|prayed|praying|dying|waiting|wait) (for )?(it |that |TITLE\s*)?to "
            r"(die|scream|leave|run|cry|end|stop|finish|be over|go home|escape|puke|vomit|throw (up|something)"
            r"|hide|claw|gouge)"
        ),
        "had me begging for the end": (
            r"(had|has|got|left) ME (\w+ly )?(begging|praying|wishing|reaching for|checking|looking at|screaming"
            r"|running"
            r"|squirming|dozing|snoring|yawning|nodding|heading|asking for|fleeing|scratching|rolling MY eyes"
            r"|fuming|seething)"
        ),
        "made my ears bleed": (
            r"(made|makes|make|hurts?|bled) MY (eyes?|ears?|brain|head|skin|stomach|teeth|soul|toes?|flesh)( cells)?"
            r"( (bleed|hurt|ache|crawl|turn|spin|die|melt|itch|rot|curl|explode))?\b"
        ),
        "asked for a refund": r"refund(ed)?",
        "watching paint dry": (
            r"(watch(ing)? )?(paint|grass|cement|concrete) (dry|grow|set)(ing)?|root canal|pulling teeth"
        ),
        "pure boredom": r"(?<!cured\s)(?<!no\s)(boredom|tedium|drudgery|agony|purgatory|dreck)",
        "felt robbed": (
            r"(felt|feel|feels|feeling|was|were) (so |absolutely |just |totally |a bit |completely )*"
            r"(nothing|cheated|robbed|ripped off|scammed|conned|dirty|patronised|patronized|unwell|queasy)"
        ),
        "lost the will to live": r"(lost|losing|lose) (all )?(interest|patience|the will|the plot|ME\b)",
        "what were they thinking": r"what (were|was|are) (they|he|she|you|anyone) (even )?(thinking|on|smoking)",
        "for all the wrong reasons": r"wrong reasons|everything (that )?('s |is )?wrong with",
        "left a bad taste": (
            r"(left|leaves|leave|leaving) (ME (with )?)?(an? )?(\w+ )?(bad|sour|bitter|nasty|funny|foul) taste"
        ),
        "oh dear": r"oh dear|good grief|god help|spare me",
        "all talk": r"all (talk|show|noise|fluff|bark|flash|surface|hype|gimmicks?)END",
        "you couldn't pay me to": (
            r"(could|can|would)(n'?t| not) (even )?(pay|bribe) ME|(paid|pay) ME to|not if you (paid|pay)"
        ),
        "burn it with fire": (
            r"(burn|torch|nuke|flush|bury|destroy|bin|trash|binned|kill) "
            r"(it|them|that|TITLE|every( single)? copy|all copies)( (with fire|down|out|away|in the \w+))?"
        ),
        "belongs in a landfill": (
            r"belongs? in (the |a |my )?(landfill|dump|dustbin|sewer|fire|hell|sea|past|trashcan|wastebasket)"
        ),
        "can rot": (
            r"(can|could|should|may) (just )?(rot|burn|sink|die|disappear|vanish|go (away|to hell|hang"
            r"|in the (bin|sea|trash|fire))"
            r"|stay (buried|away|in the past))"
        ),
        "should never have been made": (
            r"(should|ought)( have)?(n'?t| not| never)( have)?( to have)? (been )?"
            r"(made|released|shot|filmed|bothered|exist(ed)?|left the)"
        ),
        "on my worst enemy": r"worst enem(y|ies)",
        "made me ashamed": (
            r"(made|makes|left) ME (\w+ )?(embarrassed|ashamed|sorry|sad for|queasy|squirm|groan|fidget|restless"
            r"|snore|sleep)"
        ),
        "walked away from": r"walk(ed|ing)? away from|ran (away )?from|fled",
        "my ears have not recovered": r"NEVER (quite |fully )?(recover(ed)?|be the same)",
        "cure for insomnia": (
            r"insomnia|sleeping pills?|a (\w+[\s-])?(hour|minute)s?[\s-](long )?(nap|snooze|snore|sleep)"
        ),
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
            r"(jail|prison|ashamed|banned|illegal|shot|sacked|fired|arrested|locked|burn(ed|t)|binned|buried"
            r"|forgotten|hell)"
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
_WORN_OUT = Phrases(
    {
        "I switched channels": (
            r"(switched|changed|flipped|turned|switch|change) (the |MY |to (another|a different) )?(channels?"
            r"|over|station)\b"
            r"|reach(ed|ing)? for (the|MY) (remote|phone|coat)"
        ),
        "watched the clock": (
            r"(watch(ed|ing)|star(ed|ing) at|look(ed|ing) at|count(ed|ing)) (the|MY) (\w+ )?(clock|watch|ceiling"
            r"|exit|minutes|seconds|tiles|walls?|phone)"
        ),
        "went on forever": (
            r"(went|goes|go|dragged|drags) on ((and on)|forever|for ever|too long|for (ages|hours|days|an eternity))"
            r"|(felt|seemed|lasted) (like )?(forever|for ever|an eternity|ages|years|a lifetime|(a|two|three|four"
            r"|five|ten|\d+) (weeks?|months?|years?|days?))"
        ),
        "outstays its welcome": (
            r"(out|over)stay(s|ed)? (its|their|his|her) welcome|never[\s-]ending|would(n'?t| not| never) end"
        ),
        "an hour too long": (
            r"(hours?|minutes|half) too long|(could|should) (have )?(lost?|cut|trim(med)?|lose) (an?|the|half|two"
            r"|\d+) \w+"
        ),
        "tested my patience": (
            r"(test|tried|try|tries|tests|tested|wore|wears) (MY patience|thin|ME (out|down))(?! in a good)"
        ),
        "help me sleep": r"help(s|ed)? ME (to )?(fall a?sleep|sleep|nod off)|MY (cure|remedy) for",
        "zzz": r"zz+\b|snor+e+|yawn+",
    },
    _NAMES,
)
_POOR = Phrases(
    {
        "gets everything wrong": (
            r"(gets?|got) (it|everything|it all|so much|most of it|nothing) (\w+ )?(wrong|right)(?<=wrong)"
        ),
        "hasn't aged well": (
            r"NEVER (really )?(age(d)? well|hold up|held up|stand up|work(ed)?( for ME)?END|land(ed)?|deliver(ed)?"
            r"|live up|add(ed)? up|go anywhere|went anywhere|convince(d)? ME|impress(ed)? ME|appeal)"
        ),
        "no plot": (
            r"(no|zero|without|lacks?|lacked|lacking) (an? |any |all |real |much )?"
            r"(plot|story|point|chemistry|charm|laughs|heart|soul|substance|depth|tension|pace|spark|brains?"
            r"|rhythm|imagination)\b"
        ),
        "full of plot holes": (
            r"plot\s?holes?|(paper|wafer)[\s-]thin|all over the (place|shop)|one[\s-]note|by numbers"
            r"|going through the motions"
        ),
        "a pale imitation": (
            r"pal(e|es|ed) (imitation|shadow|copy|in comparison|next to)|poor man'?s|(poor|cheap|bad|weak|tired"
            r"|lazy) (copy|imitation|knock[\s-]?off|excuse|remake|sequel)"
            r"|rip[\s-]?off|cash[\s-]?(in|grab)|(second|third|fourth)[\s-]rate|bargain bin"
            r"|straight[\s-]to[\s-]video|scraping the barrel"
        ),
        "went over my head": (
            r"(went|goes|flew) (right |straight |way |clean )?over MY heads?|beyond ME\b|lost on (me|us)"
            r"|wasted on (me|us)"
        ),
        "couldn't tell you a thing": (
            r"NEVER (even )?(tell|say|remember|recall|name|explain) (you )?(a (single )?(thing|word|scene)"
            r"|anything|what|one (thing|scene|line|joke))"
        ),
        "expected more": (
            r"(expected|hoped for|wanted|deserved|was promised) (so much |much |something |a lot )?(more|better)"
            r"|fell (far |well |way )?short"
            r"|emperor'?s new clothes|(not|n'?t) (sold|convinced|fussed|bothered|vibing|feeling)\s*(on|by|with|it"
            r"|about)?"
        ),
    },
    _NAMES,
)
_UPSET = Phrases(
    {
        "rubbed me the wrong way": (
            r"rubbed ME (up )?the wrong way|g[eo]ts? MY (goat|back up)|sticks? in MY (throat|craw)"
            r"|drove ME to (drink|despair)"
        ),
        "turned my stomach": (
            r"(turn|churn)(s|ed)? MY stomachs?|(makes?|made) ME (\w+ )?(despair|groan|wince|shudder|rage|switch"
            r"|suffer|feel (\w+ )?(old|ill|unclean))"
        ),
        "scarred for life": (
            r"(scarred|traumati[sz]ed|damaged|ruined) (ME )?(for life|forever|for good)|(needed|need"
            r"|send ME the bill for) therapy"
        ),
        "too close to the bone": r"too close to (the bone|home)|too (intense|heavy|violent|bleak|gory|nasty|cruel) for",
        "never forgave him": (
            r"never (quite )?forg(ive|ave|iven)|(owes?|owed) (me|us) (an apology|money|two|three|\w+ hours)"
            r"|compensation"
        ),
        "wish I could unsee": (
            r"unsee|wish (that )?(i|we)('d| had)? (had)?(n'?t| not| never)|(erase|wipe|scrub|delete|purge) (it "
            r"|that |TITLE\s*)?(all )?(from|out of) MY"
        ),
        "a big mistake": (
            r"(big|huge|bad|terrible|major|grave|silly|stupid) (mistake|error|idea|choice|decision|move)"
            r"|was a mistake|what a mistake"
        ),
        "should be illegal": (
            r"(should|ought to|must) be (illegal|banned|outlawed|a crime|criminal|against the law|forbidden|ashamed)"
        ),
        "avoid at all costs": r"at all costs?|barge\s?pole|with a ten foot|steer clear|stay(ing)? (well |far )?away",
        "zero stars": r"(zero|no|half a|one|1|0) (out of (five|ten|5|10)|stars?)\b|f minus|epic fail|nul points?",
        "would sooner chew glass than watch": (
            r"\b(rather|sooner) [^.!?;MASK]{2,60} than (watch|see|sit|endure|suffer|go|have|do|rent)\b"
        ),
        "not my idea of fun": (
            r"not MY idea of|over my dead body|not for all the|tells? you (everything|all)|said (everything|it all)"
            r"|says it all"
        ),
        "left early": (
            r"(left|leave|leaving) (early|halfway|half way|before (the end|it (ended|finished))|at the (interval"
            r"|intermission)|after (\w+ )?(\w+ )?(minutes|min|mins|an hour|half an hour))"
        ),
        "stopped after ten minutes": (
            r"(stopped|quit|ended|abandoned|ditched|bailed|out) (it |TITLE\s*)?(after|at|within"
            r"|in) (\w+ )?(\w+ )?(minutes|mins?|half|an hour)"
        ),
    },
    _NAMES,
)
# A verdict without a verb: "Heat top, Casino flop".
_FLOPS = Phrases(
    {
        "[Heat] flop": r"(?<=MASK) (a |an |the )?((big|total|complete|huge|massive|real|utter) )?"
        r"(flops?|dud|dross|bust|tosh|meh|worse)END"
    },
    _NAMES,
)
ENDURED = re.compile(
    rf"{SICK_FACE}|{_FLOPS.pattern}|\b(?=\w)(?:{_TIME_LOST.pattern}|{_DISLIKED.pattern}|{_WORN_OUT.pattern}"
    rf"|{_POOR.pattern}|{_UPSET.pattern})",
    re.IGNORECASE,
)
