"""A request's conversation as a dialogue that has read all of its messages but the last."""

from collections.abc import Callable
from dataclasses import replace

from train_utils.constraint.constraint import ConstraintError
from train_utils.constraint.item_rules import item_rules
from train_utils.dialogue.dialogue import Dialogue, Listing, admitted_by
from train_utils.prompts.messages import ItemPart
from train_utils.prompts.templates import SYSTEM
from train_utils.recommender import DECODING
from train_utils.serving.domains import Domain
from train_utils.serving.exchange import ChatRequest, RequestError, ServiceLimits, check_size
from train_utils.serving.impressions import rules_digest
from train_utils.serving.listed_titles import listed_parts
from train_utils.serving.saved_preferences import restored
from train_utils.serving.turns import Turns, turns_of


def dialogue_of(
    request: ChatRequest, domain: Domain, limits: ServiceLimits, max_context: int, check_wanted: Callable[[], None]
) -> tuple[Dialogue, str]:
    """Return the conversation before its last message, and that message.

    Args:
        request: the request, with its decoding.
        domain: the domain of the conversation.
        limits: limits of requests.
        max_context: tokens of prompt and answer at most; 0 for no limit but the model's.
        check_wanted: raises where the answer is not wanted any more; called before each message is read.

    Raises:
        RequestError: the request cannot be answered.
    """
    turns = turns_of(request.messages, limits)
    _check_numbers(request, domain, limits, max_context)
    try:
        dialogue = _empty_dialogue(request, domain, turns, max_context)
        titles = domain.catalog.title_index if domain.catalog else {}
        before = (part.item for part in listed_parts(turns.begun, titles) if isinstance(part, ItemPart))
        dialogue.preferences = dialogue.preferences.listing(before)
        for said, answer in turns.exchanges:
            check_wanted()
            dialogue.recall(said, listed_parts(answer, titles))
        if request.preferences is not None:
            asked = restored(request.preferences, domain.catalog)
            dialogue.preferences = asked.listing(dialogue.preferences.listed)
            dialogue.last = Listing(dialogue.last.items, dialogue.taste, asked)
    except (ConstraintError, ValueError) as error:
        raise RequestError(str(error)) from None
    return dialogue, turns.text


def digest_of_rules(request: ChatRequest, dialogue: Dialogue) -> str:
    """Return a digest of what a request and its conversation ask of a list, whatever was consumed or listed before."""
    catalog = dialogue.recommender.catalog
    own = item_rules(request.rules)
    if catalog is None:
        return rules_digest(own)
    return rules_digest(own, replace(dialogue.preferences.rules(catalog), allow=None, deny=(), seen=()))


def _check_numbers(request: ChatRequest, domain: Domain, limits: ServiceLimits, max_context: int) -> None:
    check_size("k", request.k, limits.items)
    limits.check_history(request.history)
    if request.history and domain.catalog is None:
        raise RequestError("a history needs a domain")
    if request.decoding not in DECODING:
        raise RequestError(f"decoding is {request.decoding[:80]!r}, wanted one of {', '.join(DECODING)}")
    context = min(filter(None, (domain.recommender.context, max_context)), default=0)
    if request.max_new_tokens < 1 or context and request.max_new_tokens >= context:
        raise RequestError(
            f"max_tokens is {str(request.max_new_tokens)[:80]}, wanted 1 to {context - 1 if context else 'any number'}"
        )


def _empty_dialogue(request: ChatRequest, domain: Domain, turns: Turns, max_context: int) -> Dialogue:
    rules = item_rules(request.rules)
    dialogue = Dialogue(
        domain.recommender,
        domain.reader,
        max_new_tokens=request.max_new_tokens,
        cuts_lists=request.cuts_lists,
        max_context=max_context,
        decoding=request.decoding,
        distinct=rules.distinct,
        system=f"{SYSTEM}\n{turns.system}" if turns.system else SYSTEM,
        list_length=request.k,
        admitted=admitted_by(domain.recommender, rules),
        max_per_category=rules.max_per_category,
    )
    if domain.catalog is not None:
        dialogue.profile = tuple(dict.fromkeys(domain.recommender.indices(request.history)))
    return dialogue
