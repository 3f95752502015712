"""Settings of all tests: one thread, because the models are tiny and threads that wait for each other are slower.

No test is judged by its time, also not by Hypothesis, because the machine may be busy.
"""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Files of minutes, the longest first: begun last, one of them would leave the other processes without work.
_LONGEST = (
    "test_pipeline",
    "test_two_processes",
    "test_teacher_load",
    "test_teacher_train",
    "test_chat_cli",
    "test_teacher_server",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest files first."""
    rank = {name: position for position, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
