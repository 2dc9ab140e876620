"""Asking a dependency's rule about one fire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from workflows.schedules import Schedule
from workflows.schedules.matching import Matcher


def upstream_fires(
    downstream: Schedule, upstream: Schedule, fire: datetime, **options: Any
) -> tuple[datetime, ...]:
    """Return the upstream fires that the downstream's fire waits for. options: of a Matcher."""
    return Matcher(downstream, upstream, **options).match(fire)
