"""Rows as a table of text, for logs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

MAX_CELL: Final = 60


def format_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a header; long cells are cut, numbers stand to the right."""
    data = [list(row) for row in rows]
    cells = [[_cell(value) for value in row] for row in data]
    header = [_cell(name) for name in columns]
    widths = [
        max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(header)
    ]
    numeric = [
        bool(data) and all(_is_number(row[index]) for row in data) for index in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        parts = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        return " | ".join(parts).rstrip()

    rule = "-+-".join("-" * width for width in widths)
    return "\n".join([line(header), rule, *(line(row) for row in cells)])


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes | bytearray | memoryview):
        text = "\\x" + bytes(value[: MAX_CELL // 2]).hex()
    else:
        text = str(value)
    # A cell is one line; only what can show is looked at.
    text = text[: MAX_CELL + 1].translate({10: "⏎", 13: "⏎", 9: " "})
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def _is_number(value: object) -> bool:
    # Decimals come as a class of their own; being ordered against 0 is what counts here.
    return value is None or (not isinstance(value, bool | str) and hasattr(value, "__float__"))
