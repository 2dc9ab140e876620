"""Telling workers that there is work: a message carries an execution id and nothing else.

The row is the truth and the message a nudge (design §2): losing or doubling one changes latency
only, because claiming an execution is guarded and rescue announces again what nobody started.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from kombu import Connection

from instances import transitions
from projects.ground import clock
from projects.models.resource_group import group_of_queue

RUN_TASK = "instances.run"
SWEEP_TASK = "instances.sweep"

logger = structlog.get_logger(__name__)


_workers_are_here = False
_rest_until = 0.0  # on the monotonic clock


def note_workers_here(here: bool) -> None:
    """Tell this process whether a crew of its own looks for work, told or not."""
    global _workers_are_here
    _workers_are_here = here


def reaches_workers() -> bool:
    """True when a message sent from this process can arrive.

    A broker in memory ends with its process: a command beside `manage.py up` would hold slots for
    executions that nobody hears of. It leaves dispatch to the sweep of the process with workers.
    """
    return _workers_are_here or not str(current_app.conf.broker_url).startswith("memory:")


class Desk:
    """What the worker in a thread takes itself, without a message, and what it has taken.

    room: says how many more it can take. adopt: tells it of executions that are its own by now,
    asked for at a time or later; `claimed` has all of them, asked for at `since` or later. looked:
    it has claimed all that there was, or as many as it has room for, and nothing was kept for it
    since.
    """

    def __init__(
        self,
        queues: Collection[str],
        *,
        worker: str,
        room: Callable[[], int],
        adopt: Callable[[list[int], datetime], None],
    ) -> None:
        self.queues = queues
        self.claimed: list[int] = []
        self.since = clock.now()
        self.looked = False
        self._worker, self._room, self._adopt = worker, room, adopt
        self._kept = 0

    def claim(self) -> list[int]:
        """Claim in the transaction that sent some: one commit less until they run.

        Of all its queues, the oldest first, as the worker does by itself: none waits behind those
        of another group.
        """
        room = self._room()
        if room <= 0:
            return []
        now = clock.now()
        claimed = transitions.claim_executions(
            [group_of_queue(queue) for queue in self.queues],
            room=room,
            worker=self._worker,
            lease_until=now + timedelta(seconds=settings.EXECUTION_LEASE_SECONDS),
            now=now,
        )
        transaction.on_commit(partial(self._note, claimed, now))
        return claimed

    def _note(self, claimed: list[int], now: datetime) -> None:
        if not self.claimed:
            self.since = now
        self.claimed += claimed
        self.looked, self._kept = True, 0
        self._adopt(claimed, now)

    def keep(self, queue: str) -> bool:
        """Whether the worker has room for one of the queue: it claims it as it does any other.

        Should it die before, rescue announces it.
        """
        if queue not in self.queues or self._kept >= self._room():
            return False
        self._kept += 1
        self.looked = False
        return True


class _Thread(threading.local):
    desk: Desk | None = None


_thread = _Thread()


@contextmanager
def taking(desk: Desk) -> Iterator[None]:
    """In the block, leave what is sent to the desk's worker, as long as that has room."""
    _thread.desk = desk
    try:
        yield
    finally:
        _thread.desk = None


def claim_here(queue: str) -> list[int]:
    """Claim for the worker in this thread, if it serves the queue: see `Desk.claim`."""
    desk = _thread.desk
    return desk.claim() if desk is not None and queue in desk.queues else []


def announce(executions: Iterable[tuple[int, str]]) -> None:
    """Publish one message for each (execution id, queue). Call after the commit.

    A broker that is away is not an error here: rescue announces again, and until then workers find
    the work by themselves. For a while it is left alone: each try may take seconds, and those who
    dispatch have better things to do. A message that is as old as the next one is of no use.
    """
    desk = _thread.desk
    listed = [(pk, queue) for pk, queue in executions if desk is None or not desk.keep(queue)]
    if not listed or time.monotonic() < _rest_until:
        return
    try:
        with current_app.producer_or_acquire() as producer:
            for execution_id, queue in listed:
                current_app.send_task(
                    RUN_TASK,
                    (execution_id,),
                    queue=queue,
                    producer=producer,
                    expires=settings.DISPATCH_RESEND_SECONDS,
                )
    except Exception:  # whatever transport is configured may raise its own
        _rest()
        logger.warning("announcement_failed", executions=len(listed), exc_info=True)


def unless_told(executions: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return those on whose queue no message waits: one that does wakes whoever comes for it.

    So that the queue of a group without a worker does not grow.
    """
    listed = list(executions)
    if not listed or time.monotonic() < _rest_until:
        return []
    try:
        with current_app.connection_or_acquire() as link:
            empty = {queue for queue in {queue for _, queue in listed} if _is_empty(link, queue)}
    except Exception:
        _rest()
        logger.warning("queues_not_seen", executions=len(listed), exc_info=True)
        return []
    return [(pk, queue) for pk, queue in listed if queue in empty]


def _is_empty(link: Connection, queue: str) -> bool:
    with link.channel() as channel:  # AMQP closes it when there is no such queue
        try:
            return not channel.queue_declare(queue, passive=True).message_count
        except link.channel_errors:
            return True


def _rest() -> None:
    global _rest_until
    _rest_until = time.monotonic() + settings.BROKER_REST_SECONDS


def nudge_sweep() -> None:
    """Have the system queue go on with work that is left to it. Call after the commit.

    Lost, the message costs time: the timetable sends one as well.
    """
    nudge(SWEEP_TASK, expires=15)


def nudge(job: str, *, expires: int) -> None:
    """Send a message for a job of the system queue, unless one waits there already.

    expires: seconds. Call after the commit. A job with work left nudges itself, and so does each
    of the timetable's: without the note of the message that waits there would be more of them every
    few seconds, each with its own successor, as long as there is work. The job calls `begin_job`.
    """
    if not reaches_workers() or time.monotonic() < _rest_until:
        return
    message = str(uuid.uuid4())
    try:
        if not _note_message(job, message, expires=expires):
            return
        try:
            current_app.send_task(job, task_id=message, expires=expires)
        except Exception:  # whatever transport is configured may raise its own
            _rest()
            begin_job(message)  # it does not wait anywhere
            raise
    except Exception:
        logger.warning("nudge_failed", task=job, exc_info=True)


def begin_job(message: str | None) -> None:
    """Take the note of a message away, if it was a nudge: from now on another one may be sent.

    What is committed later than this may not be seen by the job. message: its id.
    """
    if message is not None:
        _forget("message = %s", message)


def _note_message(job: str, message: str, *, expires: int) -> bool:
    """Write down that a message for the job waits; False when there is one that may still come."""
    now = clock.now()
    _forget("job = %s AND expires_at <= %s", job, now)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO instances_nudge (job, message, expires_at) VALUES (%s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            [job, message, now + timedelta(seconds=expires)],
        )
        return bool(cursor.rowcount)


def _forget(condition: str, *arguments: datetime | str) -> None:
    # A note that somebody holds is not waited for: it expires.
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM instances_nudge WHERE job IN (SELECT job FROM instances_nudge"
            f" WHERE {condition} FOR UPDATE SKIP LOCKED)",
            arguments,
        )
