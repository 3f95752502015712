"""Alignment samples: which item has a title, and what an item is called, in words and in codes."""

import random

from train_utils.catalog import Catalog
from train_utils.prompts.messages import ItemPart, Message, TitlePart, message, numbered
from train_utils.prompts.templates import CATEGORIES_OF_ITEM, ITEM_OF_TITLE, SYSTEM, TITLE_OF_ITEM, fill
from train_utils.samples.plan import SamplePlan


def alignment_messages(plan: SamplePlan, catalog: Catalog, idx: bool) -> tuple[Message, ...]:
    """Return a conversation that maps the target's title to the item, or the item to its title or its categories.

    Similar tasks align codes with language in LC-Rec (arXiv 2311.09049).

    Args:
        plan: the sample plan.
        catalog: the catalog of the plan.
        idx: whether lists are numbered; an answer of one item has the form of a list.
    """
    item = catalog.items[plan.target]
    directions = (ITEM_OF_TITLE, TITLE_OF_ITEM, *([CATEGORIES_OF_ITEM] if item.categories else []))
    rng = random.Random(f"{plan.draw}/alignment")
    wordings = rng.choice(directions)
    request = fill(rng.choice(wordings), title=[TitlePart(plan.target)], item=[ItemPart(plan.target)])
    if wordings is ITEM_OF_TITLE:
        answer = numbered([plan.target], idx)
    else:
        answer = (item.title if wordings is TITLE_OF_ITEM else ", ".join(item.categories),)
    return message("system", SYSTEM), message("user", *request), message("assistant", *answer)
