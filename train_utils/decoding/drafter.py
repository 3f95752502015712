"""Drafts of the tokens that a sequence will write next. They affect the speed of an answer, never its content."""

from collections.abc import Iterator, Sequence

from train_utils.decoding.answer_state import DecodingState

LIKELY_ENOUGH = 0.5  # a draft ends when the probability that all of it is right falls below this value
_LATEST = 0.05  # weight of the newest outcome in a source's acceptance rate


class Drafter:
    """Sources of drafted tokens, with the recent acceptance rate of each.

    - separator: the text between two items of a list.
    - expected: the title of the best admissible item that the request expects (a teacher's ranking, or its prior's).
    - own, others: the most probable admissible child, by the ranking of the model when the same sequence, or any
      other, was last at this branch of the trie. The second item of a list is often the runner-up of the first.
    """

    def __init__(self):
        self._rates: dict[str, float] = {}
        self._ranked: dict[int, Sequence[int]] = {}  # branch -> tokens, most probable first

    def propose(self, state: DecodingState, own: dict[int, Sequence[int]]) -> tuple[int, float] | None:
        """Return the drafted token of the source with the highest acceptance rate, and the rate.

        Args:
            state: state of the answer.
            own: branch -> tokens by the model's latest ranking in this sequence, most probable first.

        Returns:
            (token, acceptance rate); None if no source proposes a token.
        """
        drafts = [(self._rates.get(source, 0.5), token) for source, token in self._guesses(state, own)]
        if not drafts:
            return None
        rate, token = max(drafts, key=lambda pair: pair[0])
        return token, rate

    def observe(self, state: DecodingState, own: dict[int, Sequence[int]], token: int) -> None:
        """Update the acceptance rates with a sampled token, drafted or not.

        Args:
            state: state of the answer before the token.
            own: branch -> tokens by the model's latest ranking in this sequence, most probable first.
            token: the sampled token.
        """
        for source, guess in self._guesses(state, own):
            rate = self._rates.get(source, 0.5)
            self._rates[source] = rate + _LATEST * ((guess == token) - rate)

    def store(self, branch: int, ranked: Sequence[int], own: dict[int, Sequence[int]]) -> None:
        """Store the model's ranking of the children of a branch, for this sequence and for all others.

        Args:
            branch: branch of the trie.
            ranked: tokens, most probable first.
            own: rankings of this sequence, updated in place.
        """
        self._ranked[branch] = own[branch] = ranked

    def _guesses(self, state: DecodingState, own: dict[int, Sequence[int]]) -> Iterator[tuple[str, int]]:
        matcher = state.matcher
        if matcher.free:
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
