"""Catalogs that an inference server offers, loaded at its start from folders that the operator names."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from train_utils.catalog import Catalog, load_catalog
from train_utils.characters import shown
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.item_rules import compile_rules, item_rules
from train_utils.engines.drafter import BranchChoices, ReplyDrafter
from train_utils.engines.grammar_request import GrammarRequest, parse_grammar, rules_text
from train_utils.engines.tree_grammar import ReplyForm, TextRows, TreeGrammar
from train_utils.files.json_files import read_json, strict_json
from train_utils.item_codes import check_item_codes, codes_for
from train_utils.prompts.messages import separator
from train_utils.prompts.renderer import Chat

CATALOGS, REQUIRE, TRIE_CACHE = "RECLM_CATALOGS", "RECLM_REQUIRE_CATALOG", "RECLM_TRIE_CACHE"
_CHECKED = 1000  # titles whose tokens are decoded and encoded again
_KEPT = 32  # compiled constraints of a domain, which take up to 9 bytes per item, and sets of stop tokens


@dataclass(frozen=True)
class Settings:
    """Settings of the operator, in the environment because an engine's processes inherit it.

    Attributes:
        folders: domain -> dataset folder.
        require: whether a request without a catalog is refused.
        trie_cache: folder that keeps tries between runs; "" for none.
    """

    folders: Mapping[str, Path]
    require: bool = False
    trie_cache: str = ""


def settings_of(environment: Mapping[str, str] = os.environ) -> Settings | None:
    """Return the settings in the environment; None if it names no catalogs.

    Raises:
        ValueError: a variable is malformed, or a folder does not exist.
    """
    text = environment.get(CATALOGS, "").strip()
    require = environment.get(REQUIRE, "0").strip()
    if require not in ("0", "1"):
        raise ValueError(f"{REQUIRE} is {shown(require)}, wanted 0 or 1")
    if not text:
        if require == "1":
            raise ValueError(f'{REQUIRE} is 1 and {CATALOGS} names no catalog; wanted {{"NAME": "DATASET FOLDER"}}')
        return None
    try:
        folders = strict_json(text)
    except ValueError as error:
        raise ValueError(f'{CATALOGS} is no JSON ({error}), wanted {{"NAME": "DATASET FOLDER"}}') from None
    if not isinstance(folders, dict) or not folders or not all(isinstance(f, str) and f for f in folders.values()):
        raise ValueError(f'{CATALOGS} is {shown(text)}, wanted {{"NAME": "DATASET FOLDER"}}')
    if missing := next((f for f in folders.values() if not Path(f).is_dir()), None):
        raise ValueError(f"{CATALOGS} names the folder {missing!r}, which does not exist")
    paths = {name: Path(folder) for name, folder in folders.items()}
    return Settings(paths, require == "1", environment.get(TRIE_CACHE, ""))


class Domain:
    """Catalog with its titles as tokens, and the grammars of replies in it.

    Args:
        catalog: the items.
        chat: renderer of its titles by the tokenizer of the served model.
        vocabulary: number of tokens of the served model.

    Raises:
        ValueError: the model has no rows for tokens of the titles, or they do not survive the tokenizer.
    """

    def __init__(self, catalog: Catalog, chat: Chat, vocabulary: int):
        assert chat.trie is not None  # a catalog has titles
        self.catalog, self.chat, self.vocabulary = catalog, chat, vocabulary
        self.trie = chat.trie
        self.choices = BranchChoices()
        self._check_tokens()
        # Requests mostly repeat the rules of others, and the stop tokens of the model.
        self._constraint = lru_cache(_KEPT)(self._compiled)
        self._rows = lru_cache(_KEPT)(lambda stops: TextRows(self.trie, vocabulary, stops))

    def grammar(self, request: GrammarRequest, stop_tokens: Collection[int]) -> TreeGrammar:
        """Return the grammar of a reply.

        Args:
            request: what the reply may hold.
            stop_tokens: tokens that end a reply.

        Raises:
            ValueError: the catalog lacks what the rules name, they admit no item, or an item has a stop token.
        """
        constraint = self._constraint(rules_text(request.rules))
        return TreeGrammar(constraint, self._rows(frozenset(stop_tokens)), self._form(request))

    def _compiled(self, rules: str) -> Constraint:
        return compile_rules(self.catalog, self.trie, item_rules(json.loads(rules)))

    def _form(self, request: GrammarRequest) -> ReplyForm:
        if not request.force_items:
            return ReplyForm(
                request.max_items, request.min_items, lists_items=request.lists_items, opens_item=request.opens_item
            )
        texts = [separator(rank, request.idx) for rank in range(1, request.max_items + 1)]
        return ReplyForm(request.max_items, request.min_items, tuple(tuple(self.chat.encode(text)) for text in texts))

    def _check_tokens(self) -> None:
        if (most := max(int(self.trie.tokens.max()), self.chat.soi, self.chat.end_of_turn)) >= self.vocabulary:
            raise ValueError(
                f"token {most} of catalog {self.catalog.name!r} is outside the model's vocabulary of "
                f"{self.vocabulary}; the tokenizer is of another model"
            )
        if self.chat.codes is not None:
            return  # the tokens are in the vocabulary by their names
        for item in range(min(_CHECKED, len(self.catalog.items))):
            ids = self.chat.title_ids[item]
            if self.chat.encode(self.chat.decode(ids)) != list(ids):
                raise ValueError(
                    f"title {shown(self.catalog.titles[item])} is {list(ids)[:9]}, which the tokenizer reads as "
                    f"{shown(self.chat.decode(ids))} and encodes otherwise; serve the tokenizer of the trained model"
                )


class Domains:
    """The catalogs of a server, by name.

    Args:
        domains: name -> domain.
        require: whether a request without a catalog is refused.
    """

    def __init__(self, domains: Mapping[str, Domain], require: bool = False):
        self.domains, self.require = domains, require

    def grammar(self, text: str, stop_tokens: Collection[int]) -> TreeGrammar:
        """Return the grammar that a request asks for; see `parse_grammar` and `Domain.grammar`.

        Raises:
            ValueError: the request is malformed, or names an unknown domain; see also `Domain.grammar`.
        """
        return self.with_drafter(text, stop_tokens)[0]

    def with_drafter(self, text: str, stop_tokens: Collection[int]) -> tuple[TreeGrammar, ReplyDrafter]:
        """Return the grammar that a request asks for, with its drafter; see `grammar`."""
        request = parse_grammar(text)
        if (domain := self.domains.get(request.domain)) is None:
            raise ValueError(
                f"grammar: domain is {shown(request.domain)}, wanted one of {', '.join(map(repr, self.domains))}"
            )
        grammar = domain.grammar(request, stop_tokens)
        return grammar, ReplyDrafter(grammar, domain.chat, domain.choices)

    @property
    def end_of_turn(self) -> int:
        """Id of the token that ends a reply."""
        return next(iter(self.domains.values())).chat.end_of_turn


def load_domains(settings: Settings, tokenizer: Any, model: str, vocabulary: int) -> Domains:
    """Load the catalogs of a server.

    Args:
        settings: folders of the catalogs.
        tokenizer: tokenizer of the served model.
        model: folder of the served model.
        vocabulary: number of tokens of the served model.

    Raises:
        ValueError: the model is no local folder of a model with control tokens, or a catalog is broken or does not fit.
    """
    folder = Path(model)
    if not folder.is_dir():
        raise ValueError(f"the model {model!r} is no local folder; download it, so that its item codes can be read")
    config = read_json(folder / "config.json")
    check_item_codes(config.get("item_form") if isinstance(config, dict) else None, model)
    domains = {}
    for name, path in settings.folders.items():
        catalog = load_catalog(path)
        chat = Chat(tokenizer, catalog.titles, settings.trie_cache, *codes_for(model, catalog))
        domains[name] = Domain(catalog, chat, vocabulary)
    return Domains(domains, settings.require)
