"""Telling a worker that plans wait to be expanded."""

from __future__ import annotations

from instances.engine.announcing import nudge

EXPAND_TASK = "backfill.expand"


def nudge_expansion() -> None:
    """Send the message; call after the commit. Lost, it costs time: beat sends one as well."""
    nudge(EXPAND_TASK, expires=30)
