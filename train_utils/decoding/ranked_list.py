"""A ranking of items, written as a list."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.request import Completion, Request
from train_utils.prompts.renderer import Chat


def opened_list(request: Request, chat: Chat) -> tuple[DecodingState, list[int]]:
    """Return the state of a list at its first item, and the tokens before that item, `<SOI>` included.

    The state has a finish, and there are no tokens, where no item is admissible.
    """
    state = DecodingState(replace(request, force_items=True, best_titles=1, max_new_tokens=sys.maxsize), chat)
    return state, state.begin()


def ranked_list(request: Request, ranking: Sequence[tuple[int, float]], chat: Chat) -> Completion:
    """Return a ranking written as a list; it has no finish where the ranking ends before the list does.

    Args:
        request: a request with `max_items`.
        ranking: (item, log-probability) of admissible items at the first item of the list, best first.
        chat: renderer of the catalog.
    """
    state, ids = opened_list(request, chat)
    if ranking and not state.finish:
        state.ranking = tuple(ranking)
        ids += state.write_title()
    items = state.take_items()
    if not state.finish:  # the next item is open
        ids = ids[: len(ids) - ids[::-1].index(chat.eoi)] if items else []
    scores = [score for _, score, _ in items if score is not None]
    return Completion(ids, [item for item, _, _ in items], scores, finish=state.finish)
