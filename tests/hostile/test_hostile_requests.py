"""Damaged requests end with an answer of one line, and the server answers the next good one."""

import pytest
from damage import faults
from fuzz_server import READERS


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_damaged_requests_get_an_answer_of_one_line(reader):
    assert faults(reader, range(40)) == []
