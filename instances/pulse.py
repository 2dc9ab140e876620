"""The pulse of a worker process: it renews the leases of what runs here and hears what must stop.

One thread, and one or two queries a beat for all executions of the process. An execution that they
do not answer was closed by somebody else; one that answers TERMINATING is to be killed. A lease is
renewed when a sixth of it has passed: a row a second for each of hundreds of executions is a load,
and five tries that fail leave it standing.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from django.conf import settings
from django.db import close_old_connections, connection

from instances import transitions
from instances.runners.error_codes import ErrorCode
from instances.states import ExecutionState
from projects import clock

BEAT_SECONDS = 0.5
RENEWED_AFTER = 1 / 6  # of a lease

logger = structlog.get_logger(__name__)


class Stop(StrEnum):
    """Why a running execution must stop: the error code of its end, or the reason in words."""

    TERMINATE = ErrorCode.TERMINATED.value  # an operator asked for it: report the end
    FENCED = "It was closed while it ran"  # by somebody else: its end counts for nothing
    SHUTDOWN = ErrorCode.WORKER_STOPPED.value  # the worker ends: give the work back


class Pulse:
    """Watches the executions of one process; make one with `current()`."""

    def __init__(self, worker: str) -> None:
        self.worker = worker
        self.shutting_down = threading.Event()
        self._stops: dict[int, Stop | None] = {}
        self._leases: dict[int, float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, execution_ids: Sequence[int], *, since: datetime) -> None:
        """Keep the leases of executions alive, which were claimed at `since` or after it."""
        lease_until = _lease_from(since)
        with self._lock:
            self._stops.update(dict.fromkeys(execution_ids))
            self._leases.update(dict.fromkeys(execution_ids, lease_until.timestamp()))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)
                self._thread.start()
        self._wake.set()

    def unwatch(self, execution_ids: Iterable[int]) -> None:
        """Forget executions that were reported."""
        with self._lock:
            for execution_id in execution_ids:
                self._stops.pop(execution_id, None)
                self._leases.pop(execution_id, None)

    def stop_of(self, execution_id: int) -> Stop | None:
        """Return why the execution must stop, or None when it may go on."""
        if self.shutting_down.is_set():
            return Stop.SHUTDOWN
        return self._stops.get(execution_id)

    def lease_of(self, execution_id: int) -> float:
        """Return until when the execution is surely ours, in seconds since the epoch."""
        return self._leases[execution_id]

    def _run(self) -> None:
        while True:
            self._wake.wait()
            with self._lock:
                watched = list(self._stops)
                if not watched:
                    self._wake.clear()
                    continue
            try:
                self._beat(watched)
                close_old_connections()
            except Exception:
                # The database is away: executions go on until their leases run out. Whatever else
                # it is, this thread must not end.
                logger.warning("pulse_failed", executions=len(watched), exc_info=True)
                connection.close()
            threading.Event().wait(BEAT_SECONDS)

    def _beat(self, watched: list[int]) -> None:
        lease_until = _lease_from(clock.now())
        enough = lease_until.timestamp() - settings.EXECUTION_LEASE_SECONDS * RENEWED_AFTER
        with self._lock:
            due = [one for one in watched if self._leases.get(one, 0.0) <= enough]
        renewed = set(due)
        held: dict[int, str] = {}
        if due:
            held |= transitions.renew_leases(due, worker=self.worker, lease_until=lease_until)
        if len(due) < len(watched):
            others = [one for one in watched if one not in renewed]
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


_current: Pulse | None = None
_owner: int | None = None
_making = threading.Lock()


def current() -> Pulse:
    """Return the pulse of this process; a forked child gets one of its own."""
    global _current, _owner
    with _making:
        if _current is None or _owner != os.getpid():
            _current = Pulse(f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
            _owner = os.getpid()
        return _current
