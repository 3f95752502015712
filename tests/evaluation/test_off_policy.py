"""Estimates from a log cover the truth of a simulated world, where the mean of the log does not."""

import itertools
import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from train_utils.evaluation.logged_lists import (
    Answer,
    LoggedList,
    greedy_policy,
    logging_policy,
    policy_of_file,
    read_lists,
)
from train_utils.evaluation.off_policy import estimates, importance_weights, main, report, support_warnings
from train_utils.impression_files import EVENTS

ROOT = Path(__file__).resolve().parents[2]
N_ITEMS, K, N_TYPES = 5, 2, 3
PAIRS = list(itertools.permutations(range(N_ITEMS), K))
WORLD = np.random.default_rng(7)
# The logging model likes what users do not, so that its own mean says little of another policy.
TASTE = WORLD.normal(size=(N_TYPES, N_ITEMS))
SCORES = -1.2 * TASTE + 0.3 * WORLD.normal(size=TASTE.shape)
EXAMINED = (0.8, 0.4)


def click(kind: int, pair: tuple[int, ...], at: int) -> float:
    """Probability of a click; one at the second position depends on the item at the first."""
    bored = 0.5 if at and TASTE[kind, pair[0]] < 0 else 1.0
    return bored * EXAMINED[at] / (1 + math.exp(-2 * TASTE[kind, pair[at]]))


def log_shares(scores: np.ndarray, pair: tuple[int, ...]) -> tuple[float, ...]:
    """Log-probability of each draw of a list."""
    left, shares = list(range(N_ITEMS)), []
    for item in pair:
        shares.append(float(scores[item] - np.logaddexp.reduce(scores[left])))
        left.remove(item)
    return tuple(shares)


def target_scores(kind: int) -> np.ndarray:
    return 0.5 * TASTE[kind]


def truth(kind_of_target: str) -> float:
    """Clicks per list of a target, by enumeration of all lists."""
    values = []
    for kind in range(N_TYPES):
        best = tuple(np.argsort(-SCORES[kind])[:K].tolist())
        for pair in PAIRS:
            chance = (
                float(pair == best)
                if kind_of_target == "greedy"
                else math.exp(sum(log_shares(target_scores(kind), pair)))
            )
            values.append(chance * sum(click(kind, pair, at) for at in range(K)))
    return sum(values) / N_TYPES


@cache
def simulated(n: int, seed: int, temperature: float = 3.0) -> tuple[list[LoggedList], list[Answer]]:
    """A log of drawn lists, and what a stochastic target does for each."""
    rng, lists, answers = np.random.default_rng(seed), [], []
    for number in range(n):
        kind = int(rng.integers(N_TYPES))
        logits = SCORES[kind] / temperature
        pair = tuple(np.argsort(-(logits + rng.gumbel(size=N_ITEMS)))[:K].tolist())
        clicks = tuple(float(rng.random() < click(kind, pair, at)) for at in range(K))
        names = tuple(f"{item}" for item in pair)
        greedy = tuple(map(str, np.argsort(-SCORES[kind])[:K]))
        rewards = {event: clicks if event == "click" else (0.0,) * K for event in EVENTS}
        lists.append(LoggedList(str(number), f"u{number // 2}", names, log_shares(logits, pair), greedy, rewards))
        samples = [np.argsort(-(target_scores(kind) + rng.gumbel(size=N_ITEMS)))[:K] for _ in range(5)]
        answers.append(
            Answer(log_shares(target_scores(kind), pair), tuple(tuple(map(str, sample)) for sample in samples))
        )
    return lists, answers


@pytest.mark.parametrize(("target", "whole"), [("greedy", False), ("stochastic", False), ("stochastic", True)])
def test_intervals_cover_the_truth_about_as_often_as_they_say_and_the_mean_of_the_log_never(target, whole):
    worlds, covered, true_value = 20, Counter(), truth(target)
    for seed in range(500, 500 + worlds):
        lists, answers = simulated(500, seed)
        answers = greedy_policy(lists) if target == "greedy" else answers
        weights = importance_weights(lists, answers, whole)
        for name, estimate in estimates(lists, answers, weights, "click", bootstrap=200).items():
            covered[name] += estimate.ci[0] <= true_value <= estimate.ci[1]
    assert covered["logged"] == 0
    assert all(covered[name] >= 0.8 * worlds for name in ("ips", "snips", "dr")), covered


def test_estimates_are_unbiased_and_doubly_robust_ones_vary_least():
    errors = {name: [] for name in ("ips", "snips", "dr")}
    for seed in range(500, 520):
        lists, answers = simulated(500, seed)
        made = estimates(lists, answers, importance_weights(lists, answers), "click", bootstrap=1)
        for name, values in errors.items():
            values.append(made[name].value - truth("stochastic"))
            assert sum(made[name].positions) == pytest.approx(made[name].value)
    for values in errors.values():
        assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(len(values))
    assert np.std(errors["dr"]) < np.std(errors["ips"])


def test_the_logging_policy_has_the_mean_of_its_log_by_every_estimator():
    lists, _ = simulated(200, 3)
    result = report(lists, logging_policy(lists), ["click"])
    values = {name: estimate["value"] for name, estimate in result["events"]["click"].items()}
    expected = sum(sum(logged.rewards["click"]) for logged in lists) / 200
    assert values == pytest.approx(dict.fromkeys(values, expected)) and result["warnings"] == []
    assert result["effective_sample_size"] == pytest.approx(200) and result["users"] == 100


def greedily(lists: list[LoggedList]) -> list[LoggedList]:
    return [
        LoggedList(one.recommendation_id, one.user, one.greedy, (0.0,) * K, one.greedy, one.rewards) for one in lists
    ]


def test_a_log_of_greedy_lists_supports_the_same_lists_only_and_says_so():
    lists = greedily(simulated(100, 5)[0])
    assert report(lists, greedy_policy(lists), ["click"])["warnings"] == []
    others = [Answer((0.0, -math.inf), (one.items[::-1],)) for one in lists]
    warnings = support_warnings(lists, others, importance_weights(lists, others))
    assert "greedy lists are deterministic" in warnings[0] and "mean weight is 0 " in warnings[1]
    assert "effective sample size is 0.0 of 100" in warnings[2]


def test_a_log_of_few_lists_or_of_few_users_says_that_its_intervals_are_too_narrow():
    lists, _ = simulated(100, 5)
    (few,) = report(lists[:1], logging_policy(lists[:1]), ["click"])["warnings"]
    assert "the effective sample size is 1.0 of 1 lists: intervals are too narrow" in few
    of_one = [replace(one, user="u") for one in lists]
    (one_user,) = report(of_one, logging_policy(of_one), ["click"])["warnings"]
    assert "the lists are those of 1 users: intervals are over users" in one_user


def test_lists_that_the_log_cannot_hold_show_in_the_mean_weight():
    lists, answers = simulated(600, 8)
    halved = [Answer((a.log_probabilities[0] - math.log(2), a.log_probabilities[1]), a.lists) for a in answers]
    assert any("should be 1" in line for line in support_warnings(lists, halved, importance_weights(lists, halved)))


# -- files -------------------------------------------------------------------------------------------------------------


def write_log(folder: Path, lists: list[LoggedList]) -> Path:
    records = []
    for one in lists:
        items = [
            {"item_id": item, "position": at, "score": -1.0, "log_probability": value}
            for at, (item, value) in enumerate(zip(one.items, one.log_probabilities, strict=True), 1)
        ]
        head = {"record": "list", "recommendation_id": one.recommendation_id, "kind": "list", "domain": "d"}
        records.append(head | {"user": one.user, "items": items, "greedy": list(one.greedy), "variant": None})
        for item, clicked in zip(one.items, one.rewards["click"], strict=True):
            feedback = {"recommendation_id": one.recommendation_id, "item_id": item, "event": "click"}
            records += [{"record": "feedback"} | feedback] * (2 * int(clicked))  # said twice, it counts once
    folder.mkdir()
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "impressions-000001.jsonl").write_text(text + '{"record": "list", "recomm')
    return folder


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "train_utils.evaluation.off_policy", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_log_is_read_back_with_its_feedback(tmp_path):
    lists, _ = simulated(20, 1)
    rejected: Counter[str] = Counter()
    assert read_lists([write_log(tmp_path / "log", lists)], rejected) == lists
    assert rejected.total() == 1, "half a line at the end"


def test_the_command_prints_a_table_and_json(tmp_path):
    lists, answers = simulated(200, 2)
    log = write_log(tmp_path / "log", lists)
    target = tmp_path / "target.jsonl"
    lines = [
        {"recommendation_id": one.recommendation_id, "log_probabilities": a.log_probabilities, "lists": a.lists}
        for one, a in zip(lists, answers, strict=True)
    ]
    target.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = run(log, "--target", target, "--events", "click", "--bootstrap", 200)
    assert ran.returncode == 0, ran.stderr
    last = json.loads(ran.stdout.splitlines()[-1])
    assert last["lists"] == last["drawn"] == 200 and last["left_out"] == 1
    expected = report(lists, answers, ["click"], bootstrap=200)
    assert last["events"] == json.loads(json.dumps(expected["events"]))
    assert "note: 1 lines are left out" in ran.stdout


def test_wrong_arguments_are_errors_of_one_line(tmp_path, monkeypatch):
    log = write_log(tmp_path / "log", simulated(3, 2)[0])
    (tmp_path / "empty").mkdir()
    for arguments, error in [
        ((tmp_path / "empty",), "holds no impressions-"),
        ((tmp_path / "none",), "does not exist; give the folder of cli_serve.py --impressions"),
        ((log, "--events", "sale"), "`events` holds 'sale', wanted some of"),
        ((log, "--domain", "books"), "the log holds 3 lists, and none that can be used is of kind 'list', domain"),
        ((log, "--target", tmp_path / "none"), "`target` is '.*none', wanted greedy, logged or a file that exists"),
    ]:
        monkeypatch.setattr(sys, "argv", ["off_policy", *map(str, arguments)])
        with pytest.raises((ValueError, OSError), match=error) as raised:
            main()
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ([], "line 1 is \\[\\], wanted an object with a recommendation_id"),
        ({"recommendation_id": "0", "items": "ab"}, "items is 'ab', wanted a list of item ids"),
        ({"recommendation_id": "0"}, "log_probabilities is None, wanted a list of 2"),
        ({"recommendation_id": "0", "log_probabilities": [0.5, 0]}, "wanted numbers up to 0"),
        ({"recommendation_id": "0", "log_probabilities": [-1, 0], "lists": [3]}, "a list is 3"),
        ({"recommendation_id": "9", "items": []}, "has no line for 1 of 1 lists, such as '0'"),
    ],
)
def test_a_target_file_of_another_form_is_refused(tmp_path, line, error):
    (tmp_path / "target.jsonl").write_text(json.dumps(line))
    with pytest.raises(ValueError, match=error):
        policy_of_file(tmp_path / "target.jsonl", simulated(1, 0)[0])


def test_a_target_of_one_list_has_probability_one_on_it(tmp_path):
    (one,) = simulated(1, 0)[0]
    path = tmp_path / "target.jsonl"
    path.write_text(json.dumps({"recommendation_id": "0", "items": [one.items[0], "other"]}))
    assert policy_of_file(path, [one]) == [Answer((0.0, -math.inf), ((one.items[0], "other"),))]
