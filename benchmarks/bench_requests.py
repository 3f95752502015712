"""How long a message of a chat is read: `python benchmarks/bench_requests.py`. The last line of the output is JSON."""

import json
import random
import time

from train_utils.catalog import Item, make_catalog
from train_utils.conversation.reader import READ, RequestReader
from train_utils.prompts.named_titles import NamedTitles

ITEMS, REPEATS = 20_000, 5
SYLLABLES = [consonant + vowel for consonant in ("st", "br", *"bcdfghjlmnprstvw") for vowel in "aeiou"]
CATEGORIES = ["Action", "Comedy", "Drama", "Horror", "Romance", "Western"]


def make_titles(rng: random.Random) -> list[str]:
    """Return distinct titles of one to five words."""
    words = sorted({"".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))).capitalize() for _ in range(6000)})
    titles: dict[str, None] = {}
    while len(titles) < ITEMS:
        titles[" ".join(rng.choices(words, k=rng.choice((1, 2, 2, 3, 3, 4, 5))))] = None
    return list(titles)


def messages(titles: list[str], rng: random.Random) -> dict[str, str]:
    """Return name -> a message of `READ` characters."""
    some = rng.sample(titles, 200)
    pieces = {
        "requests": f"I loved {some[0]} and {some[1][:-1]}, not {some[2]}. Give me 5 comedies like Foobar Returns from "
        "the nineties, no horror, rated above 8, and my kids hate romantic dramas. ",
        "titles": ", ".join(some) + ", ",
        "misspelled titles": ", ".join(title[:3] + title[4:] for title in some) + ", ",
        "prose": "something like the thing we saw last week, and then i watched it again with my brother. ",
        "capitals": "Loved The Great Big Foo Bar And Some Other Very Long Name That Nobody Knows ",
        "years": "1990 to ",
        "quotations": "'a ",
    }
    return {name: (piece * READ)[:READ] for name, piece in pieces.items()}


def main() -> None:
    rng = random.Random(0)
    titles = make_titles(rng)
    items = [
        Item(str(i), title, (CATEGORIES[i % 6],), attributes={"year": 1950 + i % 50, "rating": i % 10, "price": i % 90})
        for i, title in enumerate(titles)
    ]
    catalog = make_catalog("bench", items, {"u": ["0", "1", "2"]})
    begin = time.perf_counter()
    reader = RequestReader(catalog, NamedTitles(titles))
    reader.read("films like Foobar Returns")
    result = {"items": ITEMS, "characters": READ, "set-up s": round(time.perf_counter() - begin, 2)}
    for name, text in messages(titles, rng).items():
        seconds = []
        for _ in range(REPEATS):
            begin = time.perf_counter()
            reader.read(text)
            seconds.append(time.perf_counter() - begin)
        result[f"{name} ms"] = round(1000 * min(seconds), 1)
    for name, value in result.items():
        print(f"{name:22}{value:9}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
