"""Request for a constrained reply, as the text of a grammar: `reclm:{"domain": "movies", "rules": {...}}`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeGuard

from train_utils.characters import shown
from train_utils.constraint.item_rules import ItemRules, item_rules
from train_utils.files.json_files import strict_json

PREFIX = "reclm:"
MAX_LENGTH = 1_000_000  # characters of a grammar; 10,000 ids of consumed items take about a tenth
MAX_ITEMS = 1000  # of a reply
MOST_BIASES = 1024  # tokens of `logit_bias`; more would end an engine that has vLLM's second model runner


@dataclass(frozen=True)
class GrammarRequest:
    """What a reply may hold.

    Attributes:
        domain: name of the catalog.
        rules: the admissible items.
        max_items: number of items after which the reply ends; 0 for no limit.
        min_items: number of items before which the reply may not end, unless all admissible items are listed.
        force_items: whether the reply is only a list of `max_items` items.
        idx: whether such a list is numbered.
        lists_items: whether the reply may list items; False allows text alone.
        opens_item: whether the reply begins inside an item, as the prompt ends with `<SOI>`, or with a bare history of
            codes. The log-probabilities of its first token rank the items of one token each.

    Raises:
        ValueError: a field has the wrong type, or a number is out of its range.
    """

    domain: str
    rules: ItemRules = field(default_factory=ItemRules)
    max_items: int = 0
    min_items: int = 0
    force_items: bool = False
    idx: bool = False
    lists_items: bool = True
    opens_item: bool = False

    def __post_init__(self):
        _require(isinstance(self.domain, str) and bool(self.domain), "domain", self.domain, "the name of a catalog")
        for name in ("max_items", "min_items"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            _require(whole and 0 <= value <= MAX_ITEMS, name, value, f"a whole number from 0 to {MAX_ITEMS}")
        for name in ("force_items", "idx", "lists_items", "opens_item"):
            _require(isinstance(getattr(self, name), bool), name, getattr(self, name), "true or false")
        if 0 < self.max_items < self.min_items:
            raise ValueError(f"grammar: min_items is {self.min_items}, more than max_items, {self.max_items}")
        if not self.lists_items and (self.max_items or self.min_items):
            raise ValueError("grammar: lists_items is false, and a number of items is given")
        if self.opens_item and (self.force_items or not self.lists_items):
            raise ValueError("grammar: opens_item is true; a reply of force_items or without items begins otherwise")
        if self.force_items and not self.max_items:
            raise ValueError("grammar: force_items is true without max_items; give the length of the list")
        if self.idx and not self.force_items:
            raise ValueError("grammar: idx numbers a list of force_items, which is false")


def is_grammar(text: str | None) -> TypeGuard[str]:
    """Return whether a grammar is one of this project, well-formed or not."""
    return text is not None and text.lstrip().startswith(PREFIX)


def parse_grammar(text: str) -> GrammarRequest:
    """Return the request in the text of a grammar, which is fully validated.

    Raises:
        ValueError: the text is longer than `MAX_LENGTH`, is no strict JSON object after the prefix, or has an unknown
            key or a wrong value.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"grammar: it has {len(text):,} characters, wanted up to {MAX_LENGTH:,}")
    if not text.startswith(PREFIX):
        raise ValueError(f"grammar: it starts with {shown(text[:20])}, wanted {PREFIX}{{...}}")
    try:
        body = strict_json(text[len(PREFIX) :])
    except ValueError as error:
        raise ValueError(f"grammar: after {PREFIX!r} there is no JSON object ({error})") from None
    known = [f.name for f in fields(GrammarRequest)]
    if not isinstance(body, Mapping):
        raise ValueError(f"grammar: after {PREFIX!r} there is {shown(body)}, wanted an object")
    for key in body:
        _require(key in known, "a key", key, f"one of {', '.join(known)}")
    _require("domain" in body, "domain", None, "the name of a catalog")
    values: dict[str, Any] = dict(body)
    if "rules" in values:
        values["rules"] = item_rules(values["rules"])
    return GrammarRequest(**values)


def grammar_text(request: GrammarRequest) -> str:
    """Return the text of a grammar that `parse_grammar` reads; fields with their defaults are left out."""
    default = GrammarRequest(request.domain)
    body = {f.name: value for f in fields(request) if (value := getattr(request, f.name)) != getattr(default, f.name)}
    if "rules" in body:
        body["rules"] = json.loads(rules_text(request.rules))
    return PREFIX + json.dumps({"domain": request.domain} | body, ensure_ascii=False, allow_nan=False)


def rules_text(rules: ItemRules) -> str:
    """Return item rules as JSON, without fields that have their defaults."""
    default = ItemRules()
    given = {f.name: value for f in fields(rules) if (value := getattr(rules, f.name)) != getattr(default, f.name)}
    return json.dumps(given, ensure_ascii=False, allow_nan=False, default=dict)


def _require(holds: bool, what: str, got: object, wanted: str) -> None:
    if not holds:
        raise ValueError(f"grammar: {what} is {shown(got)}, wanted {wanted}")
