"""Names that no other row of the run has."""

from __future__ import annotations

from itertools import count

_numbers = count(1)


def fresh(stem: str) -> str:
    """Return the stem with a number of its own."""
    return f"{stem}_{next(_numbers)}"
