"""A catalog of eight films with kinds, years and twelve users, for tests of conversations."""

from train_utils.catalog import Item, make_catalog

NAMES = ["Alien", "Aliens", "Blade Runner", "Toy Story", "Lion King, The", "Aladdin", "Heat", "Casino"]
KINDS = ["Horror", "Horror", "Sci-Fi", "Children's", "Children's", "Children's", "Crime", "Crime"]
YEARS = [1979, 1986, 1982, 1995, 1994, 1992, 1995, 1995]
GROUPS = (["0", "1", "2"], ["3", "4", "5"], ["6", "7", "6"])


def catalog():
    items = [
        Item(str(i), name, (kind,), attributes={"year": year})
        for i, (name, kind, year) in enumerate(zip(NAMES, KINDS, YEARS, strict=True))
    ]
    sequences = {f"u{n}": [*GROUPS[n % 3], str(n % 8), "7"] for n in range(12)}
    return make_catalog("films", items, sequences)
