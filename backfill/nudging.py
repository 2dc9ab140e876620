"""Telling a worker that plans wait to be expanded."""

from __future__ import annotations

import structlog
from celery import current_app

EXPAND_TASK = "backfill.expand"

logger = structlog.get_logger(__name__)


def nudge_expansion() -> None:
    """Send the message; call after the commit. Lost, it costs time: beat sends one as well."""
    try:
        current_app.send_task(EXPAND_TASK, expires=60)
    except Exception:  # whatever transport is configured may raise its own
        logger.warning("nudge_failed", task=EXPAND_TASK, exc_info=True)
