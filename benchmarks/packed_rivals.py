"""Masks as packed bits, the form in which inference engines take them: our grammar, and two that engines contain.

Each engine gets the same catalog and the same conversation: free text and any number of items between control tokens.
The grammars are in the form that compiles fastest: for xgrammar the trie of token ids, one rule per branch; for
llguidance one lexeme of all titles. Each token is a text of three letters, so that a title has one tokenization and
the masks of all engines are the same. `python benchmarks/packed_rivals.py ENGINE ITEMS` measures one engine and prints
JSON; `bench_constraint.py --packed` does so for all, each in a process of its own, because memory is measured.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from machine import machine_name
from synthetic_catalog import World, synthetic_titles

from train_utils.command import run_cli
from train_utils.constraint.constraint import Constraint
from train_utils.constraint.packed_rows import words_of
from train_utils.constraint.trie import TitleTrie, build_trie
from train_utils.engines.tree_grammar import TextRows, TreeGrammar

WHERE = ("title", "root", "free")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_WARM_UP = 5  # walks before the timed ones

# Fills one row of packed bits, uint32 [words], after these tokens of a reply; the time is that of the fill alone.
Fill = Callable[[Sequence[int]], tuple[np.ndarray, float]]


@dataclass(frozen=True)
class Measured:
    """Cost of an engine on a catalog.

    Attributes:
        compile_s: processor seconds from the titles' tokens (ours) or from the text of the grammar.
        memory_mb: growth of the resident memory meanwhile.
        row_us: position -> median microseconds of one row.
        worst_us: position -> 99th percentile.
        digests: position -> digest of all rows filled.
    """

    compile_s: float
    memory_mb: float
    row_us: dict[str, float]
    worst_us: dict[str, float]
    digests: dict[str, str]


def word(token: int) -> str:
    """Return the text of a token: three letters, so that a text has one tokenization."""
    return _LETTERS[token >> 12] + _LETTERS[token >> 6 & 63] + _LETTERS[token & 63]


def token_of(text: str) -> int:
    """Return the token of a text of three letters."""
    high, middle, low = map(_LETTERS.index, text)
    return high << 12 | middle << 6 | low


def texts_of_tokens(world: World) -> list[bytes]:
    """Return the bytes of each token."""
    return [word(token).encode() for token in range(world.end_of_turn)] + [b"<eot>", b"<soi>", b"<eoi>"]


def resident_mb() -> float:
    """Return the resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    raise ValueError("memory is measured by /proc, which only Linux has")


def walks(world: World, where: str, n: int) -> Iterator[list[int]]:
    """Yield `n` replies, the same for every engine: some text, and an item that is begun, opened or absent."""
    rng = np.random.default_rng(WHERE.index(where))
    for _ in range(n):
        reply = rng.integers(0, world.end_of_turn, int(rng.integers(1, 9))).tolist()
        title = world.titles[int(rng.integers(len(world.titles)))]
        if where != "free":
            reply.append(world.soi)
        if where == "title":
            reply += title[: int(rng.integers(1, len(title) + 1))]
        yield reply


def ours(world: World) -> Callable[[], Fill]:
    """Return the compilation of our grammar, in which an item comes at most once."""

    def compiled() -> Fill:
        trie = build_trie(world.titles, world.soi, world.eoi)
        start = TreeGrammar(Constraint(trie), TextRows(trie, world.vocabulary, [world.end_of_turn]))
        row = np.zeros(words_of(world.vocabulary), dtype=np.uint32)

        def fill(reply: Sequence[int]) -> tuple[np.ndarray, float]:
            grammar = start.copy()
            for token in reply:
                assert grammar.accept_token(token)
            begun = time.perf_counter()
            grammar.fill_bitmask(row)
            return row, time.perf_counter() - begun

        return fill

    return compiled


def trie_rules(trie: TitleTrie) -> tuple[str, list[str]]:
    """Return the trie as rules of xgrammar: the symbols after `<SOI>`, and one rule per branch."""

    def symbols(target: int, depth: int) -> str:
        leaf = trie.below(target)[0]
        start, end = int(trie.title_start[leaf]), int(trie.title_start[leaf + 1])
        until = start + int(trie.branch_depth[target]) if target >= 0 else end
        tokens = [f"Token({token})" for token in trie.tokens[start + depth : until].tolist()]
        return " ".join([*tokens, *([f"b{target}"] if target >= 0 else [])])

    rules = []
    for branch in range(len(trie.branch_depth)):
        span, below = trie.edges(branch), int(trie.branch_depth[branch]) + 1
        edges = zip(trie.edge_token[span].tolist(), trie.edge_target[span].tolist(), strict=True)
        rules.append(f"b{branch} ::= " + " | ".join(f"Token({token}) {symbols(to, below)}" for token, to in edges))
    return symbols(trie.top, 0), rules


def xgrammar_source(world: World) -> str:
    """Return the grammar for xgrammar."""
    first, rules = trie_rules(build_trie(world.titles, world.soi, world.eoi))
    text = f"ExcludeToken({world.soi}, {world.eoi}, {world.end_of_turn})"
    return "\n".join([f"root ::= ({text} | Token({world.soi}) {first})*", *rules])


def xgrammar(world: World) -> Callable[[], Fill]:
    """Return the compilation of xgrammar's grammar, in which an item may repeat."""
    import xgrammar

    source = xgrammar_source(world)
    tokenizer = xgrammar.TokenizerInfo(
        texts_of_tokens(world), vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[world.end_of_turn]
    )

    def compiled() -> Fill:
        grammar = xgrammar.GrammarCompiler(tokenizer, max_threads=1).compile_grammar(source)
        row = xgrammar.allocate_token_bitmask(1, world.vocabulary)

        def fill(reply: Sequence[int]) -> tuple[np.ndarray, float]:
            matcher = xgrammar.GrammarMatcher(grammar)
            for token in reply:
                assert matcher.accept_token(token)
            begun = time.perf_counter()
            matcher.fill_next_token_bitmask(row, 0)
            return row[0].numpy().view(np.uint32), time.perf_counter() - begun

        return fill

    return compiled


def llguidance_source(world: World) -> str:
    """Return the grammar for llguidance, without the tokens that it would force where titles share some letters."""
    text = f"text: <[^{world.end_of_turn}-{world.eoi}]>"
    item = f"item: <[{world.soi}]> ITEM <[{world.eoi}]>"
    titles = " | ".join(f'"{"".join(map(word, title))}"' for title in world.titles)
    return f'%llguidance {{"no_forcing": true}}\nstart: (text | item)*\n{text}\n{item}\nITEM: {titles}'


def llguidance(world: World) -> Callable[[], Fill]:
    """Return the compilation of llguidance's grammar, in which an item may repeat.

    Its limits are lifted: 100,000 titles reach those that it has by default.
    """
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer
    from llguidance._tokenizer import TokenizerWrapper

    class Tokens:
        eos_token_id, bos_token_id, tokens = world.end_of_turn, None, texts_of_tokens(world)
        special_token_ids = (world.end_of_turn, world.soi, world.eoi)

        def __call__(self, text: bytes) -> list[int]:
            whole = len(text) - len(text) % 3  # llguidance also passes texts of other lengths, to see what happens
            return [token_of(text[at : at + 3].decode()) for at in range(0, whole, 3)]

    source = LLMatcher.grammar_from_lark(llguidance_source(world))
    tokenizer = LLTokenizer(TokenizerWrapper(Tokens()))
    limits = LLParserLimits(initial_lexer_fuel=10**9, step_lexer_fuel=10**9, max_lexer_states=10**8)

    def compiled() -> Fill:
        start = LLMatcher(tokenizer, source, log_level=0, limits=limits)
        if start.is_error():
            raise ValueError(f"llguidance cannot compile the grammar: {start.get_error()[:200]}")
        row = np.zeros((1, words_of(world.vocabulary)), dtype=np.int32)

        def fill(reply: Sequence[int]) -> tuple[np.ndarray, float]:
            matcher = start.deep_copy()
            assert matcher.consume_tokens(list(reply))
            begun = time.perf_counter()
            matcher.unsafe_compute_mask_ptr(row.ctypes.data, row.nbytes)
            return row[0].view(np.uint32), time.perf_counter() - begun

        return fill

    return compiled


ENGINES: dict[str, Callable[[World], Callable[[], Fill]]] = {
    "ours": ours,
    "xgrammar": xgrammar,
    "llguidance": llguidance,
}


def measure(engine: str, world: World, repeats: int) -> Measured:
    """Measure one engine; memory is only right in a fresh process."""
    compiled = ENGINES[engine](world)
    memory, begun = resident_mb(), time.process_time()
    fill = compiled()
    compile_s, memory_mb = time.process_time() - begun, resident_mb() - memory
    row_us, worst_us, digests = {}, {}, {}
    for where in WHERE:
        digest, seconds = hashlib.sha256(), []
        for number, reply in enumerate(walks(world, where, _WARM_UP + repeats)):
            row, taken = fill(reply)
            bits = np.unpackbits(row.view(np.uint8), bitorder="little")[: world.vocabulary]
            digest.update(bits.tobytes())  # engines differ in the unused bits of the last word
            if number >= _WARM_UP:
                seconds.append(1e6 * taken)
        row_us[where], digests[where] = statistics.median(seconds), digest.hexdigest()
        worst_us[where] = float(np.percentile(seconds, 99))
    return Measured(compile_s, memory_mb, row_us, worst_us, digests)


def run_packed(items: int, vocabulary: int, repeats: int, most_seconds: float) -> None:
    """Measure every engine in a process of its own; print a table, and the table as JSON.

    Args:
        items: titles of the catalog.
        vocabulary: tokens of the vocabulary.
        repeats: timed rows per position.
        most_seconds: an engine that takes longer is given up.

    Raises:
        ValueError: an engine allows other tokens than ours, so that its time would mean nothing.
    """
    print(f"{machine_name()}: {items} titles, {vocabulary} tokens, one thread", flush=True)
    print(f"{'engine':>11} {'compile s':>10} {'memory MB':>10}" + "".join(f"{w + ' us (p99)':>22}" for w in WHERE))
    records: list[dict[str, object]] = []
    expected: object = None
    for engine in ENGINES:
        found = _in_a_process(engine, items, vocabulary, repeats, most_seconds)
        if isinstance(found, str):
            print(f"{engine:>11} {found}", flush=True)
        else:
            rows = "".join(f"{f'{found.row_us[w]:.1f} ({found.worst_us[w]:.1f})':>22}" for w in WHERE)
            print(f"{engine:>11} {found.compile_s:10.3f} {found.memory_mb:10.1f}{rows}", flush=True)
            expected = found.digests if expected is None else expected
            if found.digests != expected:
                raise ValueError(f"{engine} and ours allow different tokens; the timing would mean nothing")
        cost = {"failed": found} if isinstance(found, str) else vars(found)
        records.append({"engine": engine, "items": items, "machine": machine_name()} | cost)
    print(json.dumps(records))


def _in_a_process(engine: str, items: int, vocabulary: int, repeats: int, most_seconds: float) -> Measured | str:
    """Return what an engine costs, or why it has no cost."""
    command = [sys.executable, __file__, engine, str(items), "--vocab", str(vocabulary), "--repeats", str(repeats)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=most_seconds)
    except subprocess.TimeoutExpired:
        return f"not compiled within {most_seconds:g} s"
    if ended.returncode:
        problem = (ended.stderr.strip().splitlines() or ["ended without an error"])[-1]
        missing = problem.startswith("ModuleNotFoundError")
        return (
            f"not installed here; .venv-vllm/bin/python (scripts/vllm_env.sh) has it: {problem}" if missing else problem
        )
    return Measured(**json.loads(ended.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("engine", choices=list(ENGINES))
    parser.add_argument("items", type=int)
    parser.add_argument("--vocab", type=int, default=128_258)
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    world = World(synthetic_titles(options.items, options.vocab), options.vocab)
    print(json.dumps(vars(measure(options.engine, world, options.repeats))))


if __name__ == "__main__":
    run_cli(main)
