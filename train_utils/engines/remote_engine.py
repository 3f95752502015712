"""Engine whose model and constraint are in a vLLM server with the plugin; every answer is checked here.

It takes the requests of `decoding.Engine` and returns its completions, for greedy or sampled decoding token by token.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import numpy as np

from train_utils.catalog import Catalog
from train_utils.constraint.constraint import Constraint, ConstraintError, Prior, log_shares
from train_utils.constraint.item_rules import ItemRules
from train_utils.constraint.matcher import Matcher, Unconstrained
from train_utils.decoding.answer_state import DecodingState
from train_utils.decoding.completions_endpoint import CompletionsEndpoint, EndpointError, Written
from train_utils.decoding.events import Done, ItemEvent, TextDelta, answer_events
from train_utils.decoding.ranked_list import opened_list, ranked_list
from train_utils.decoding.request import Completion, Request
from train_utils.engines.grammar_request import MOST_BIASES, GrammarRequest, grammar_text
from train_utils.printable import one_line
from train_utils.prompts.messages import message
from train_utils.prompts.renderer import Chat

_AT_ONCE = 64  # requests that wait for the server at a time; it batches them
_CHECK_TOKENS = 16  # of a list of one item, without its title
_MOST_BIAS = 100.0  # vLLM's bounds of what is added to a token's logit
_MOST_RANKED = 2048  # log-probabilities of a list; scripts/vllm_serve.sh lets a server report so many
_NO_LOGPROB = -9999.0  # vLLM's minus infinity
REMEDY = "a server with the plugin and this catalog is started by scripts/vllm_serve.sh"


class RemoteEngine:
    """Engine of a server.

    Args:
        endpoint: the server.
        catalog: the catalog.
        chat: renderer with the served model's tokenizer and the catalog's titles.
        domain: name of the catalog at the server.

    Attributes:
        takes_priors: whether the server adds a prior: to items of one token, and without speculative decoding, which
            `check` finds out.
        ranks: whether the server ranks items: those of one token, by the log-probabilities of one pass of the model. It
            must report enough of them, which `check` finds out.
    """

    searches: Literal[False] = False

    def __init__(self, endpoint: CompletionsEndpoint, catalog: Catalog, chat: Chat, domain: str):
        self.takes_priors = self.ranks = chat.one_token_codes is not None
        self.endpoint, self.catalog, self.chat, self.domain = endpoint, catalog, chat, domain
        self.model = None

    def finds_titles(self, tokens: int) -> bool:
        """Return whether lists are ranked; longer titles are searched only where the model is."""
        return self.ranks

    def next_item_shares(self, histories: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the probability of each item after each history; see `decoding.next_item.next_item_shares`.

        Of a large catalog, items beyond the first `_MOST_RANKED` of a history have probability 0.
        """
        assert self.chat.trie is not None  # a served catalog has titles
        rules = Constraint(self.chat.trie)
        prompts = [self.chat.history_ids(history) for history in histories]
        with ThreadPoolExecutor(_AT_ONCE, "vllm") as threads:
            rows = list(threads.map(lambda prompt: np.exp(self._log_probabilities(prompt, rules)), prompts))
        shares = np.array(rows)
        return shares / shares.sum(1, keepdims=True)

    def generate(self, requests: Sequence[Request], reproducible: bool = False) -> list[Completion]:
        """Answer requests, many at a time; see `Engine.generate`.

        Raises:
            EndpointError: the server does not answer as wanted.
            ValueError: a request is none that the server can answer.
        """
        with ThreadPoolExecutor(_AT_ONCE, "vllm") as threads:
            return list(threads.map(self._complete, requests))

    def stream(self, request: Request, stop: threading.Event | None = None) -> Iterator[TextDelta | ItemEvent | Done]:
        """Yield the answer to one request as events; see `Engine.stream` and `generate`.

        Text with items is spelled token by token, also where whole titles are asked for.
        """
        if request.best_titles:
            if request.force_items:
                state, _ = opened_list(request, self.chat)
                yield from answer_events(self.chat, state, self._ranked(request), lambda: None)
                return
            request = replace(request, best_titles=0)
        reply = _Reply(request, self.chat)
        pieces = self.endpoint.stream(
            request.prompt, self.grammar(request), request.max_new_tokens, self._more(request)
        )

        def go_on() -> None:
            if stop is not None and stop.is_set():
                reply.answer.finish = "stopped"
                return
            piece = next(pieces, Written("", finish="an early end"))
            reply.read(piece)
            if piece.finish:
                reply.end(piece.finish)

        try:
            # How the answer begins is all that is asked of the state.
            yield from answer_events(self.chat, DecodingState(request, self.chat), reply.answer, go_on)
        finally:
            pieces.close()

    def check(self) -> None:
        """Check by a list of one item that the server has the plugin, this catalog, and the tokenizer of this model.

        Raises:
            EndpointError: it lacks one of them, or does not answer.
        """
        assert self.chat.trie is not None  # a served catalog has titles
        prompt = self.chat.render([message("user", "1 item")], prompt=True).ids
        rules = Constraint(self.chat.trie)
        tokens = max(map(len, self.chat.title_ids)) + _CHECK_TOKENS
        request = Request(prompt, rules, answer_at=len(prompt), max_new_tokens=tokens, max_items=1, force_items=True)
        written, answer = self._answered(request)
        if answer.error is not None or not answer.items:
            reason = answer.error or f"it lists no item in {tokens} tokens"
            raise EndpointError(f"{self.endpoint.url} serves another model or catalog, or applies no grammar: {reason}")
        text = "".join(written.text.split())
        expected = "".join(self.chat.tokenizer.decode(answer.ids, clean_up_tokenization_spaces=False).split())
        if not text.startswith(expected):
            raise EndpointError(
                f"{self.endpoint.url} serves another tokenizer: {one_line(written.text, 80)!r} is "
                f"{one_line(expected, 80)!r} here; name the folder of the model that it serves by `model_name`"
            )

        if self.takes_priors:
            equal = Prior(np.ones(len(self.catalog.items)))
            try:
                self._answered(replace(request, rules=Constraint(self.chat.trie, prior=equal)))
            except EndpointError:  # vLLM adds none with speculative decoding
                self.takes_priors = False
            try:
                self._log_probabilities([*prompt, self.chat.soi], rules)
            except EndpointError:
                self.ranks = False

    def grammar(self, request: Request) -> str:
        """Return the grammar of a request.

        Raises:
            ValueError: the request is not constrained, searches whole titles, or continues an answer with items.
        """
        if not request.constrained:
            raise ValueError("a server decodes under its catalog; without a constraint, decode where the model is")
        if request.best_titles:
            raise ValueError("a server spells text with items token by token; take `decoding` greedy")
        if request.answer_at is not None and self.chat.soi in request.prompt[request.answer_at :]:
            raise ValueError("a server does not continue an answer that has items already")
        if request.rules is None:
            return grammar_text(GrammarRequest(self.domain, lists_items=False))
        body = GrammarRequest(
            self.domain,
            rules_of(request.rules, self.catalog),
            request.max_items,
            request.min_items,
            request.force_items,
            request.idx and request.force_items,
        )
        return grammar_text(body)

    def _complete(self, request: Request) -> Completion:
        ranks = request.best_titles and request.force_items
        return self._ranked(request) if ranks else self._answered(request)[1]

    def _ranked(self, request: Request) -> Completion:
        """Return the most probable items at the first item of a list.

        Raises:
            ValueError: an item is more than one token, or the server reports too few log-probabilities.
        """
        if not self.ranks:
            raise ValueError(
                "a server ranks items of one token each, with --max-logprobs as scripts/vllm_serve.sh sets it; take "
                "`decoding` greedy"
            )
        state, begun = opened_list(request, self.chat)
        if state.finish or request.rules is None:
            return Completion(finish=state.finish or "end")
        scores = self._log_probabilities([*request.prompt, *begun], request.rules)
        if (prior := request.rules.prior) is not None:
            scores = scores + log_shares(replace(prior, scores=np.where(request.rules.admitted, prior.scores, 0.0)))
        order = np.argsort(-scores, kind="stable")[: int(np.isfinite(scores).sum())].tolist()
        return ranked_list(request, [(item, float(scores[item])) for item in order], self.chat)

    def _log_probabilities(self, prompt: Sequence[int], rules: Constraint) -> np.ndarray:
        """Return the log-probability of each item after a prompt that opens one, float64 [items].

        Among the admissible items, without the prior; -inf for those that are not, and for those beyond `_MOST_RANKED`.
        """
        codes = self.chat.one_token_codes
        assert codes is not None  # the caller has checked the item form
        n_items = int(rules.admitted.sum())
        grammar = grammar_text(GrammarRequest(self.domain, rules_of(rules, self.catalog), opens_item=True))
        more = {"logprobs": min(n_items, _MOST_RANKED), "return_tokens_as_token_ids": True}
        first = self.endpoint.complete(prompt, grammar, 1, more).first
        found = np.array([first.get(token, -np.inf) for token in codes.tolist()])
        found[found <= _NO_LOGPROB] = -np.inf
        if np.isfinite(found[~rules.admitted]).any() or not np.isfinite(found).any():
            raise EndpointError(f"{self.endpoint.url} ranks items that the rules exclude, or none; {REMEDY}")
        return found

    def _answered(self, request: Request) -> tuple[Written, Completion]:
        grammar, more = self.grammar(request), self._more(request)
        written = self.endpoint.complete(request.prompt, grammar, request.max_new_tokens, more)
        reply = _Reply(request, self.chat)
        reply.read(written)
        reply.end(written.finish)
        return written, reply.answer

    def _more(self, request: Request) -> dict[str, object]:
        """Return the parameters of a request, other than its prompt, grammar and length."""
        sampling = request.sampling
        more: dict[str, object] = {
            "temperature": sampling.temperature,
            "top_k": sampling.top_k or -1,
            "top_p": sampling.top_p,
            "seed": request.seed,
            # A server takes others from the model's generation_config.json.
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        if request.rules is not None and request.rules.prior is not None:
            more["logit_bias"] = self._bias(request.rules, request.rules.prior)
        return more

    def _bias(self, rules: Constraint, prior: Prior) -> dict[str, float]:
        """Return what a prior adds to the token of each item.

        A server takes so many of them: of further items, those that the prior ranks last count as equal to one another.

        Raises:
            ValueError: an item is more than one token, so that the prior depends on what may still be listed.
        """
        codes = self.chat.one_token_codes
        if codes is None:
            raise ValueError("a server adds a prior only to items of one token each; this model spells titles")
        items = np.flatnonzero(rules.admitted)
        added = log_shares(prior)[items]
        # What is added to all items changes no choice among them, and text contains none.
        floor = added.max() - _MOST_BIAS
        if len(items) > MOST_BIASES:
            best = np.argsort(-added, kind="stable")[:MOST_BIASES]
            items, added, floor = items[best], added[best], added[best[-1]]
        biases = np.clip(added - floor, -_MOST_BIAS, _MOST_BIAS)
        return dict(zip(map(str, codes[items].tolist()), biases.round(4).tolist(), strict=True))


class _Reply:
    """Reply of a server, checked token by token against the request's own constraint.

    Args:
        request: the request.
        chat: renderer of the catalog.
    """

    def __init__(self, request: Request, chat: Chat):
        assert chat.trie is not None  # a served catalog has titles
        self.answer = Completion()
        self._request, self._chat = request, chat
        # Without rules no item may be opened.
        self._matcher = Unconstrained() if request.rules is None else Matcher(request.rules)
        self._barred = set(chat.trie.barred_with_soi.tolist()) if request.rules is None else set()
        self._score = 0.0

    def read(self, piece: Written) -> None:
        """Add tokens to the answer; one that the constraint does not allow ends it with an error."""
        if self.answer.finish:
            return
        if piece.text and not piece.ids:
            raise EndpointError("the server reports no token ids, so that its answer cannot be checked")
        scores = piece.log_probabilities or (0.0,) * len(piece.ids)
        for token, score in zip(piece.ids, scores, strict=True):
            if self._matcher.free and token == self._chat.end_of_turn:
                self.end("stop")
                return
            self._add(token, score)
            if self.answer.finish:
                return

    def _add(self, token: int, score: float) -> None:
        inside = not self._matcher.free
        try:
            if token in self._barred:
                raise ConstraintError(f"token {token} opens or is an item, and the answer may have none")
            item = self._matcher.accept_token(token)
        except ConstraintError as error:
            self._refuse(f"leaves the catalog: {error}")
            return
        self.answer.ids.append(token)
        self._score += score if inside else 0.0
        if item is not None:
            self.answer.items.append(item)
            self.answer.scores.append(self._score)
            self._score = 0.0

    def _refuse(self, reason: str) -> None:
        refused = ConstraintError(f"the server's answer {reason}; {REMEDY}")
        self.answer.finish, self.answer.error = "error", refused

    def end(self, finish: str) -> None:
        """Give the answer its finish.

        Raises:
            EndpointError: the server broke the answer off.
        """
        if self.answer.finish:
            return
        request, n_items = self._request, len(self.answer.items)
        least = request.max_items if request.force_items else request.min_items
        if finish == "length":
            self.answer.finish = "length"
        elif finish != "stop":
            raise EndpointError(f"the server broke the answer off ({one_line(finish, 40)}); was it stopped?")
        elif not self._matcher.free or (request.rules is not None and n_items < least and not self._matcher.exhausted):
            self._refuse(f"ends {'after' if self._matcher.free else 'inside'} item {n_items or 1} of {least or 'some'}")
        elif 0 < request.max_items <= n_items:
            self.answer.finish = "items"
        else:
            self.answer.finish = "exhausted" if request.force_items else "end"


def rules_of(constraint: Constraint, catalog: Catalog) -> ItemRules:
    """Return item rules of a catalog that admit what a constraint admits.

    Raises:
        ValueError: the constraint limits the items of a group that is no category.
    """
    allow, deny, caps = constraint.conditions
    limits: dict[str, int] = {}
    categories = {frozenset(catalog.in_category(name)): name for name in catalog.categories} if caps else {}
    for group, limit in caps:
        if (name := categories.get(frozenset(group.tolist()))) is None or limit < 1:
            raise ValueError("a limit of the constraint is for a group of items that is no category; a server has none")
        limits[name] = min(limit, limits.get(name, limit))
    return ItemRules(
        allow=None if allow is None else tuple(catalog.ids(allow.tolist())),
        deny=tuple(catalog.ids(deny.tolist())),
        max_per_category=limits or 0,
        distinct=constraint.distinct,
    )
