from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from plugins.module_utils._table import table

CELLS = st.text("ab12é", max_size=5)
ROWS = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1, max_size=5))


def test_a_table():
    rows = [("name", "state", "node"), ("web1", "running", "hn1"), ("a-longer-one", "", "hn2"), ("b", "stopped", "")]
    assert table(rows) == [
        "name          state    node",
        "web1          running  hn1",
        "a-longer-one           hn2",
        "b             stopped",
    ]


def test_the_names_alone_are_a_table():
    assert table([("name", "state")]) == ["name  state"]


@given(ROWS)
def test_whatever_is_in_the_cells_each_begins_where_its_column_does_and_nothing_ends_in_spaces(rows):
    lines = table(rows)
    starts = [sum(max(len(row[before]) for row in rows) + 2 for before in range(column)) for column in range(len(rows[0]))]
    assert [
        [line[start : start + len(cell)] for start, cell in zip(starts, row, strict=True)] for line, row in zip(lines, rows, strict=True)
    ] == rows
    assert [line for line in lines if line != line.rstrip()] == []
    assert [len(line.split()) for line in lines] == [len([cell for cell in row if cell]) for row in rows]
