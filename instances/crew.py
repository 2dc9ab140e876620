"""The crew: what a worker process does with its executions, many at a time.

A message only wakes the crew. It claims as many sent executions as it has room for, runs each in
a thread, and reports those that ended, together: while one transaction is under way others end and
go into the next, so under load many share one and when idle none waits. What its own reports make
ready it takes at once, without the way through the broker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

from instances.announcing import taking
from instances.completion import Result, complete
from instances.execution import Attempt, begin, claim, run
from instances.logs.writing import COMPRESS_FROM_BYTES, compress_log
from instances.pulse import Pulse
from instances.runners.error_codes import ErrorCode
from projects import clock

T = TypeVar("T")

# What the database answers when it is away; any other error is about what it was asked to do.
_AWAY = (OperationalError, InterfaceError)

# Seconds between attempts at the database when it is away; executions go on meanwhile.
AGAIN_SECONDS = 0.5
# A crew with room looks for work this often, told or not: a message may have gone to a process that
# was full, or nowhere.
LOOK_SECONDS = 2.0

logger = structlog.get_logger(__name__)


class Crew:
    """The executions of one process. `nudge` may be called from any thread."""

    def __init__(self, pulse: Pulse, *, room: int) -> None:
        """room: how many executions at a time."""
        # Those that the worker was started with, or that a message came from.
        self.queues: set[str] = set()
        self._pulse = pulse
        self._room = room
        self._inbox: SimpleQueue[Result | None] = SimpleQueue()
        self._running: set[int] = set()
        self._pool = ThreadPoolExecutor(room, thread_name_prefix="execution")
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._draining = threading.Event()

    def serve(self, queues: Iterable[str]) -> None:
        """Look for work of the queues from now on. Returns at once."""
        self.queues.update(queues)
        with self._starting:
            if self._thread is None and self.queues:
                self._thread = threading.Thread(target=self._serve, name="crew", daemon=True)
                self._thread.start()

    def nudge(self, queue: str) -> None:
        """Say that there may be work for the queue; returns at once."""
        self.serve([queue])
        self._inbox.put(None)

    def drain(self, timeout: float | None = None) -> bool:
        """Take no more work and wait until what runs has ended; False when time was up."""
        self._draining.set()
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join(timeout)
            return not self._thread.is_alive()
        return True

    def work(self, queue: str) -> None:
        """Run all the work of the queue in this thread, until nothing is left; then it ends."""
        self.queues.add(queue)
        self._take()
        while self._running:
            if ended := self._ended():
                self._report(ended)
        self._pool.shutdown()

    def _serve(self) -> None:
        while not (self._draining.is_set() and not self._running):
            ended = self._ended()
            try:
                self._report(ended) if ended else self._take()
            except Exception:
                logger.exception("crew_stumbled")
                connection.close()
        connection.close()

    def _ended(self) -> list[Result]:
        """Wait for a result or a nudge, not for long; return all results there are."""
        inbox: list[Result | None] = []
        with suppress(Empty):
            inbox.append(self._inbox.get(timeout=LOOK_SECONDS))
            while True:
                inbox.append(self._inbox.get_nowait())
        return [result for result in inbox if result is not None]

    @property
    def _open_room(self) -> int:
        return self._room_without(0)

    def _room_without(self, ended: int) -> int:
        """Return how many more could be taken once `ended` of those that run are reported."""
        stopping = self._draining.is_set() or self._pulse.shutting_down.is_set()
        return 0 if stopping else self._room - len(self._running) + ended

    def _report(self, results: list[Result]) -> None:
        """Complete executions that ended and take what that made ready."""
        ids = [result.execution_id for result in results]
        try:
            with taking(list(self.queues), self._room_without(len(results))):
                self._complete(results)
        finally:
            self._running.difference_update(ids)
            self._pulse.unwatch(ids)
        for result in results:
            if result.log_bytes >= COMPRESS_FROM_BYTES:
                self._pool.submit(self._with_connection, compress_log, result.execution_id)
        self._take()

    def _complete(self, results: list[Result]) -> None:
        """Complete executions; one that the database refuses must not hold up the others."""
        try:
            self._insist(lambda: complete(results, now=clock.now()))
        except _AWAY:
            raise
        except Exception:
            logger.exception("results_refused", executions=[one.execution_id for one in results])
            if len(results) > 1:
                for result in results:
                    self._complete([result])
            elif results[0] != _not_noted(results[0].execution_id):
                self._complete([_not_noted(results[0].execution_id)])

    def _take(self) -> None:
        """Claim and start as many as there is room for."""
        room = self._open_room
        if room <= 0:
            return
        ids, since = self._insist(lambda: self._claim(room))
        if not ids:
            return
        self._pulse.watch(ids, since=since)
        self._running.update(ids)
        for attempt in self._begin(ids):
            self._pool.submit(self._run, attempt)

    def _claim(self, room: int) -> tuple[list[int], datetime]:
        since = clock.now()
        return claim(list(self.queues), room=room, worker=self._pulse.worker), since

    def _begin(self, ids: list[int]) -> list[Attempt]:
        """Prepare executions; one that the database refuses must not hold up the others."""
        try:
            return self._insist(lambda: begin(ids))
        except _AWAY:
            raise
        except Exception:
            logger.exception("executions_refused", executions=ids)
            if len(ids) > 1:
                return [attempt for pk in ids for attempt in self._begin([pk])]
            self._inbox.put(_not_noted(ids[0]))
            return []

    def _run(self, attempt: Attempt) -> None:
        self._inbox.put(self._with_connection(run, attempt, self._pulse))

    def _insist(self, step: Callable[[], T]) -> T:
        """Do a step on the database, again and again while it is away.

        Results are not lost by a restart of the database: leases outlast it, or the executions are
        closed by rescue and our report then finds nothing to close.
        """
        while True:
            try:
                return step()
            except _AWAY:
                if connection.in_atomic_block:
                    raise
                logger.warning("database_away", exc_info=True)
                connection.close()
                if self._pulse.shutting_down.wait(AGAIN_SECONDS):
                    raise

    @staticmethod
    def _with_connection(step: Callable[..., T], *arguments: object) -> T:
        try:
            return step(*arguments)
        finally:
            connection.close()


def _not_noted(execution_id: int) -> Result:
    message = "What the execution was to note cannot be stored; the worker's log says why."
    return Result(execution_id, ErrorCode.INTERNAL_ERROR, message)
