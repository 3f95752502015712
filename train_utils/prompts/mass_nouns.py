"""Words of everyday English that need no article in the singular: substances, ideas, days, names for people."""

MASS_NOUNS = frozenset(
    str.split(
        """
        action advice affection aggression ambition anger anxiety art asia babe baby baseball basketball beauty beer
        blood boredom boxing bravery business cash chaos christmas class cocaine coffee comedy comfort company
        confidence contact content corruption courage crime cruelty curiosity dance danger darkness darling death debt
        desire despair destiny dinner dirt discipline drama dust easter education electricity energy entertainment envy
        equality evil excitement exercise faith fame family fantasy fashion fate fear fiction fire flesh food football
        freedom friday friendship fun gas glory gold golf gossip grace gravity grease greed grief growth guilt halloween
        happiness harmony hate hatred health heat heaven heavy hell help history hockey home homework honesty honey
        honor honour hope horror humanity humor humour hunger ice imagination information innocence insanity inspiration
        instinct intelligence intimacy irony jazz jealousy joy justice kindness knowledge labor labour laughter law
        leather liberty lies life light lightning loneliness love luck lunch lust luxury madness magic malice marriage
        matter meat medicine memory mercy midnight milk misery monday money morning motion murder music nature news
        night noise nonsense nostalgia oil opera order oxygen pain paradise passion patience peace perfection phenomenon
        pizza play pleasure poetry poison police politics poverty power practice pressure pride prison progress proof
        quality rage rain rape reality red religion research respect revenge romance rubbish sadness safety sand sanity
        saturday school science sex shame shopping silence sin sleep snow soccer society solitude sorrow space speed
        spirit sport spring stealth steel strength stress stuff style success sugar suicide summer sunday sunshine
        suspense talent taste tea television tennis tension terror thought thunder thursday time toast tolerance torture
        touch traffic tragedy treason trouble trust truth tuesday unity universe up vanity vengeance victory vietnam
        violence virtue war water wealth weather wednesday weed wine winter wisdom wonder wood work youth zeal
        """
    )
)
