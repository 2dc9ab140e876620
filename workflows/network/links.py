"""A dependency as a value: what graph code works on."""

from __future__ import annotations

from dataclasses import dataclass

from workflows.schedules.matching import Offset, Scope


@dataclass(frozen=True, slots=True)
class Link:
    """`downstream` waits for `upstream` (task ids)."""

    upstream: int
    downstream: int
    offset: Offset = Offset.SAME
    scope: Scope = Scope.DEFAULT
