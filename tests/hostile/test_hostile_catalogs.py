"""Damaged feeds and journals are read, or refused in one line."""

import pytest
from damage import faults
from fuzz_catalogs import READERS


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_a_damaged_file_is_refused_or_read(reader):
    assert faults(reader, range(40)) == []
