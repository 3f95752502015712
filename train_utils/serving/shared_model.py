"""Use of the model through a scheduler, by one request."""

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from train_utils.constraint.constraint import Prior
from train_utils.decoding.events import Done, TextDelta
from train_utils.decoding.request import Request
from train_utils.dialogue.expectations import Expectations, Taste
from train_utils.recommender import Recommendation, Recommender
from train_utils.serving.exchange import NO_TEACHER
from train_utils.serving.remote_scheduler import AnyScheduler

T = TypeVar("T")


class Shared:
    """Use of the model through a scheduler, by one request.

    Attributes:
        prompt_tokens: tokens of the prompt; 0 until the model is asked.
        completion_tokens: tokens of the answer.
        admissible: number of items that may be listed.
    """

    def __init__(self, scheduler: AnyScheduler):
        self._scheduler = scheduler
        self.admissible = 0
        self.prompt_tokens = self.completion_tokens = 0

    def call(self, function: Callable[[], T]) -> T:
        return self._scheduler.call(function)

    def prior(self, expectations: Expectations, taste: Taste) -> Prior | None:
        prior = self._scheduler.call_together(("prior", id(expectations)), expectations.priors, taste)
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
