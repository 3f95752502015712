"""English words that are too common to say what a user means by them alone."""

COMMON_WORDS = frozenset(
    str.split(
        """
        a about above absolutely actually after afternoon again all almost alone along already also although always am
        among an and another any anybody anymore anyone anything anyway apart are aren't around as ask at available
        avoid away awesome back bad based be because been before being believe besides best better between big
        birthday bit boring both boyfriend bring brother but by bye came can can't cannot category cause check choose
        classic come comes coming completely cool could couldn't couple currently dad date daughter day days deal
        decent definitely did didn't different do does doesn't doing don't done double down dozen each easily easy
        either else end enjoy enjoyed enjoys enough entire especially even evening ever every everybody everyone
        everything exactly except exclude excluding fact fan far father favorite favorites favourite favourites feel
        feeling few find fine first fit follow for forget found free friday friend friends from full fully fun further
        gave genre genres get gets getting girl girlfriend give given glad go goes going gonna good got great group
        guess guy guys had half handful happen has hasn't hate hated have haven't having he hello help her here hey hi
        him his hmm home hope hour hours how however huge husband i i'd i'll i'm i've idea if in include including
        indeed instead interested interesting into is isn't it it's its itself just keep kind kinds knew know known
        last late lately later latest least leave left length less let let's like liked likes line list listed little
        live local long longer look looked looking looks lot lots loved loves low made main make makes making man many
        match matter may maybe me mean means mention mentioned mind minute minutes mom month mood more morning most
        mostly mother much must my myself name need needs never nevermind new newer next nice night no nobody none
        nope nor normal not nothing now number obviously of off often oh ok okay old older on once one's only open
        order our out outside over own parents part partner people perfect perhaps person place please pls plus
        possible prefer preferably pretty probably problem put question quick quickly quite rainy random rated rather
        read ready real really reason recent recently recommend recommended release released remove request rest right
        room roommate said same saturday saw say search see seem seen set several shall she short should similar
        simple simply since sister skip so some somebody someone something something's sometimes son soon sorry sort
        stand start started still stop stuff style such suggest suit sunday sure take taken takes taste tell ten than
        thank thanks that that's the their them theme themed then there these they thing think this those though
        thought through till time times tired to today together tomorrow tonight total totally tried try type types uh
        um unless until up upon us use used using usual usually very vibe vibes viewed wait want wanted wants was
        wasn't watch watched watching way we week weekend well went were what what's whatever when where whether which
        while who whole why wife will with within without won't work would wouldn't wow yeah year years yep yes
        yesterday yet you you'd you'll your yours yourself
        """
    )
)
