"""Use of the model through a scheduler, by one request."""

import threading
from collections.abc import Iterator, Sequence
from functools import partial

from train_utils.constraint.constraint import Prior
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.dialogue.reasons import Moved, items_read, moved_each
from train_utils.recommender import CHAT_HISTORY, Recommendation, Recommender
from train_utils.serving.exchange import NO_TEACHER
from train_utils.serving.remote_scheduler import AnyScheduler


class Shared:
    """Use of the model through a scheduler, by one request.

    Args:
        scheduler: runs the model.
        stop: set when the request is not wanted any more; None for a request that stays so.

    Attributes:
        prompt_tokens: tokens of the prompt; 0 until the model is asked.
        completion_tokens: tokens of the answer.
        admissible: number of items that may be listed.
    """

    def __init__(self, scheduler: AnyScheduler, stop: threading.Event | None = None):
        self._scheduler, self._stop = scheduler, stop
        self.admissible = 0
        self.prompt_tokens = self.completion_tokens = 0

    def moved(self, expectations: Expectations, taste: Taste, items: Sequence[int]) -> dict[int, Moved]:
        key, weight = ("moved", id(expectations)), items_read(taste)
        return self._scheduler.call_together(key, partial(moved_each, expectations), (taste, items), weight, self._stop)

    def prior(self, expectations: Expectations, taste: Taste) -> Prior | None:
        key, weight = ("prior", id(expectations)), min(len(taste.history), CHAT_HISTORY)
        prior = self._scheduler.call_together(key, expectations.priors, taste, weight, self._stop)
        if expectations.take_problem():  # the log has it; see `CircuitBreaker`
            expectations.problem = NO_TEACHER  # for the user
        return prior

    def events(
        self, recommender: Recommender, request: Request, stop: threading.Event
    ) -> Iterator[TextDelta | Recommendation | Done]:
        self.prompt_tokens = len(request.prompt)
        self.admissible = int(request.rules.admitted.sum()) if request.rules else 0
        for event in recommender.events(request, stop, self._scheduler.events):
            if isinstance(event, Done):
                self.completion_tokens = event.tokens
            yield event
