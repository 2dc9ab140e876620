"""Health: does this process live, and can Tidemill do its work?

`/health/live/` says that the process answers; restart it when it does not. `/health/ready/` asks
for everything that work needs, `/health/ready/<part>/` for one part. The answers name parts, never
reasons: those are in the log.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from config.watching.snapshots import oldest_snapshot
from config.watching.ticks import EXPAND, GENERATE, RESCUE, SWEEP, age_of
from projects.ground import clock

# An answer serves all who ask within this time, so that asking often costs nothing.
ANSWER_SECONDS = 2.0
DATABASE_MILLISECONDS = 2_000
BROKER_SECONDS = 2.0

logger = structlog.get_logger(__name__)


class NotReady(Exception):
    """A part cannot do its work; the message says why, for the log."""


def check_database() -> None:
    """The database answers in time."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {DATABASE_MILLISECONDS}")
        cursor.execute("SELECT 1")


_migrated = False


def check_migrations() -> None:
    """The tables are at least as new as this code; asked until the answer is yes."""
    global _migrated
    if _migrated:
        return
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        raise NotReady(f"{len(missing)} migrations are missing")
    _migrated = True


def check_broker() -> None:
    """The broker can be reached and takes our login."""
    if current_app.conf.broker_url.startswith("memory:"):
        return
    with current_app.connection_for_write(connect_timeout=BROKER_SECONDS) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)


def check_sweep() -> None:
    """Beat, the broker and a worker of the system queue together got a sweep done lately."""
    _check_age(SWEEP, settings.READY_SWEEP_SECONDS)


def check_ticks() -> None:
    """The other jobs that everything waits for came to their end lately, each of them."""
    for job in (GENERATE, RESCUE, EXPAND):
        _check_age(job, settings.READY_TICK_SECONDS)


def _check_age(job: str, seconds: int) -> None:
    age = age_of(job, now=clock.now())
    if age is None:
        raise NotReady(f"{job} was never done")
    if age > timedelta(seconds=seconds):
        raise NotReady(f"{job} was last done {age.total_seconds():.0f} s ago")


CHECKS: dict[str, Callable[[], None]] = {
    "database": check_database,
    "migrations": check_migrations,
    "broker": check_broker,
    "sweep": check_sweep,
    "ticks": check_ticks,
}


def check_snapshots() -> None:
    """No transaction has been open for so long that dead rows pile up."""
    seconds = oldest_snapshot().seconds
    if seconds > settings.OLD_SNAPSHOT_SECONDS:
        raise NotReady(f"a transaction has been open for {seconds:.0f} s")


# What is told, and makes nothing unready.
WARNINGS: dict[str, Callable[[], None]] = {"old_snapshot": check_snapshots}


class _Answers:
    """What each check last answered, and when."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, bool]] = {}

    def of(self, part: str) -> bool:
        # One asks, the others wait for its answer.
        with self._lock:
            at, answer = self._known.get(part, (float("-inf"), False))
            if time.monotonic() - at >= ANSWER_SECONDS:
                answer = _passes(part)
                self._known[part] = time.monotonic(), answer
            return answer

    def forget(self) -> None:
        self._known.clear()


answers = _Answers()


def _passes(part: str) -> bool:
    try:
        (CHECKS | WARNINGS)[part]()
    except Exception as error:  # noqa: BLE001  # whatever it is, the part is not ready
        logger.warning("not_ready", part=part, error=f"{type(error).__name__}: {error}")
        return False
    return True


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Answer that the process lives; it asks nobody."""
    return JsonResponse({"status": "live"})


@never_cache
@require_safe
def ready(request: HttpRequest, part: str | None = None) -> JsonResponse:
    """Answer 200 when every part (or the one that is named) is ready, else 503."""
    if part is not None and part not in CHECKS:
        raise Http404
    parts = list(CHECKS) if part is None else [part]
    passed = {name: answers.of(name) for name in parts}
    good = all(passed.values())
    body: dict[str, object] = {
        "status": "ready" if good else "not ready",
        "checks": {name: "ok" if ok else "failed" for name, ok in passed.items()},
    }
    if part is None:  # who asks for one alone has no use for more
        body["warnings"] = [name for name in WARNINGS if not answers.of(name)]
    return JsonResponse(body, status=200 if good else 503)
