"""The published names of test tasks are parsed once, and all of them."""

import pytest

from train_utils.evaluation.eval_task import EvalTask
from train_utils.param.evaluation import TEST_TASKS


def test_every_task_of_the_command_line_parses():
    parsed = {name: EvalTask.parse(name) for name in TEST_TASKS}
    assert [task.name for task in parsed.values()] == list(TEST_TASKS)
    assert parsed["SFTTestSeqRec"] == EvalTask("SFTTestSeqRec", "next_items")
    assert parsed["SFTTestSeqRec-MR-same"].exchange == "shared"
    assert (parsed["SFTTestSeqRec-CS-MR"].exchange, parsed["SFTTestSeqRec-CS-MR"].names_symbols) == ("per_user", True)
    assert parsed["SFTTestItemCount"].kind == "item_count"


@pytest.mark.parametrize("name", ["", "SFTTest", "SFTTestSeqRec-same", "SFTTestSeqRec-MR-CS", "SFTTestSeqRec-MR-MR"])
def test_another_name_is_refused(name):
    with pytest.raises(ValueError, match="the test task is .* wanted one of SFTTestSeqRec"):
        EvalTask.parse(name)
