"""Simulated users talk with the chat and its rivals: hits by turn, adherence and counts, resumable."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from train_utils.catalog import Catalog, dataset_files
from train_utils.conversation.reader import Reader
from train_utils.dialogue.expectations import Expectations
from train_utils.dialogue.weights import Weights, read_weights, write_weights
from train_utils.evaluation.chat_systems import (
    BATCH,
    ChatSystem,
    FreeSystem,
    RankingSystem,
    TeacherScores,
    popularity_scores,
)
from train_utils.evaluation.partial_results import delete_partials, run_resumable
from train_utils.evaluation.results import teacher_files
from train_utils.evaluation.simulated_users import Chat, SimulatedUser, TurnRecord, converse, mean_hits, summary
from train_utils.files.atomic import write_json, writing_file
from train_utils.files.json_files import read_bounded_json
from train_utils.manifest import manifest
from train_utils.models.backbone import model_files
from train_utils.param.conversations import ConversationOptions
from train_utils.processes import init_processes
from train_utils.recommender import Recommender
from train_utils.teacher.open import open_teacher

# number of users -> a system that talks with that many
Systems = Mapping[str, Callable[[int], Chat]]
# options that a result depends on, in addition to its files
_OF_THE_RESULT = ("split", "seed", "free_users", "model_name", "teacher", "embedding_model", "reader")
_MAX_FILE = 1 << 20  # bytes; a result has kilobytes
CHAT, FREE, TEACHER, POPULARITY = "chat", "model without reader", "filtered teacher", "popularity under the rules"


@dataclass(frozen=True)
class Case:
    """A user to simulate."""

    user: str
    history: tuple[int, ...]
    target: int


def simulated(catalog: Catalog, split: str, users: int, seed: int) -> list[Case]:
    """Return the users of a split, or a sample of them, in a random order that does not depend on their number.

    Args:
        catalog: the catalog.
        split: "valid" or "test".
        users: number of users; 0 for all.
        seed: seed of the order.
    """
    cases = [Case(*case) for case in catalog.split(split)]
    random.Random(f"{seed}/dialogues").shuffle(cases)
    return cases[: users or None]


def systems(expectations: Expectations, reader: Reader, catalog: Catalog) -> Systems:
    """Return the systems that users talk with, by name.

    Args:
        expectations: those of the chat; its teacher is the filtered one, where there is one.
        reader: reads the messages, for all but the model alone.
        catalog: the catalog.
    """
    recommender, teacher = expectations.recommender, expectations.teacher
    found: dict[str, Callable[[int], Chat]] = {CHAT: lambda n: ChatSystem(n, expectations, reader)}
    if teacher is not None:
        scores = TeacherScores(teacher, catalog)
        found[TEACHER] = lambda n: RankingSystem(n, recommender, reader, scores)
    found[POPULARITY] = lambda n: RankingSystem(n, recommender, reader, popularity_scores(catalog))
    found[FREE] = lambda n: FreeSystem(n, recommender)
    return found


def run_dialogues(options: ConversationOptions, recommender: Recommender, reader: Reader) -> dict[str, Any]:
    """Let simulated users talk with every system; resumable.

    Args:
        options: users, seed, split, teacher and result file.
        recommender: model and catalog.
        reader: reads the messages.

    Returns:
        {system: its measures, with "users"}, as it is written to the result file.
    """
    catalog = recommender.catalog
    assert catalog is not None
    output = Path(options.output) if options.output else Path(options.model_name) / "conversation.json"
    processes = init_processes(options.gpu)
    teacher = open_teacher(options.teacher) if options.teacher else None
    weights = read_weights(options.model_name, catalog.name)
    talking = systems(Expectations.of(recommender, catalog, teacher, weights), reader, catalog)
    cases = simulated(catalog, "valid" if options.split == "dev" else "test", options.users, options.seed)
    free = {case.user for case in cases[: options.free_users]}

    def work(rows: Sequence[Case]) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = [{"user": row.user, "systems": {}} for row in rows]
        for name, of in talking.items():
            chosen = [i for i, row in enumerate(rows) if name != FREE or row.user in free]
            users = [_user(catalog, rows[i], options.seed) for i in chosen]
            for i, turns in zip(chosen, _talks(users, of, recommender), strict=True):
                records[i]["systems"][name] = list(map(asdict, turns))
        return records

    identity = {name: getattr(options, name) for name in _OF_THE_RESULT}
    identity["weights"] = asdict(weights)
    inputs = [*dataset_files(options.data_path), *model_files(options.model_name), *teacher_files(options.teacher)]
    made_from = manifest(identity, inputs)
    batches = [cases[start : start + BATCH] for start in range(0, len(cases), BATCH)]
    with writing_file(output, "output", _is_result) if processes.is_main_process else nullcontext():
        records, seconds = run_resumable(batches, work, output, made_from, processes, "dialogues", is_dialogue)
        result = {name: _summary(name, [records[case.user] for case in cases]) for name in talking}
        if processes.is_main_process:
            write_json(output, {"manifest": made_from, "seconds": seconds, "systems": result})
        delete_partials(output, processes)
    return result


def chosen_weights(options: ConversationOptions, recommender: Recommender, reader: Reader) -> Weights:
    """Choose the weights of a model on validation users, and write them into its folder."""
    catalog = recommender.catalog
    assert catalog is not None
    teacher = open_teacher(options.teacher) if options.teacher else None
    expectations = Expectations.of(recommender, catalog, teacher)
    weights = choose_weights(expectations, reader, catalog, options.users, options.seed)
    write_weights(options.model_name, catalog.name, weights)
    return weights


# Factors of the default weights that are tried.
FACTORS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
_CHOSEN = ("teacher", "similarity", "sequence")


def choose_weights(expectations: Expectations, reader: Reader, catalog: Catalog, users: int, seed: int) -> Weights:
    """Return the weights at which validation users find their targets in the fewest turns.

    What is expected ranks alone, without the model's choice in the conversation, whose weight is 1: such a ranking
    takes seconds for all users. One weight after another is set to its best value.

    Args:
        expectations: the parts to weigh.
        reader: reads the messages.
        catalog: the catalog.
        users: number of validation users; 0 for all.
        seed: seed of the draw and of the wordings.
    """
    cases = simulated(catalog, "valid", users, seed)
    best = Weights()
    tried: dict[Weights, float] = {}
    grid = [(name, factor) for name in _CHOSEN for factor in FACTORS]
    for name, factor in tqdm(grid, desc="weights", unit="weight"):
        weights = replace(best, **{name: factor * getattr(Weights(), name)})
        if weights not in tried:
            scores = replace(expectations, weights=weights).scores
            talkers = [_user(catalog, case, seed) for case in cases]
            ranking = RankingSystem(len(cases), expectations.recommender, reader, scores)
            tried[weights] = mean_hits(converse(talkers, ranking, lambda text: 0))
        best = max(tried, key=lambda weights: tried[weights])
    return best


def _user(catalog: Catalog, case: Case, seed: int) -> SimulatedUser:
    return SimulatedUser(catalog, case.history, case.target, f"{seed}/{case.user}")


def _talks(
    users: Sequence[SimulatedUser], of: Callable[[int], Chat], recommender: Recommender
) -> list[list[TurnRecord]]:
    return converse(users, of(len(users)), lambda text: len(recommender.named_titles.mentions(text))) if users else []


def _summary(name: str, records: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    turns = [
        [TurnRecord(**turn) for turn in record["systems"][name]] for record in records if name in record["systems"]
    ]
    return {"users": len(turns), **summary(turns)} if turns else {"users": 0}


def is_dialogue(record: Mapping[str, Any]) -> bool:
    """Return whether a record of a partial file is one of `run_dialogues`."""
    names = {entry.name for entry in fields(TurnRecord)}
    of_systems = record.get("systems")
    return isinstance(of_systems, dict) and all(
        isinstance(turns, list) and all(isinstance(turn, dict) and set(turn) == names for turn in turns)
        for turns in of_systems.values()
    )


def dialogue_table(measures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the measures of the systems that simulated users talked with, as a Markdown table."""
    lines = ["| system | users | hit by turn 1 / 2 / 3 / 4 / 5 | adherence | exact count | repeats | named back |"]
    lines.append("|---|--:|---|--:|--:|--:|--:|")
    for name, of in measures.items():
        if of["users"]:
            hits = " / ".join(f"{hit:.3f}" for hit in of["hit_turns"])
            shares = f"{of['adherence']:.3f} | {of['exact_count']:.3f} | {of['repeats']} | {of['named_back']}"
            lines.append(f"| {name} | {of['users']} | {hits} | {shares} |")
    return "\n".join(lines)


def read_dialogues(path: str | Path) -> dict[str, dict[str, Any]]:
    """Return the measures in a result file of `run_dialogues`. Raises ValueError for another file."""
    record: Any = read_bounded_json(path, _MAX_FILE)
    if not _is_result(record):
        raise ValueError(f"{path} is no result of python -m train_utils.evaluation.conversation; delete it")
    return record["systems"]


def _is_result(record: object) -> bool:
    measures = record.get("systems") if isinstance(record, dict) else None
    return isinstance(measures, dict) and all(isinstance(of, dict) and "users" in of for of in measures.values())
