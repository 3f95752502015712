"""Slow oracle of `TreeGrammar`, which reads the whole reply again at every question, and random walks against it.

    PYTHONPATH=. python tests/engines/grammar_oracle.py 1000000

takes that many steps through random catalogs and prints the number of wrong answers.
"""

import random
import sys
from dataclasses import replace

import numpy as np

from train_utils.constraint.constraint import Constraint
from train_utils.constraint.trie import build_trie
from train_utils.engines.tree_grammar import ReplyForm, TextRows, TreeGrammar


class GrammarOracle:
    """Allowed tokens of a reply, from sets of titles that are filtered one by one.

    Args:
        world: titles, control tokens, rules, form, vocabulary and stop tokens, as `random_world` draws them.
    """

    def __init__(self, world):
        self.world = world

    def items(self, listed):
        """Return the items that may be listed after others."""
        titles, rules = self.world["titles"], self.world["rules"]
        full = [items for items, limit in rules["caps"] if sum(i in items for i in listed) >= limit]
        return [
            i
            for i in range(len(titles))
            if i not in rules["deny"]
            and (rules["allow"] is None or i in rules["allow"])
            and not any(i in items for items in full)
            and not (rules["distinct"] and titles[i] in [titles[j] for j in listed])
        ]

    def allowed(self, reply):
        """Return the tokens that may follow the tokens of a reply, a set."""
        world, form = self.world, self.world["form"]
        titles, soi, eoi = world["titles"], world["soi"], world["eoi"]
        listed, title, text = [], [] if form.opens_item else None, []
        for token in reply:
            if title is not None and token == eoi:
                listed.append(next(i for i in self.items(listed) if titles[i] == title))
                title, text = None, []
            elif title is not None:
                title.append(token)
            elif token in world["stops"] and not self.owed(listed, text):
                return set()
            elif token == soi:
                title = []
            else:
                text.append(token)
        left = self.items(listed) if form.lists_items else []
        if title is not None:
            n = len(title)
            return {(titles[i] + [eoi])[n] for i in left if titles[i][:n] == title}
        if owed := self.owed(listed, text):
            return {owed[0]}
        if form.max_items and len(listed) >= form.max_items or form.separators:
            return set(world["stops"])
        barred = {eoi, *world["item_tokens"]} | (set() if left else {soi})
        if len(listed) < form.min_items and left:
            barred |= set(world["stops"])
        return set(range(world["vocabulary"])) - barred

    def owed(self, listed, text):
        """Return the tokens that a list still has before its next item."""
        separators = self.world["form"].separators
        if len(listed) >= len(separators) or not self.items(listed):
            return []
        return [*separators[len(listed)], self.world["soi"]][len(text) :]


def random_world(draw):
    """Return a random catalog of up to 30 titles, with rules and a form of the reply."""
    vocabulary = draw.choice([20, 32, 70])
    ids = list(range(vocabulary))
    draw.shuffle(ids)
    soi, eoi, *letters = ids[:7]
    item_tokens = ids[7 : 7 + draw.choice([0, 2])]
    stops = ids[9 : 10 + draw.choice([0, 0, 1])]
    n = draw.choice([2, 4, draw.randint(1, 30)])
    # Titles repeat, so that several items share a leaf.
    titles = [[draw.choice(letters + item_tokens) for _ in range(draw.randint(1, 4))] for _ in range(n)]
    separators, max_items = (), draw.choice([0, 0, 1, 2, 5])
    if max_items and draw.random() < 0.5:
        words = letters + ids[11:14]
        separators = tuple(tuple(draw.choice(words) for _ in range(draw.randint(0, 3))) for _ in range(max_items))
    few = [i for i in range(n) if draw.random() < 0.3]
    world = {
        "vocabulary": vocabulary,
        "soi": soi,
        "eoi": eoi,
        "titles": titles,
        "item_tokens": item_tokens,
        "stops": stops,
        "form": ReplyForm(lists_items=False)
        if draw.random() < 0.05
        else ReplyForm(max_items, draw.choice([0, 0, draw.randint(0, max_items or 4)]), separators),
        "rules": {
            "deny": set(few),
            "allow": draw.choice([None, None, {i for i in range(n) if draw.random() < 0.6}]),
            "distinct": draw.random() < 0.8,
            "caps": [({i for i in range(n) if draw.random() < 0.4}, draw.randint(0, 3))] * draw.choice([0, 0, 1]),
        },
    }
    may_open = world["form"].lists_items and not separators and GrammarOracle(world).items([])
    if may_open and draw.random() < 0.2:
        world["form"] = replace(world["form"], opens_item=True)
    return world


def grammar_of(world):
    """Return the grammar of a world."""
    trie = build_trie(world["titles"], world["soi"], world["eoi"], world["item_tokens"])
    rules = Constraint(trie, **world["rules"], may_be_empty=True)
    return TreeGrammar(rules, TextRows(trie, world["vocabulary"], world["stops"]), world["form"])


def allowed_by(grammar, vocabulary):
    """Return the tokens that a grammar allows, from a row that is wider than the vocabulary."""
    row = np.full(-(-vocabulary // 32) + 1, -1, dtype=np.int32)
    grammar.fill_bitmask(row)
    return set(np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist())


def walk(seed, steps):
    """Take random steps through a random world and compare each with the oracle.

    A step accepts a token, an allowed one or any; or it validates drafts; or it takes tokens back.

    Returns:
        (steps taken, descriptions of wrong answers).
    """
    draw = random.Random(seed)
    world = random_world(draw)
    grammar, oracle, vocabulary = grammar_of(world), GrammarOracle(world), world["vocabulary"]
    # Tokens of items come often, so that replies have many.
    frequent = [world["soi"], world["eoi"], *world["stops"], *{token for title in world["titles"] for token in title}]
    reply, wrong = [], []

    def some_token(allowed):
        if allowed and draw.random() < 0.85:
            return draw.choice(sorted(allowed & set(frequent)) or sorted(allowed))
        return draw.choice(frequent + [draw.randint(-1, vocabulary)])

    def must_equal(actual, expected, what):
        if actual != expected:
            wrong.append(f"seed {seed}, reply {reply}, {what}: {actual}, wanted {expected}")

    for _ in range(steps):
        allowed = oracle.allowed(reply)
        must_equal(allowed_by(grammar, vocabulary), allowed, "allowed")
        match draw.choices(["token", "drafts", "rollback", "jump", "reset"], [70, 12, 12, 5, 1])[0]:
            case "token":
                token = some_token(allowed)
                must_equal(grammar.accept_token(token), token in allowed, f"accept {token}")
                reply += [token] * (token in allowed)
            case "drafts":
                drafts, valid, follows = [], [], True
                for _ in range(draw.randint(0, 6)):
                    may = oracle.allowed(reply + valid) if follows else set()
                    drafts.append(some_token(may))
                    follows = follows and drafts[-1] in may
                    valid += [drafts[-1]] * follows
                must_equal(grammar.validate_tokens(drafts), valid, f"drafts {drafts}")
            case "rollback" if reply:
                n = min(len(reply), draw.randint(0, 5))
                grammar.rollback(n)
                reply = reply[: len(reply) - n]
            case "jump":
                run = []
                while len(may := oracle.allowed(reply + run)) == 1:
                    run += may
                must_equal(grammar.jump_forward(), run, "jump forward")
            case "reset":
                grammar.reset()
                reply = []
        must_equal(grammar.n_tokens, len(reply), "tokens")
        if wrong:
            break
    return steps, wrong


def run(steps, length=200):
    """Walk through as many worlds as give `steps` steps and return the wrong answers."""
    return [error for seed in range(-(-steps // length)) for error in walk(seed, length)[1]]


if __name__ == "__main__":
    found = run(int(sys.argv[1]))
    print(*found[:5], sep="\n")
    print(f"{sys.argv[1]} steps, {len(found)} wrong")
    sys.exit(bool(found))
