"""Reading what a statement answers."""

from __future__ import annotations

from typing import Any

from django.db.backends.utils import CursorWrapper


def column(cursor: CursorWrapper) -> list[Any]:
    """Return the first column of what is left of the cursor's answer, in its order."""
    return [row[0] for row in cursor.fetchall()]
