"""Guesses at what a row will write next. They decide how fast an answer comes, never what it says."""

from collections.abc import Iterator, Sequence

from train_utils.decoding.answer_state import DecodingState

LIKELY_ENOUGH = 0.5  # a draft ends where less than this chance is left that all of it is right
_LATEST = 0.05  # weight of the newest outcome in a source's rate


class Drafter:
    """Sources of guesses, and how often each has been right of late.

    - separator: what stands between two items of a list.
    - expected: the way to the best item of the request's ranking (a teacher's, or its prior's) that is left.
    - own, others: the likeliest child that is left, by what the model thought when the same row, or any other, last
      stood at the same branch of the tree. A list's second item is often the runner-up of its first.
    """

    def __init__(self):
        self._rates: dict[str, float] = {}
        self._ranked: dict[int, Sequence[int]] = {}  # branch -> tokens, likeliest first

    def propose(self, state: DecodingState, own: dict[int, Sequence[int]]) -> tuple[int, float] | None:
        """The guess of the source that is right most often, and that rate; None where no source has one."""
        found = [(self._rates.get(source, 0.5), token) for source, token in self._guesses(state, own)]
        if not found:
            return None
        rate, token = max(found, key=lambda pair: pair[0])
        return token, rate

    def observe(self, state: DecodingState, own: dict[int, Sequence[int]], token: int) -> None:
        """Learns from what was picked at a place, whether it had been drafted or not."""
        for source, guess in self._guesses(state, own):
            rate = self._rates.get(source, 0.5)
            self._rates[source] = rate + _LATEST * ((guess == token) - rate)

    def store(self, branch: int, ranked: Sequence[int], own: dict[int, Sequence[int]]) -> None:
        """Keeps what the model thought of the children of a branch."""
        self._ranked[branch] = own[branch] = ranked

    def _guesses(self, state: DecodingState, own: dict[int, Sequence[int]]) -> Iterator[tuple[str, int]]:
        matcher = state.matcher
        if matcher is None or matcher.free:
            if (token := state.expected_text()) is not None:
                yield "separator", token
            return
        if (token := state.expected_title()) is not None:
            yield "expected", token
        if (branch := matcher.branch) is None:
            return
        for source, ranked in (("own", own.get(branch)), ("others", self._ranked.get(branch))):
            if ranked is not None and (token := next(filter(matcher.offers_token, ranked), None)) is not None:
                yield source, token
