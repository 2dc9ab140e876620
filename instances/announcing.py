"""Telling workers that there is work: a message carries an execution id and nothing else.

The row is the truth and the message a nudge (design §2): losing or doubling one changes latency
only, because claiming an execution is guarded and rescue announces again what nobody started.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import structlog
from celery import current_app

RUN_TASK = "instances.run"

logger = structlog.get_logger(__name__)


_workers_are_here = False


def note_workers_here() -> None:
    """Tell this process that workers of its own consume its messages (`manage.py up`)."""
    global _workers_are_here
    _workers_are_here = True


def reaches_workers() -> bool:
    """True when a message sent from this process can arrive.

    A broker in memory ends with its process: a command beside `manage.py up` would hold slots for
    executions that nobody hears of. It leaves dispatch to the sweep of the process with workers.
    """
    return _workers_are_here or not str(current_app.conf.broker_url).startswith("memory:")


class _Desk(threading.local):
    """What the worker in this thread takes itself, without a message."""

    queues: Collection[str] = ()
    room = 0
    taken = 0


_desk = _Desk()


@contextmanager
def taking(queues: Collection[str], room: int) -> Iterator[None]:
    """In the block, keep up to `room` announcements of the queues: their worker is right here.

    It claims them as it does any other; should it die before, rescue announces them.
    """
    _desk.queues, _desk.room, _desk.taken = queues, room, 0
    try:
        yield
    finally:
        _desk.queues, _desk.room, _desk.taken = (), 0, 0


def _keep(queue: str) -> bool:
    if _desk.taken >= _desk.room or queue not in _desk.queues:
        return False
    _desk.taken += 1
    return True


def announce(executions: Iterable[tuple[int, str]]) -> None:
    """Publish one message for each (execution id, queue). Call after the commit.

    A broker that is away is not an error here: rescue announces again.
    """
    listed = [(pk, queue) for pk, queue in executions if not _keep(queue)]
    if not listed:
        return
    try:
        with current_app.producer_or_acquire() as producer:
            for execution_id, queue in listed:
                current_app.send_task(RUN_TASK, (execution_id,), queue=queue, producer=producer)
    except Exception:  # whatever transport is configured may raise its own
        logger.warning("announcement_failed", executions=len(listed), exc_info=True)
