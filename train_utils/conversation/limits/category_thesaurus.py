"""English words for the usual categories of films and books; they are read where a catalog has the category."""

import re
from collections.abc import Iterable, Mapping

from train_utils.conversation.words.lexicon import finder

# Category -> phrases for it, in which `*` stands for any ending. Two categories, joined by "+", hold together.
_PHRASES = {
    "action": "action-packed, martial arts, kung fu, shoot em up, shoot 'em up",
    "adventure": "swashbuckler*, swashbuckling, treasure hunt*",
    "animation": """
        animated, cartoon, cartoons, anime, animations, toon, toons, hand-drawn, claymation, stop-motion,
        stop motion
        """,
    "biography": "biopic, biopics, biographical, memoir, memoirs",
    "children": """
        kids, kid's, kids', kid stuff, childish, kiddie, kiddy, kid-friendly, kid friendly, family-friendly, family
        friendly, family movie, family movies, family film, family films, for the whole family, for children, for little
        ones, for toddlers
        """,
    "comedy": """
        funny, hilarious, humorous, comedic, a laugh, laughs, to laugh, sitcom, sitcoms, comical, giggle*, chuckle*,
        funnier, funniest, humor, humour, humourous, laugh, belly laughs, laugh out
        loud, laugh-out-loud, amusing, slapstick, satire*, satirical, parody, parodies, spoof*, screwball, farce,
        farces, farcical
        """,
    "crime": """
        gangster, gangsters, mobster, mobsters, mob, mafia, heist, heists, bank robber*, serial killer, serial killers,
        cops and robbers, cops, robbery, robberies
        """,
    "documentary": "docu, docus, docs, documentry, documentries, docuseries",
    "drama": """
        dramatic, melodrama, melodramas, tearjerker, tearjerkers, tear-jerker, tear-jerkers, tragedy,
        tragedies, weepie, weepies
        """,
    "fantasy": """
        dragons, wizards, elves, sword and sorcery, with magic, full of magic, swords and sorcery, fairy
        tale, fairy tales, fairytale*
        """,
    "film-noir": "noir, noirs, noirish, film noir, film noirs, films noirs",
    "horror": """
        scary, scarier, creepy, spooky, frightening, terrifying, slasher, slashers, zombie, zombies, vampire, vampires,
        haunted house, haunted houses, gory, that scare me, that scares me, to scare me, scare us, to be scared,
        scariest, a ghost,
        ghosts, ghostly, ghost story, ghost stories, frightened, eerie, chilling, spine-chilling, hair-raising,
        bloodcurdling, nightmarish, gruesome,
        ghoulish
        """,
    "musical": "singing, sing-along, singalong, song and dance, people sing, songs in it, broadway, sing, sings",
    "mystery": """
        detective, detectives, whodunit, whodunits, whodunnit, whodunnits, who-dunnit, who-dunnits, murder mystery,
        murder mysteries, sleuth, sleuths
        """,
    "romance": """
        romantic, about love, mood for love, love story, love stories, love movie, love movies, love film, love films,
        chick flick, chick flicks, love stuff, mushy, smoochy, kissing, kiss, kisses, smooching, lovey-dovey, lovey
        dovey
        """,
    "romance+comedy": "rom-com, rom-coms, romcom, romcoms, rom com, rom coms",
    "sci-fi": """
        spaceship, spaceships, outer space, space opera, space operas, set in space, aliens, robots, time travel,
        science-fiction, science fiction, scifi, scfi, sci fi, sf, cyberpunk, futuristic, dystopian, space movie, space
        movies, extraterrestrial*, galactic, androids
        """,
    "thriller": "suspense, suspenseful, nail-biter, nail-biters, edge of my seat",
    "war": "soldier, soldiers, world war, wwii, ww2, vietnam, battlefield*, military, wartime, trenches",
    "western": "cowboy, cowboys, gunslinger, gunslingers, wild west, old west, spaghetti western, spaghetti westerns",
}
# Of these, a rejection means only a kind: who wants comedies and "no slapstick" still wants comedies.
_KINDS = finder(
    """
    slapstick, satire*, satirical, parody, parodies, spoof*, screwball, farce, farces, farcical, sitcom, sitcoms,
    gangster, gangsters, mobster, mobsters, mob, mafia, heist, heists, bank robber*, robbery, robberies, serial killer,
    serial killers, vietnam, wwii, ww2, world war, trenches, zombie, zombies, vampire, vampires, slasher, slashers,
    gory, ghosts, ghost stories, haunted house, haunted houses, gruesome, spaghetti western, spaghetti westerns, anime,
    claymation, stop-motion, stop motion, martial arts, kung fu, space opera, space operas, time travel, robots, aliens,
    cyberpunk, dystopian, mushy, kissing, broadway, murder mystery, murder mysteries, tearjerker, tearjerkers,
    melodrama, melodramas
    """
)
_SHORT_NAMES = {
    "sci-fi": ("sciencefiction", "scifi"),
    "animation": ("animated", "anime"),
    "film-noir": ("noir", "filmnoir"),
}


def thesaurus(names: Iterable[str]) -> list[tuple[tuple[str, ...], re.Pattern[str]]]:
    """Return (categories, pattern of phrases that mean all of them) for the categories of a catalog that are known.

    Args:
        names: the catalog's categories.
    """
    known = _known(names)
    return [
        (tuple(known[part] for part in parts), finder(phrases))
        for parts, phrases in ((key.split("+"), phrases) for key, phrases in _PHRASES.items())
        if all(part in known for part in parts)
    ]


def names_kind(words: str) -> bool:
    """Return whether words for a category name only a kind of it ("slapstick")."""
    return bool(_KINDS.fullmatch(words))


def _known(names: Iterable[str]) -> Mapping[str, str]:
    """Return thesaurus's name -> the catalog's, which may be inflected ("Children's", "Comedies")."""
    plain = {_stem(name): name for name in names}
    found = {}
    for part in {part for key in _PHRASES for part in key.split("+")}:
        for form in (_stem(part), *_SHORT_NAMES.get(part, ())):
            if form in plain:
                found[part] = plain[form]
    return found


def _stem(name: str) -> str:
    letters = re.sub(r"[^a-z]", "", name.lower())
    return re.sub(r"(?:ies|y|s)$", "", letters)
