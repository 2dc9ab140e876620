"""The pulse of a worker process: it renews the leases of what runs here and hears what must stop.

One thread, and one or two queries a beat for all executions of the process. An execution that they
do not answer was closed by somebody else; one that answers TERMINATING is to be killed. A lease is
renewed when a sixth of it has passed: a row a second for each of hundreds of executions is a load,
and five tries that fail leave it standing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from django.conf import settings
from django.db import connection

from instances import transitions
from instances.error_codes import ErrorCode
from instances.logs.writing import LogWriter
from instances.states import ExecutionState
from projects.ground import clock
from projects.ground.database import patience, use_own_connection
from projects.ground.threads import Standing

BEAT_SECONDS = 0.5
RENEWED_AFTER = 1 / 6  # of a lease

logger = structlog.get_logger(__name__)


class Stop(StrEnum):
    """Why a running execution must stop: the error code of its end, or the reason in words."""

    TERMINATE = ErrorCode.TERMINATED.value  # an operator asked for it: report the end
    FENCED = "It was closed while it ran"  # by somebody else: its end counts for nothing
    SHUTDOWN = ErrorCode.WORKER_STOPPED.value  # the worker ends: give the work back


class Pulse:
    """Watches the executions of one life of a worker process."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.shutting_down = threading.Event()
        self.logs = LogWriter(worker)
        self._stops: dict[int, Stop | None] = {}
        self._leases: dict[int, float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._has_connection = False
        self._closed = False

    def watch(self, execution_ids: Sequence[int], *, since: datetime) -> None:
        """Keep the leases of executions alive, which were claimed at `since` or after it."""
        self.start()
        lease_until = _lease_from(since)
        with self._lock:
            self._stops.update(dict.fromkeys(execution_ids))
            self._leases.update(dict.fromkeys(execution_ids, lease_until.timestamp()))
        self._wake.set()

    def start(self) -> None:
        """Have the threads ready: better before the first execution is claimed."""
        with self._lock:
            if self._thread is None:
                self.logs.start()
                self._thread = Standing(self._watch_once, name="pulse")

    def close(self) -> None:
        """Let the threads end: what is still watched is renewed no more."""
        with self._lock:
            self._closed = True
            self._wake.set()
        self.logs.close()

    def unwatch(self, execution_ids: Iterable[int]) -> None:
        """Forget executions that were reported."""
        with self._lock:
            for execution_id in execution_ids:
                self._stops.pop(execution_id, None)
                self._leases.pop(execution_id, None)
                self.logs.take(execution_id)

    def stop_of(self, execution_id: int) -> Stop | None:
        """Return why the execution must stop, or None when it may go on."""
        stop = self._stops.get(execution_id)
        if stop is None and self.shutting_down.is_set():
            return Stop.SHUTDOWN
        return stop

    def lease_of(self, execution_id: int) -> float:
        """Return until when the execution is surely ours, in seconds since the epoch."""
        return self._leases[execution_id]

    def _watch_once(self) -> bool:
        if not self._has_connection:
            # Of its own: who waits for the pool waits for all who use it.
            use_own_connection(seconds=settings.PULSE_ANSWER_SECONDS)
            self._has_connection = True
        if not self._wake.is_set():
            connection.close()
        self._wake.wait()
        if self._closed:
            connection.close()
            return True
        with self._lock:
            watched = list(self._stops)
            if not watched and not self._closed:
                self._wake.clear()
                return False
        try:
            with patience(settings.PULSE_ANSWER_SECONDS):
                self._beat(watched)
        except Exception:
            # The database is away, or whatever it is: executions go on until their leases run out.
            with suppress(Exception):
                logger.warning("pulse_failed", executions=len(watched), exc_info=True)
            connection.close()
        time.sleep(BEAT_SECONDS)
        return False

    def _beat(self, watched: list[int]) -> None:
        lease_until = _lease_from(clock.now())
        enough = lease_until.timestamp() - settings.EXECUTION_LEASE_SECONDS * RENEWED_AFTER
        with self._lock:
            due = [one for one in watched if self._leases.get(one, 0.0) <= enough]
        renewed: dict[int, str] = {}
        if due:
            renewed = transitions.renew_leases(due, worker=self.worker, lease_until=lease_until)
        held = dict(renewed)
        if len(held) < len(watched):
            others = [one for one in watched if one not in held]
            held |= transitions.held_executions(others, worker=self.worker)
        with self._lock:
            for execution_id in watched:
                if execution_id not in self._stops:
                    continue
                if execution_id in held and execution_id in renewed:
                    self._leases[execution_id] = lease_until.timestamp()
                if execution_id not in held:
                    self._stops[execution_id] = Stop.FENCED
                elif held[execution_id] == ExecutionState.TERMINATING:
                    self._stops[execution_id] = Stop.TERMINATE


def _lease_from(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS)
