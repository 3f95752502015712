"""English words that judge an item, as lists of phrases by class: what a title is called that was good, or bad."""

# Praise and blame in one word.
_PRAISE_WORDS = """
10/10, 9/10, acclaimed, ace, admirable, adorable, amazing, amusing, astonishing, astounding, awe-inspiring, awesome,
beautiful, beguiling, beloved, bewitching, blinding, breathtaking, brill, brilliant, captivated, captivating, charmer,
charming, cherished, classic, clever, compelling, corker, corking, cracking, cute, dazzling, delectable, delightful,
dope, dynamite, electrifying, elegant, elite, enchanted, enchanting, engrossing, enjoyable, entertaining, enthralling,
epic, excellent, exceptional, exhilarating, exquisite, extraordinary, eye-opening, fab, fabulous, fantastic,
fascinated, fascinating, faultless, feel-good, fire, ftw, wow, first-class, flawless, fun, gem, genius, glorious,
goated, good, gorgeous, grand, great, gripping, gutsy, haunting, heart-warming, heartwarming, heavenly, hilarious,
hypnotic, iconic, immaculate, impeccable, impressed, impressive, incredible, ingenious, insane, inspiring, intelligent,
irresistible, jaw-dropping, joyful, joyous, knockout, legendary, likable, likeable, lit, loved, lovely, luminous, lush,
magnificent, majestic, marvellous, marvelous, masterful, masterly, masterpiece, matchless, memorable, mesmeric,
mesmerising, mesmerizing, mind-blowing, mint, miraculous, monumental, moving, nifty, note-perfect, oscar-worthy,
outstanding, peerless, perfect, phenomenal, pitch-perfect, poetic, poignant, powerful, priceless, profound, quality,
quotable, radiant, refreshing, remarkable, riveting, rollicking, sensational, side-splitting, slapped, slaps, smart,
smashing, soulful, spectacular, speechless, spellbinding, splendid, staggering, stellar, stirring, stunning,
stupendous, stylish, sublime, superb, sweet, terrific, thought-provoking, thrilling, timeless, tip-top, top drawer,
top-drawer, top-notch, touching, tremendous, unbeatable, underrated, unequalled, unforgettable, unmatched, unmissable,
unparalleled, unreal, unrivalled, unsurpassed, untouchable, uplifting, uproarious, warm-hearted, well-made, wicked,
witty, wonderful, wondrous, world-class, worthwhile
"""
_PRAISE_PHRASES = """
a banger, a belter, a blast, a charmer, a corker, a cracker, a delight, a gem, a good laugh, a good time, a great
time, a hidden gem, a hit, a hoot, a joy, a keeper, a knockout, a laugh, a marvel, a proper laugh, a right laugh, a
riot, a romp, a stunner, a tonic, a tour de force, a treat, a triumph, a vibe, a wee gem, a winner, a wonder, a work
of art, absolute class, ahead of its time, an absolute gem, an absolute joy, bang on, banging, belting, bloody good,
blown away, bob on, bussin, champion, chef's kiss, cinema gold, class act, close to my heart, comedy gold, dead good,
deadly, dear to me, dear to my heart, first rate, gas, goat, gold, good fun, good stuff, great craic, great fun, great
stuff, hard to beat, hard to top, her favorite, her favourite, highly recommended, his favorite, his favourite, in a
league of its own, in stitches, in tears, insanely good, just class, kino, loved every minute, loved every second,
lovely stuff, magic, mind blown, my favorite, my favourite, my jam, my number one, never bettered, not bad, on point,
our favorite, our favourite, peak cinema, perfection, proper good, pure cinema, pure class, pure gold, pure joy, pure
magic, right up my street, right up our street, savage, second to none, sheer class, sheer joy, sick, so good, so much
fun, spot on, still unbeaten, the bee's knees, the best, the best thing, the bomb, the business, the cat's pyjamas,
the dog's bollocks, the goat, the real deal, the tops, their favorite, their favourite, time well spent, tip top, top
notch, tops, tough to beat, very dear, very dear to me, well good
"""
_BLAME_WORDS = """
abhorrent, abominable, abysmal, amateurish, annoying, appalling, arduous, asinine, atrocious, awful, bad, balderdash,
banal, barely watchable, bilge, bland, bloated, bog-standard, bogus, bollocks, bore-fest, borefest, boring, brain-dead,
braindead, brainless, bullshit, cack, calamitous, car crash, charmless, cheesy, cliche, cliched, clichéd, clumsy,
clunky, coarse, cobblers, codswallop, condescending, confusing, contrived, corny, crap, crapola, crappy, crass, cringe,
cringefest, cringeworthy, cringy, cruddy, crude, crummy, cynical, damp squib, dated, deathly, deplorable, depressing,
derivative, despicable, dire, disappointed, disappointing, disappointment, disgusting, dismal, dog's dinner, dogshit,
drab, dreadful, dreary, dreck, drivel, dross, dry as dust, dull, dullest, dumb, dumbest, embarrassing, excruciating,
execrable, exhausting, exploitative, far-fetched, feeble, flaccid, flat, flavourless, forgettable, foul, frustrating,
garbage, garish, generic, ghastly, god-awful, godawful, grating, gratuitous, grim, grotesque, guff, hackneyed,
half-baked, ham-fisted, hammy, heavy-handed, hideous, hogwash, hokey, hollow, hopeless, horrendous, horrible, horrid,
horseshit, hot garbage, hot mess, icky, idiotic, imbecilic, impenetrable, inane, incoherent, incomprehensible,
indulgent, inept, inferior, infuriating, insipid, insufferable, insulting, interminable, irksome, irritating, jarring,
joyless, junk, juvenile, labored, laboured, lackluster, lacklustre, lame, lamest, laughable, lazy, leaden, let-down,
letdown, lifeless, limp, listless, loathsome, long-winded, lousy, manipulative, maudlin, mawkish, mediocre, meh,
melodramatic, mid, mind-numbing, minging, miserable, moronic, muddled, naff, nauseating, never-ending, nonsense,
obnoxious, odious, off-putting, offensive, over long, over-hyped, over-long, over-rated, over-the-top, overblown,
overcooked, overdone, overhyped, overlong, overrated, overstuffed, overwrought, painful, pap, patchy, pathetic,
patronising, patronizing, pedestrian, piffle, plodding, po-faced, pointless, pompous, ponderous, poo, poop, poor, poxy,
preachy, predictable, preposterous, pretentious, puerile, rancid, repellent, repetitive, repugnant, repulsive,
revolting, ridiculous, ropey, ropy, rotten, rubbish, saccharine, sanctimonious, schlock, schmaltzy, self-important,
self-indulgent, shallow, shambolic, shit, shite, shoddy, shonky, shrill, sux, stinks, sickening, sickly, sickly sweet,
silliest, simplistic, skippable, sleazy, sloppy, sluggish, smarmy, smug, snoozefest, so-so, soapy, sophomoric, soppy,
soulless, spineless, stale, stilted, stodgy, stupid, stupidest, sub-par, subpar, substandard, sucked, superficial,
syrupy, tacky, tasteless, tawdry, tedious, terrible, tiresome, toe-curling, tone-deaf, toothless, tortuous, torture,
tosh, trash, trashy, tripe, trite, turgid, twaddle, twee, ugly, unbearable, uncomfortable, unconvincing, underwhelmed,
underwhelming, uneven, unfathomable, unfunny, unimpressed, uninspired, uninspiring, uninteresting, unnecessary,
unoriginal, unpleasant, unremarkable, unsatisfying, unwatchable, useless, vacuous, vapid, vile, vulgar, wack, weak,
weak sauce, wearisome, wearying, whack, wishy-washy, witless, woeful, wooden, worst, worthless, wretched, yuck, yucky
"""
_BLAME_PHRASES = """
a bit dry, a bore, a bust, a car crash, a cash grab, a cash-grab, a clunker, a damp squib, a disappointment, a
disaster, a disgrace, a dog's dinner, a downer, a drag, a dud, a failure, a flop, a hot mess, a joke, a let down, a
load of, a mess, a misery, a misfire, a pile of, a rip-off, a shambles, a shocker, a slog, a snooze, a stinker, a
struggle, a total waste, a travesty, a turd, a turkey, a waste, a waste of time, a yawn, a yawner, absolute pants, an
abomination, an atrocity, an embarrassment, an endurance test, an insult, an ordeal, below par, beneath contempt,
beyond bad, could be better, could have been better, could've been better, dog poo, dull as dishwater, dull as
ditchwater, hard going, hard work, heavy going, just bad, less than great, no fun, no good, no great shakes, no laughs,
not all that, not for me, not funny, not good, not great, not her thing, not his thing, not impressed, not impressive,
not much cop, not much fun, not much good, not my bag, not my cup of tea, not my jam, not my scene, not my style, not
my taste, not my thing, not our bag, not our thing, not so good, not so great, not so hot, not that good, not that
great, not their thing, not to her taste, not to his taste, not to my liking, not to my taste, not to our taste, not
too good, not up to much, not very good, not worth it, not worth the hype, not worth watching, nothing to write home
about, proper bad, pure pants, real bad, so bad, so cringe, that bad, the dregs, the pits, the worst, too * for me, too
* for my, too * for my taste, too * for us, too artsy, too bad, too bloody, too brutal, too cheesy, too childish, too
confusing, too creepy, too dark, too depressing, too dry, too gory, too gross, too heavy, too long, too loud, too much,
too predictable, too sad, too sappy, too scary, too sentimental, too serious, too silly, too slow, too violent, too
weird, total pants, utter pants, utter poo, utterly joyless, wasn't funny, isn't funny, aren't funny, weren't funny,
ain't funny, wasn't great, wasn't impressed, weren't great, weren't impressed
"""
# A judgment of a title, which may be all of a clause after it: "We saw Babe. Great film!"
GOOD = f"{_PRAISE_WORDS}, {_PRAISE_PHRASES}"
BAD = f"{_BLAME_WORDS}, {_BLAME_PHRASES}"
