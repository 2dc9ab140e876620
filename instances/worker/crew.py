"""The crew: what a worker process does with its executions, many at a time.

A message only wakes the crew. It claims as many sent executions as it has room for, runs each in
a thread, and reports those that ended, together: while one transaction is under way others end and
go into the next, so under load many share one and when idle none waits. What its own reports make
ready it takes at once, without the way through the broker.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import count
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog
from django.conf import settings
from django.db import connection

from instances.engine.announcing import Desk, taking
from instances.engine.completion import Result, complete, complete_in_parts
from instances.engine.rescue import given_back
from instances.error_codes import ErrorCode
from instances.logs.writing import COMPRESS_FROM_BYTES, compress_log
from instances.worker.execution import Attempt, begin, claim, exhausted, run
from instances.worker.life import Life
from instances.worker.pulse import Stop
from projects.ground import clock
from projects.ground.database import is_away, is_cancelled, patience
from projects.ground.threads import Hands, insist

T = TypeVar("T")

# Seconds between attempts at the database when it is away; executions go on meanwhile.
AGAIN_SECONDS = 0.5
# A crew with room looks for work this often, told or not: a message may have gone to a process that
# was full, or nowhere. The longer nothing comes the seldomer, down to IDLE_LOOK_SECONDS.
LOOK_SECONDS = 2.0
# How often a step that takes too long for the server is done before it counts as refused.
MOST_CANCELLED = 3
# A result whose rows somebody holds is reported again after at most the first of these times: they
# may only be in demand, as is what many wait for that end at once, and these part ways. Each time
# it is twice as long, up to the second.
HELD_FIRST_SECONDS = 1.0
HELD_AGAIN_SECONDS = 5.0
# For so long a report looks for those of its results that nobody holds.
PARTS_SECONDS = 5.0
# Text of the logs that are stored with the results of one transaction, about.
LOG_CHARACTERS = 4 * 1024 * 1024

logger = structlog.get_logger(__name__)


class Crew:
    """The executions of one process. `nudge` may be called from any thread."""

    def __init__(self, life: Life, *, room: int) -> None:
        """room: how many executions at a time."""
        self._life = life
        # Those that the worker was started with, or that a message came from.
        self.queues: set[str] = set()
        self._pulse = life.pulse
        self._room = room
        self._inbox: SimpleQueue[Result | None] = SimpleQueue()
        self._running: set[int] = set()
        self._ending: set[int] = set()  # of those: reported in what is being committed
        # Those that wait for a thread: whoever takes one out, its thread or the crew, has it.
        self._handed: dict[int, Attempt] = {}
        self._rests_until = 0.0
        self._hands = Hands(room, name="execution")
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._draining = threading.Event()
        self._look_seconds = 0.0  # the first look comes at once
        self._held: list[Result] = []
        self._held_until = 0.0
        self._held_seconds = 0.0

    def serve(self, queues: Iterable[str]) -> None:
        """Look for work of the queues from now on. Returns at once."""
        self.queues.update(queues)
        with self._starting:
            if self._thread is None and self.queues:
                self._pulse.start()
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
        self._hands.close()
        return True

    def work(self, queue: str) -> None:
        """Run all the work of the queue in this thread, until nothing is left; then it ends."""
        self.queues.add(queue)
        self._take()
        while self._running:
            if ended := self._ended():
                self._report(ended)
        self._hands.close()

    def _serve(self) -> None:
        while not (self._draining.is_set() and not self._running):
            try:
                ended = self._ended()
                self._report(ended) if ended else self._take()
            except Exception:
                # Nothing may end this thread: the pulse would renew what nobody reports.
                with suppress(Exception):
                    logger.exception("crew_stumbled")
                with suppress(Exception):
                    connection.close()
        self._hands.close()
        connection.close()

    def _ended(self) -> list[Result]:
        """Wait for a result or a nudge, not for long; return the results there are.

        What is left, when their logs are long, comes with the next call.
        """
        results: list[Result] = []
        log, is_heard = 0, False
        with suppress(Empty):
            result = self._inbox.get(timeout=self._patience())
            is_heard = True
            while True:
                if result is not None:
                    results.append(result)
                    log += sum(len(text) for _, text in result.log)
                if log >= LOG_CHARACTERS:
                    break
                result = self._inbox.get_nowait()
        longer = min(2 * self._look_seconds, settings.IDLE_LOOK_SECONDS)
        self._look_seconds = LOOK_SECONDS if is_heard else max(longer, LOOK_SECONDS)
        if self._held and time.monotonic() >= self._held_until:
            results += self._held
            self._held = []
        return results

    def _patience(self) -> float:
        """Return for how many seconds there is nothing to do but what comes in."""
        if not self._held:
            return self._look_seconds
        return min(self._look_seconds, max(self._held_until - time.monotonic(), 0.0))

    @property
    def _open_room(self) -> int:
        return self._room_without(0)

    def _room_without(self, ended: int) -> int:
        """Return how many more could be taken once `ended` of those that run are reported."""
        resting = time.monotonic() < self._rests_until
        return 0 if resting or self._stopping else self._room - len(self._running) + ended

    @property
    def _stopping(self) -> bool:
        return self._draining.is_set() or self._pulse.shutting_down.is_set()

    def _report(self, results: list[Result]) -> None:
        """Complete executions that ended and take what that made ready."""
        ids = {result.execution_id for result in results}
        if any(result.error_code == ErrorCode.WORKER_EXHAUSTED for result in results):
            # Others may have what this process has not; it would take and lose all there is.
            self._rests_until = time.monotonic() + settings.EXHAUSTED_REST_SECONDS
        # One that was closed by somebody else is no business of ours any more.
        ours = [one for one in results if self._pulse.stop_of(one.execution_id) is not Stop.FENCED]
        desk = Desk(
            list(self.queues),
            worker=self._pulse.worker,
            room=lambda: self._room_without(len(self._ending)),
            adopt=self._adopt,
        )
        try:
            with taking(desk):
                held = self._complete(ours)
            if held:  # by somebody for long: they are reported later, and live until then
                logger.warning("results_held", executions=[one.execution_id for one in held])
                ids.difference_update(result.execution_id for result in held)
                self._held += held
                self._held_seconds = min(
                    2 * self._held_seconds or HELD_FIRST_SECONDS, HELD_AGAIN_SECONDS
                )
                self._held_until = time.monotonic() + self._held_seconds * random.uniform(0.2, 1)
            elif not self._held:
                self._held_seconds = 0.0
        finally:
            self._ending.clear()
            self._running.difference_update(ids)
            self._pulse.unwatch(ids)
            self._start(desk.claimed, since=desk.since)
        for result in results:
            if result.log_bytes >= COMPRESS_FROM_BYTES:
                with suppress(MemoryError):  # it stays as it is
                    compress = partial(self._with_connection, compress_log, result.execution_id)
                    self._hands.submit(compress)
        if not desk.looked:
            self._take()

    def _complete(self, results: list[Result]) -> list[Result]:
        """Complete executions; one that the database refuses must not hold up the others.

        Returns those that are to be completed later, as somebody holds their rows.
        """
        if not results:
            return []
        try:
            return self._insist(
                lambda: complete_in_parts(
                    self._complete_part,
                    results,
                    seconds=PARTS_SECONDS,
                    now=clock.now(),
                    worker=self._pulse.worker,
                )
            )[1]
        except Exception as error:
            if _passes(error):
                raise
            logger.exception("results_refused", executions=[one.execution_id for one in results])
            if len(results) > 1:
                return [held for result in results for held in self._complete([result])]
            if results[0] != _not_noted(results[0].execution_id):
                return self._complete([_not_noted(results[0].execution_id)])
            return []

    def _complete_part(self, results: list[Result], **options: Any) -> list[int]:
        """Complete executions; what that sets going may have the room that they leave."""
        ids = {result.execution_id for result in results}
        self._ending |= ids
        try:
            return complete(results, **options)
        except BaseException:
            self._ending -= ids
            raise

    def _take(self) -> None:
        """Claim and start as many as there is room for."""
        room = self._open_room
        if room <= 0:
            return
        ids, since = self._insist(lambda: self._claim(room), unless=self._draining)
        self._start(ids, since=since)

    def _adopt(self, ids: list[int], since: datetime) -> None:
        """Renew executions from now on that were claimed at `since` or later."""
        self._pulse.watch(ids, since=since)
        self._running.update(ids)

    def _start(self, ids: list[int], *, since: datetime) -> None:
        """Start executions that were claimed at `since` or later."""
        if not ids:
            return
        self._look_seconds = LOOK_SECONDS
        left = set(ids)
        try:
            if new := [pk for pk in ids if pk not in self._running]:
                self._adopt(new, since)
            for attempt in self._begin(ids):
                self._hand(attempt)
                left.discard(attempt.execution_id)
        except Exception as error:
            # The pulse renews them all: what no thread runs must be reported from here.
            for pk in left:
                self._put(
                    partial(given_back, pk) if self._stopping else partial(exhausted, pk, error)
                )
            raise
        # Their rows are gone, and nobody waits for them.
        self._running.difference_update(left)
        self._pulse.unwatch(left)

    def _hand(self, attempt: Attempt) -> None:
        """Give an execution to a thread; its result comes to the inbox, whatever happens."""
        pk = attempt.execution_id
        if (refusal := attempt.refusal) is not None:
            self._put(lambda: refusal)
            return
        self._handed[pk] = attempt
        try:
            self._hands.submit(partial(self._run, pk))
        except Exception as error:  # noqa: BLE001  # no memory
            # A thread may have it all the same.
            if self._handed.pop(pk, None) is not None:
                self._put(partial(exhausted, pk, error))

    def _claim(self, room: int) -> tuple[list[int], datetime]:
        since = clock.now()
        if self._stopping:  # told so while the database was away
            return [], since
        return claim(list(self.queues), room=room, worker=self._pulse.worker), since

    def _begin(self, ids: list[int]) -> list[Attempt]:
        """Prepare executions; one that the database refuses must not hold up the others."""
        try:
            return self._insist(lambda: begin(ids, worker=self._pulse.worker))
        except Exception as error:
            if _passes(error):
                raise
            logger.exception("executions_refused", executions=ids)
            if len(ids) > 1:
                return [attempt for pk in ids for attempt in self._begin([pk])]
            return [Attempt(ids[0], 0, refusal=_not_noted(ids[0]))]

    def _run(self, execution_id: int) -> None:
        attempt = self._handed.pop(execution_id, None)
        if attempt is None:
            return  # it was given back
        result = _not_seen_through(execution_id)
        try:
            result = self._with_connection(run, attempt, self._life)
            if self._pulse.shutting_down.is_set() and result.error_code == ErrorCode.WORKER_LOST:
                # What runs goes with this process, whichever of its parts ends first.
                back = given_back(execution_id)
                result = replace(back, log=result.log, log_bytes=result.log_bytes)
        finally:
            self._put(lambda: result)

    def _put(self, result: Callable[[], Result]) -> None:
        """Pass on what became of an execution: what does not come in is kept for ever."""
        insist(lambda: self._inbox.put(result()))

    def _insist(self, step: Callable[[], T], *, unless: threading.Event | None = None) -> T:
        """Do a step on the database, again and again while it is away, `unless` that is set.

        Results are not lost by a restart of the database: leases outlast it, or the executions are
        closed by rescue and our report then finds nothing to close. So a crew that drains does not
        wait for longer than a lease. What takes too long each time is no better for being repeated.
        """
        began = time.monotonic()
        cancelled = 0
        for attempt in count():
            try:
                with patience(settings.WORKER_ANSWER_SECONDS * 2 ** min(attempt, 8)):
                    return step()
            except Exception as error:
                cancelled += is_cancelled(error)
                again = _passes(error) or (is_cancelled(error) and cancelled < MOST_CANCELLED)
                if not again or connection.in_atomic_block:
                    raise
                logger.warning("database_away", exc_info=True)
                with suppress(Exception):
                    connection.close()
                waited = time.monotonic() - began
                if self._draining.is_set() and waited > settings.EXECUTION_LEASE_SECONDS:
                    raise
                if (unless or self._pulse.shutting_down).wait(AGAIN_SECONDS):
                    raise
        raise AssertionError("there is always another attempt")

    @staticmethod
    def _with_connection(step: Callable[..., T], *arguments: object) -> T:
        try:
            with patience(settings.WORKER_ANSWER_SECONDS):
                return step(*arguments)
        finally:
            with suppress(Exception):
                connection.close()


def _passes(error: Exception) -> bool:
    """Whether the database is away, or there is no memory to ask it."""
    return is_away(error) or isinstance(error, MemoryError)


def _not_noted(execution_id: int) -> Result:
    message = "What the execution was to note cannot be stored; the worker's log says why."
    return Result(execution_id, ErrorCode.INTERNAL_ERROR, message)


def _not_seen_through(execution_id: int) -> Result:
    message = "The worker had not even the memory to say why it could not run it."
    return Result(execution_id, ErrorCode.WORKER_EXHAUSTED, message)
