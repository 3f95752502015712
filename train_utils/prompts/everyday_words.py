"""Words, first names and places of everyday English: a title in one of them alone may mean something else."""

EVERYDAY_WORDS = frozenset(
    str.split(
        """
        ability absent accept accident account ace ache across act acting action active actor actress adam adapt add
        addict addicted address adopt adult adventure advice affair afford afraid africa age agency agent aid aim air
        airport alan alarm alaska albert album alert alex alexander alice alien aliens alive amanda amateur amazing
        ambition ambulance america amsterdam amusing amy ancient andre andrea andrew andy angel angela angels anger
        angle angry angus animal animals ankle anna anne annie anniversary announce annoy answer ant anthony antonio
        anxiety apartment ape appetite apple apply appointment apron arcade argue arizona arm arms army arrest arrival
        arrive arrogant arrow art arthur article artist ash ashley asia asleep aspirin assassin assassins assault
        assistant associate astronaut athens atlanta attack attempt attend attic attitude attract aunt australia austria
        author autumn award babe baby babysitter background bacon bag bagel bake baker balance balcony ball ballet
        balloon banana bananas band bandit bang bangkok bank bar barbara barcelona bare bargain bark barn base baseball
        basement basic basket basketball bass bat bath bathroom battle bay beach bean beanie beans bear beard beast beat
        beautiful beauty bed bedroom bee beef beer beetle beg begin behave behind beijing belgium belief believers bell
        belly belong belt ben bench bend benjamin bent berlin bernie bet beth betty bicycle bike bill billy bin bingo
        bird birds birth biscuit bite bitter black blackout blade blame blank blanket bleak bleed bless blind blink
        bliss blob block blog blonde blood bloody bloom blow blue blues board boat bob bobby body bogus boil bomb bond
        bone bonus book bookshop boot boots border bored born borrow boss boston bottle bottom bounce bound bowl bowling
        box boxing boy boys bracelet brad brag brain brains brake branch brand brandon brave brawl brazil bread break
        breakdown breakfast breath breathe breeze brenda brian brick bride bridge brief bright brilliant brink britain
        bro broadway broke broken brooklyn brown bruce bruise brunch brush brussels bubble bucket budapest buddy budget
        bug build building bull bullet bulletproof bully bump bunch bunny burger burn burning burp bury bus bush
        business busy butcher butter butterfly button buy buzz cab cabin cable cactus cage cairo cake calcutta calendar
        california call calm cambodia camera camp campaign camping canada canal cancel cancer candidate candle
        candlelight candy cap capital captain captive captives capture car card cardigan cards care career careful cargo
        caring carl carla carlos carmen carnival carol caroline carpet carpool carrie carrot carry cartoon case cash
        casino casper castle cat catch catherine cats caught cave ceiling celebrate celebrity cell cellar center central
        century cereal ceremony certain chain chair chairman challenge chamber champion chance change channel chaos
        chapter character charade charge charity charles charlie charm chart chase chat chatter cheap cheat cheek cheer
        cheerful cheese chef cherry chess chest chicago chicken chief child childhood children chile chill chilly china
        chip chips chloe chocolate chop chore chris christian christina christine christmas christopher chuck church
        cigar cigarette cindy cinema circle circus citizen city civil claim claire clap clara clark clash class
        classroom classy claude claudia claw clay clean clear clerk clerks clever click client cliff climb clip clock
        close closer closet cloud cloudy clown club clue clueless clumsy coach coast coat cocktail cocoa code coffee
        coffin coin cold collect college colombia color colorado colour comb combat comedy comet comfort command comment
        commercial common commute companion company compare compete complain complaint complete complex compliment
        computer concept concern concert condition cone conference confess confident confidential confirm conflict
        confuse confused congratulations connect connie conspiracy contact contain content contest contract control
        convince cook cookie cop copenhagen copy core corn corner cost costume cosy cottage cotton couch cough count
        country county courage court cousin cover cow coward cowboy cozy crab crack craft craig crash crayon crazy cream
        creature credit creep creepy crew crime cringe crisis critic critics crocodile cross crow crowd crown cruel
        cruise crunch crush cry crystal cuba cube cup cupboard cupcake curb cure curious curry curse curtain curve
        cushion custom cut cute cycle cynthia dagger daisy dallas damage damn dan dance dancing danger dangerous daniel
        danny dare dark darkness darling dash data dave david dawn dead deadly deaf dealer dean dear death debate debbie
        deborah debt decade decide deck deep deer defeat defend degree delay delhi delicious delight deliver demand
        demon denmark dennis dentist denver deny depend depressed depth deputy derby desert design desire desk desperate
        dessert destroy detail detective detox detroit device devil diamond diana diane diary dick die diet difficult
        dig dim dinner dinosaur dinosaurs direct direction director dirt dirty disaster disclosure disco discover
        disease disgust dish disk distance dive divide divorce dizzy dock doctor document dodge dog dogs doll dollar
        dolphin don donald donation donkey donna donut doom door doorbell doors doris dorothy dot doubt doug dough dove
        downtown draft drag dragon drain drama draw drawer drawing dread dream dreams dress drill drink drive driver
        driving drizzle drop drown drug drum drummer drunk drunks dry dryer dubai dublin duck dude due duel dull dumb
        dump dusk dust duty dwarf dylan eager eagle ear early earn earring earth earthquake east easter eat echo eclipse
        ed eddie edgar edge edinburgh edition education edward effect effort egg ego egypt eight eighties elbow elder
        elect election electric elegant elena elephant elevator elf eli elizabeth ella ellen elsa embarrassed embrace
        emerald emergency emily emma emoji emotion emotional empire employ empty enchanted ending endless enemy energy
        engine engineer england english enjoyable enter entertain enthusiastic entrance envelope epic episode equal era
        eraser eric erica ernest errand error escape espresso essay estate eternal eternity ethan ethics europe eva evan
        eve evelyn event everest evidence evil exact exam example exchange excite excited exciting excuse exercise
        exhausted exhausting exile exist exit exotic expect expensive experience expert explain explore explosion
        express extra extreme eye eyebrow eyes fabulous face faces factory fade fail failed failure faint fair fairy
        fairytale faith faithful fake fall fallen false fame familiar families family famous fancy fantastic fantasy
        farewell farm farmer fascinating fashion fast fat fatal fate fault favor favour faye fear fearless fears feast
        feather fed fee feed felix fellow female fence festival fetch fever fiancee fiction field fierce fiery fifteen
        fight fighter fighting figure file fill filth final finger finland fiona fire fireplace fireworks firm fish
        fishing fist five fix flag flame flash flashlight flat flavor flawless flea fled flee flesh flight flip flipper
        flirt float flood floor flora florence florida florist flour flow flower flowers flu fluffy fluke flush flute
        fly flying focus fog foggy fold folk folks food fool foolish foot football forbid forbidden force foreign forest
        forever forge fork form formal fortune forty forward foul fountain fox fragile frame france frances francis
        frank freak freaky fred freddie freedom freeway freeze freezer fresh fridge friendly friendship fries fright
        frog front frontier frost frozen fruit frustrated fuel fugitive funeral funny fur furious fury fuss future
        gabriel gadget gain galaxy gallery gamble game gang gangster gap garage garden garlic gary gas gate gather gear
        gem gender gene general generation geneva genius gentle gentleman george georgia gerald germany ghost ghosts
        giant gift giggle gina ginger giraffe gladys glamorous glance glass glasses glen glimpse glitter globe gloomy
        gloria glory glove gloves glow glue goal goat gods gold golden golf goodbye goose gordon gorgeous gorilla gory
        gossip govern government gown grab grace grade graduate graduation graham grain grammar grand grandfather
        grandma grandmother grandpa grandparents grandson grant grape graph grasp grass grateful grave graveyard gravity
        gray grease greece greed green greet greg grey grief grim grip grocery groom ground grow grown grumble grumpy
        guard guardian guest guidance guide guilt guilty guitar gulf gum gun guns gus gut gym habit hack hacker hackers
        hair haircut halloween hallway ham hammer hamster hand handbag handle hands handsome hang hangout hangover
        hannah happily happiness happy harbor hard harlem harm harmless harold harp harriet harry harsh harvest harvey
        hat hatch haunt haunted havana hawaii hawk hazard head headache heal health healthy heap hear heard heart
        heartbreak heat heather heaven heavy heel heidi height heir helen hell helmet hen henry herb hero heroes hide
        high highway hike hill hint hip hippie hippo history hit hobby hockey hold hole holiday holidays holland hollow
        holly holy homage homeless homer homesick homework honest honey honeymoon honor hood hoodie hook hoop hop
        horizon horn horrible horror horse horses hospital host hostage hostile hot hotel hotter household housemate
        housewife houston howard hug hugh human humble humor hundred hungary hungover hungry hunt hunted hunter
        hurricane hurry hurt hush hut hybrid hype ian ice iceland icon ida ideal identity idiot idle idol ignore ill
        illegal illusion image imagine imitate impact impossible impress inbox incredible independent index india
        indiana industry infinity influence inform injury ink inn inner innocence innocent innocents insane insect
        insomnia inspector inspire instinct insult intense intent internet interview intimate introduce invent invest
        invisible invitation invite iran iraq ireland iron irony isaac isabel island israel issue istanbul italy item
        ivan jack jackal jacket jackie jacob jade jail jam jamaica james jamie jan jane janet japan jar jason jaw jaws
        jay jazz jealous jean jeans jeff jeffrey jelly jennifer jenny jeremy jerry jerusalem jesse jessica jet jewel
        jewelry jill jim jimmy joan job joe joel jog jogging john johnny join joke jolly jon jonathan jordan jose joseph
        josh joshua journal journey joy joyce juan jude judge judith judy juice juicy julia julian julie jump june
        jungle junior junk juror jury justice justin kansas karaoke karen karl kate katherine kathy katie kayak keith
        kelly ken kenneth kentucky kenya kettle kevin key keyboard kick kid kidding kidnap kidney kids kill killer
        killers killing kilt kim king kingdom kiss kissed kit kitchen kite kitten kitty knee kneel knife knight knock
        knot knowledge koala korea kurt kyle label labor lack ladder lady lake lamb lamp land landlord lane language lap
        laptop large larry laser laugh laughing laughter laundry laura lauren laurie law lawn lawyer layer lazy lead
        leader leaf league leah leak lean leap learn lease leather lebanon lecture lee leg legal legend lemon lemonade
        lens leo leon leonard leopard leslie lesson letter level lewis liar liberty library license lick lid lie lies
        life lift light lightning lights lily lima limb lime limit limp linda linen lion lip lipstick liquid lisa lisbon
        literature lively liver liverpool liz lizard load loaded loan lobby lock log logan logic lois lola london lonely
        loop loose lord lose loser losing loss lost lottery lou loud louis louise louisiana lounge lover lovers loyal
        lucas luck lucky lucy luggage luis luke lullaby lunch lung luxury lydia lying lynn lyric machine macho mad madam
        madness madrid mafia magazine maggie magic magical maid mail major makeover maker makeup male malice mall mama
        manager manchester manhattan maniac manila manner manor map maple marathon marble marc march marcus margaret
        margin maria marie marilyn marine mario marion mark market marriage married marry mars marshmallow martha martin
        marty marvin mary maryland mask mass massachusetts massage massive master mate material math matilda matrix matt
        matthew mature maude maureen maurice maverick max maya mayor maze meadow meal meaning meanwhile measure meat
        mechanic medal media medical medicine meditate medium meet meeting megan melbourne melissa melody melt member
        meme memory memphis men menace mental menu merchant mercury mercy mermaid merry mess message messy metal meter
        method metro mexico miami mice michael michelle michigan microphone microwave middle midnight might mighty
        miguel mike milan mild mildred military milk mill million millionaire milton mimic mine mineral minister
        minnesota minor mint miracle miranda mirror misery miss missed missing mission mississippi missouri mistake
        mister mix mobile mobster mock mode model modern modest mole molly moment monday money monica monk monkey
        monkeys monster monsters montana montreal moody moon moral morale morgan morocco mortal moscow mosquito moth
        motion motive motor motorbike motorcycle mountain mountains mouse mouth move movement moving mud mug multiply
        mummy munich murder muscle museum mushroom music musical musician mustard mute mystery myth nail naked nancy
        nanny naomi nap naples narrow nashville nasty natalie nathan nation national native natural nature naughty navy
        near neat nebraska neck necklace ned needle negative neighbor neighborhood neighbour neil neither nell nelson
        nepal nephew nerd nerve nervous nest net network neutral nevada newark newborn news newspaper nicholas nick
        nickname nicky nicole niece nigeria nightmare nina nine nineties ninja noah noble noise noisy noon nora norman
        normandy north northern norway nose note notebook notice notion notorious novel nowadays nowhere nuclear nude
        nun nurse nut nuts oak oath oatmeal obey object oblivion obnoxious observe obsess obsession obvious occasion
        occupy ocean odd odds odyssey offend offer office officer official ohio oil oklahoma olive oliver olivia omelet
        omen onion online opera operate operation opinion option oracle orange orbit orchard ordeal oregon orient origin
        original orlando orphan oscar oslo other otto ought outbreak outcome outdoor outer outfit outgoing outlaw output
        oven overall overcome overdose overseas owe owen owl owner oxford oxygen pablo pace pack package pact page pain
        painful paint painter painting pair pajamas pakistan pal palace pale palermo palm pam pamela pan panama pancake
        panda panel panic panther pants papa paper paperback parade paradise parcel pardon paris park parking parrot
        party pass passage passenger passion passport password past pasta paste pastor pastry pat patch path patience
        patient patio patricia patrick patrol pattern paul paula pause pay payday peace peaceful peach peak peanut pear
        pearl pedro peggy pen pencil penguin penny pepper percent perform performance perfume period permit persia
        persuade persuasion peru pest pet pete peter phantom phantoms pharmacy phase phenomenal phenomenon phil
        philadelphia philip phoebe phoenix phone photo photograph phrase phyllis physics piano pickle picky picnic
        picture pie piece pig pigeon pile pill pillow pilot pin pinch pine pineapple pink pipe pirate pirates pit pitch
        pittsburgh pity pizza plain plan plane planet plant plastic plate platform platoon play player playing pleasant
        pleasure pledge plenty plot plug plumber plunge pocket podcast poem poet poetry point poison poker poland polar
        pole police policy polite political politics pond pony pool poor pop popcorn popular portland portrait portugal
        pose position positive possess post postcard poster postman pot potato potion pound pour poverty powder power
        powerful practice prague praise prank pray prayer preach preacher precious predator pregnant prepare presence
        present president press pressure pretend pretzel price pride priest primary prime prince princess print prison
        prisoner private prize process produce producer product profession professional professor profile profit program
        progress project prom promise proof proper prophecy protect protein proud prove province psycho psychology pub
        public pull pulse pump pumpkin punch punish punk pupil puppet puppy pure purple purpose purse pursuit push
        puzzle pyramid quake quality quarter quebec queen queens quest quiet quilt quirky quit quiz quote rabbit raccoon
        race rachel racing radar radio rage rail rain rainbow raincoat raise rally ralph ramon ran ranch randy range
        rank ransom rapid rare rat rats rave raven raw ray raymond razor reach react reader reading reality rear rebecca
        rebel recall receipt recipe reckless record recover red reef reflect refuse regina regret rehearsal reign
        relationship relative relax relaxing relic relief remark remedy remind remote rent rental repair repeat replace
        replacement report reptile republic rescue research resident resist resort resource respect response restaurant
        restless restoration result retired return reunion reveal revenge reverse review revolution reward rex rhonda
        rhyme rhythm rib ribbon rice rich richard rick ricky riddle ride ridicule rifle ring rings rio riot rip ripe
        rise risk risky rita ritual rival river road roar rob robber robbery robert roberta robin robot robots rock
        rocket rocky rod roger roland role roll rollercoaster romance romantic rome ron ronald ronnie roof roommates
        root rope rosa rose rosemary rosie ross rotten rough round route routine roy royal rubber rubbish ruby rude rudy
        rug ruin ruins rule ruler rules rumor run runaway runner running rush russell russia rust ruth ruthless ryan
        sabotage sabrina sack sacramento sacred sacrifice sad saddle safari safe safety sail sailor saint salad salary
        sale sally salmon salon salt salute sam samantha samuel samurai sanctuary sand sandal sandra sandwich sandy
        santa sara sarah sauce sausage savage save savings scale scam scandal scandinavia scar scare scared scarf scary
        scene scenery scent schedule scheme scholar school science scientist scissors scooter score scotland scott scout
        scratch scream screamers screen screw script sea seafood seal sean season seat seattle sebastian second secret
        secretary secrets section security seed seek seize selena self selfie sell send senior sense senseless sensitive
        sentence seoul separate sequel sergio serial series serious sermon servant serve service session seth settle
        seven seventies severe sewing sex shade shadow shadows shake shallow shame shampoo shane shanghai shannon shape
        share shark sharks sharon sharp shave shed sheep sheet sheila shelf shell shelter sheriff shield shift shine
        shining ship shirley shirt shiver shock shocking shoe shoes shoot shooter shooting shop shopping shore shoulder
        shout shovel show shower shrimp shrink shut shuttle shy siberia sicily sick side sidney siege sigh sight sign
        signal silence silent silk silly silver simon sin sing singapore singer single sink sir siren sirens sis sit
        sitcom site situation six sixties size skate skateboard skeleton sketch ski skill skin skinny skull sky slam
        slang slap slasher slave sleep sleeper sleepers sleepless sleepover sleepy sleeve slice slide slim slip slipper
        sliver slope slow slug smart smartphone smash smell smile smoke smoking smooth snack snail snake snakes sneak
        sneaker sneaky sneeze sniper snob snow snowman snowy soap sober soccer social society sock sofa sofia soft soil
        solar soldier soldiers sole solid solo solution solve song sonia sophia sophie soul soulmate sound soup sour
        source south southern space spaceship spaghetti spain spare spark speak special specialist species specific
        specter speech speechless speed spell spellbound spencer spend sphere spice spicy spider spike spin spine spirit
        spit splash spoil spoiled spoiler sponge spooky spoon sport sports spot spouse spray spread spring sprung spy
        squad square squeeze squirrel stab stable stadium staff stage stain stair stake stalker stamp stan standard
        stanley stapler star stare stars state statement station statue stay steady steak steal steam steel steep steer
        stella stem step stephanie stephen stepmother stereo steve steven stick sticky stiff sting stink stir stock
        stockholm stolen stomach stone stones stool storage store storm stormy story stove straight strange stranger
        strangers strategy straw strawberry stream street streets strength stress stretch strict strike string strip
        stripes stroke stroll strong structure struggle stuart stubborn stuck student students studio study stumble
        stunning stunt stupid stupids sub subject submarine substance substitute suburb subway success sudden sue suffer
        sugar suicide suitcase suite sum summer summit sun sunburn sundae sunglasses sunny sunrise sunset sunshine super
        superhero supply support supreme surf surface surfing surgeon surgery surprise surrender survive survivor susan
        sushi suspect suspects suspense suspicion suzanne swallow swamp swan swear sweat sweden sweet sweetheart sweetie
        swim swimming swimsuit swing swingers swiss switch switzerland sword sydney sylvia symbol sympathy syrup system
        table tablet tackle tail tailor taiwan tale talent talk talking tall tame tango tank tap tape tara target task
        tattoo taxi tea teach teacher teacup team tear tears tease ted teenage teenager teeth telephone telescope
        television temper temple tempo temptation tempting tenant tender tennessee tennis tension tent teresa term
        terminal terminator terrible terrific terror terry test texas text thailand thankful theater theatre theft
        thelma theo theory therapy theresa thick thief thieves thin thinner third thirst thirsty thirty thomas thorn
        thread threat thrill thrilling throat throne throw thumb thunder thunderstorm tibet ticket tide tidy tie tiger
        tight tim timber timothy tin tina tiny tip tipsy tire tissue title toast tobacco todd toddler toe toilet token
        tokyo tom tomato tomb tommy tone tongue tony tool tooth toothbrush top topic torch tornado toronto tortoise
        torture toss touch touching tough tour tourist toward towel tower town toxic toy toys trace track tracy trade
        tradition traffic tragedy tragic trail train trainer training traitor tramp transfer transform transport trap
        trash trauma travel traveler traveller travis treasure treat treatment treaty tree trees trek tremble trend
        trial triangle tribe trick tricks trip triumph trolley troop trophy trouble truck true trumpet trust truth tube
        tulip tumble tuna tune tunisia tunnel turbulence turkey turn turning turtle tutor tuxedo twelve twenty twilight
        twin twins twist twisted twister twitter tycoon tyler typical ugly ultimate umbrella unable uncle uncover under
        underground underneath understand underwater underworld uneasy unexpected unfair unforgettable unforgiven
        unhappy unicorn uniform union unique unit unite universe university unknown unlucky unusual upbeat upper upset
        upstairs urban urge urgent ursula useful useless usher utah vacation vacuum vague valentine valerie valid valley
        valuable value vampire vampires van vancouver vanessa vanish vanity vault vegan vegas vegetable vegetarian
        vehicle veil vein velvet venezuela vengeance venice vera vermont vernon veronica verse version vessel vet
        veteran vicky victim victims victor victoria victory video vienna vietnam view village villain vincent vine
        viola violence violent violet violin virgin virginia virtual virtue virus visa vision visit visitor visitors
        vital vivian vocal voice volcano volume vomit voodoo vote vow voyage vulture wade wage wagon waiter waitress
        wake wales walk walker walking wall wallet walter wanda wander war wardrobe warm warning warren warrior warriors
        warsaw wash washington waste watchman water waterfall wave waves wax wayne weak wealth weapon weapons wear
        weather weaver web website wedding weed weep weight weird welcome wendy wesley west western whale wheel whip
        whiskey whisky whisper whistle white whitney wicked wide widow wild wilderness willie wilson wind window windy
        wine wing wings wink winner winter wire wisconsin wisdom wise wish wit witch witches witness witty wives wizard
        wolf wolves woman women wonder wonderful wonderland wood wooden woods wool word words worker working workout
        world worlds worm worry worship worst worth wound wrap wreck wrestle wrinkle wrist write writer writing wrong
        xmas yacht yard yarn yawn yell yellow yoga yogurt young youth youtube yugoslavia yummy yvonne zach zebra zero
        zipper zoe zombie zombies zone zoo zoom zurich
        """
    )
)
