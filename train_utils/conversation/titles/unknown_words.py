"""Words that speak against a title in lower case: those of clauses and requests, people, parts of films, and verbs."""

# A title has none of these: they make it a clause, a request, or two titles.
NO_PART = frozenset(
    str.split(
        """
        abeg about adore adored adores afterwards again already also although am and any anyone anything anyway are
        aren't arent atm aye based be because been being both btw but by can can't cant catalog catalogue collection
        could couldn't couldnt coz cuz did didn't didnt dislike do does doesn't doesnt don't dont either em enjoy
        enjoyed enjoys etc even everybody everyone everything featuring from genre genres gimme give gonna gotta ha
        had hadn't haha has hasn't hate hated hates have haven't havent he he's hello her here hes hey heyy hi him
        his hiya hm hmm hola how how's i i'd i'll i'm i've id idk if ill im including involving is isn't isnt it
        it's its ive jeez just kind kinda lemme let's lets like liked likes list lol love loved loves may maybe me
        might must my n nah neither never no nobody nope nor not nothing och ok okay omg one ones only ooh oops or
        our perhaps please pls plz probably pure quite rather really rec recommend recommendation recommendations
        recs related rewatch rewatched she she's sheer shes should show similar since snooze so some someone
        something sort starring still stuff suggest suggestion suggestions tell than thank thanks that that's thats
        their them there they they're they've theyre thing's things tho thou though thx to too ty type u ugh ur us
        utter very via vibe vibes wanna want wants was wasn't wasnt watch watched we we're we've were weren't what
        what's whats when where which while who whoa whom whos whose why will with won't would wouldn't wow yawn
        yeah yes yet yk yknow yo you you're you've your youre youve
        """
    )
)
# With these no title begins, and ends.
NO_FIRST = NO_PART | frozenset(
    str.split(
        """
        after all another around as at bad before best better between buff buffs club countless couple dozens dude
        during each every festival few first for former geek good great guys heaps in industry into last latter
        loads man many mate more most much near nerd new next nollywood of old on onto oodles other over previous
        rest same second several such these third this those through tons umpteen under whatever within without
        worst zillion
        """
    )
)
NO_LAST = NO_PART | frozenset(
    str.split(
        """
        a after all an another around as at before between de during each every first for former in into la last
        latter le many more most much near new next now of off on onto other previous same second the then these
        thing third this those today tomorrow tonight under within without yesterday
        """
    )
)
# Who watches.
PEOPLE = frozenset(
    str.split(
        """
        aunt auntie baby babysitter bestie bf boss boy boyfriend boys bro bros brother buddy child children chum
        chums class colleague colleagues commuters cousin cousins coworker coworkers crew dad daddy date daughter
        daughters dude everyone family father fiance fiancee flatmate folks friend friends gang gf girl girlfriend
        girls gran grandad grandfather grandma grandmother grandpa granny group guy guys hubby husband in-laws kid
        kids ladies lads landlord man mate mates men missus mom mommy mother mum mummy nan nana neighbor neighbour
        nephew niece pal pals parent parents partner people projectionist pupils roommate sis sister son sons spouse
        squad student students teacher team teenager teenagers teens tenants toddler toddlers twins uncle wife woman
        women
        """
    )
)
# What films are of or have, other words for genres, and surnames that people in film are called by.
FILM_WORDS = frozenset(
    str.split(
        """
        adrenaline almodovar animation anime arthouse banter bergman bogart bunuel burlesque burton buñuel cagney
        cameo cameos camera camerawork cameron caper capers carpenter chaplin chemistry choreography cinema cinemas
        cinematography climax clooney closure coen coens coppola courtroom credits cronenberg cyberpunk depardieu
        dialogue dialogues dicaprio dinosaur dinosaurs dubbing dystopia eastwood escapism espionage farce fellini
        finale fincher footie franchise gag gags gangster gangsters godard gore hanks heist heists hepburn hero
        heroes heroine heroines hitchcock karaoke kaurismaki keaton kubrick kurosawa lighting lynch mafia makeup
        manga mayhem melancholy melodrama mob mockumentary monologue monologues montage narration narrator noir
        nolan nostalgia nudity oldie oldies opener outlaw outlaws pacing pacino parody performance performances pitt
        polanski popcorn premise prequel prequels props protagonist protagonists punchline punchlines realism remake
        remakes robot robots romcom runtime satire schwarzenegger scorsese screening screenings screenplay sequel
        sequels shyamalan sidekick sinatra slapstick slasher snark spaceship spaceships spectacle spielberg splatter
        spoof stallone steampunk storytelling stunt stunts subplot subplots subtitle subtitles surrealism
        swashbuckler swashbucklers swearing tarantino tarkovsky tearjerker telly thrills trilogies trilogy truffaut
        vampire vampires villain villains visconti visual visuals voiceover weepie welles werewolf werewolves whimsy
        whodunit whodunnit wilder worldbuilding yoga zombie zombies
        """
    )
)
# Of people in film.
FIRST_NAMES = frozenset(
    str.split(
        """
        adam agatha akira al alan alec alfred amy andy angelina anna anne annette anthony antonio arnold audrey
        barbara ben bette bill billy bob brad brian bruce burt cameron cary cate catherine charles charlie chevy
        chris christian christina christopher claire clark clint clive colin courtney dan daniel danny daryl david
        debra demi dennis denzel diane dustin ed eddie edward elizabeth ellen emilio emily emma ernest ethan ewan
        federico forest francis francois frank fred fritz gary gene george gerard gina glenn goldie grace greta
        gwyneth hank harrison harry harvey heather helen helena holly howard hugh humphrey ian ingmar ingrid
        isabella jack jackie jake james jamie jane janet jason jean jeff jennifer jeremy jerry jessica jet jim jimmy
        joan jodie joe joel john johnny jon joseph judy julia julianne julie juliette kate katharine katherine keanu
        kevin kim kirk kirsten kurt lauren laurence lee leonardo liam linda lisa liv liz luc lucy marilyn mark
        marlon martin mary matt matthew meg mel meryl michael michelle mickey mike milla minnie morgan natalie nic
        nicholas nick nicolas nicole oliver orson patrick paul pauline penelope pete peter pierce quentin rachel
        ralph ray reese renee richard rick ridley rita river rob robert robin roger roman ron rosie rowan roy
        russell rutger ryan sally salma sam samuel sandra sarah scarlett scott sean sharon shirley sidney sigourney
        simon sophia spencer spike stanley stephen steve steven stuart susan sylvester ted terry tilda tim tom tommy
        tony uma val vanessa victor vin vincent vivien walter warren wes wesley whoopi will willem william wim
        winona woody
        """
    )
)
_VERBS = frozenset(
    str.split(
        """
        accept act adapt add ask assume avoid beat become begin blow bore borrow break bring build buy call cancel
        carry catch change check choose clean collect come compare consider cook copy cost create cry cut dance date
        decide decode define depict describe design die discuss display do draw dream drink drive drop eat eliminate
        end explain express fall feel fight fill find finish fix fly focus follow forget format get give go grab
        grow guess handle hang happen hear help hide hit hold hope hurt implement include increase invite join jump
        keep kick kill kiss know laugh lay lead learn leave lend let lie list listen live look lose make manage
        matter mean meet mention miss mix move name need offer open order output own pass pay pick plan play prefer
        prepare pretend print promise provide pull push put quit raise reach read remember remind remove rent
        replace reply require rest return ride ring run save say see seem sell send serve share shoot shout show
        shut sing sit skip sleep smell smile smoke sound speak spend stand stay steal stick study support swear swim
        take talk taste teach tell think throw touch train travel treat try turn understand use visit vote wait wake
        walk wear weep win wish wonder work worry write
        """
    )
)
_PAST = frozenset(
    str.split(
        """
        ate became began blew bored bought broke brought built came caught chose cost cried did died drank drew
        drove ended fell felt fought found gave got grew had heard held hit kept knew laid laughed learned led left
        lent lost made meant met paid put ran read rented rode said sang sat saw sent shot slept sold spent spoke
        stole stood stuck swore taught threw told took tried understood went wept woke won wore wrote
        """
    )
)


def is_verb(word: str) -> bool:
    """Return whether a word in lower case is a verb, or looks like one."""
    return word in _PAST or any(form in _VERBS for form in (word, word.removesuffix("s"), word.removesuffix("es")))
