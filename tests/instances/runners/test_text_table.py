"""Tables in logs are narrow and line up."""

from __future__ import annotations

from decimal import Decimal

from instances.runners.sql.text_table import MAX_CELL, format_table


def test_numbers_stand_right_and_texts_left() -> None:
    rows = [(1, "a", Decimal("1.50")), (100, None, None)]
    assert format_table(["n", "text", "amount"], rows) == (
        "  n | text | amount\n----+------+-------\n  1 | a    |   1.50\n100 | NULL |   NULL"
    )


def test_a_cell_is_one_short_line() -> None:
    table = format_table(["x"], [("a\nb\tc",), ("y" * 1000,), (b"\x00\xff",)])
    assert table.splitlines()[2:] == ["a⏎b c", "y" * (MAX_CELL - 1) + "…", "\\x00ff"]
