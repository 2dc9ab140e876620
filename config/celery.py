"""The Celery app: its settings are Django's, prefixed CELERY_."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

from billiard import active_children
from celery import Celery
from celery.signals import (
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
)

# How long a process that is to end at once may take to kill its tasks and give them back.
GIVE_BACK_SECONDS = 10.0

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.development")

app = Celery("tidemill", fixups={"config.celery_fixup:fixup"})
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def _begin_processes_after_celery(**_: Any) -> None:
    """Have `_begin_worker_process` called after Celery's Django fixup, which has connected by now.

    The fixup closes the descriptors of connections that it takes for the parent's. One that was
    opened here before would be closed twice, the second time as whatever got its number meanwhile:
    another connection, or the socket to the spawner.
    """
    worker_process_init.connect(_begin_worker_process)


def _begin_worker_process(**_: Any) -> None:
    from instances import worker_process  # models are loaded after the app is made

    queues = app.amqp.queues.consume_from
    worker_process.crew().serve(queue for queue in queues if queue != app.conf.task_default_queue)


@worker_ready.connect
def _hurry_on_sigquit(**_: Any) -> None:
    """Make SIGQUIT end a prefork worker's processes at once.

    Celery cancels what it thinks they do, which is nothing as a message only wakes their crew, and
    then waits for them.
    """
    if not (active_children() and threading.current_thread() is threading.main_thread()):
        return
    then, worker = signal.getsignal(signal.SIGQUIT), os.getpid()

    def hurry(number: int, frame: FrameType | None) -> None:
        if os.getpid() == worker:  # a process that is forked later inherits this handler
            for process in active_children():
                process.terminate()
        if callable(then):
            then(number, frame)

    signal.signal(signal.SIGQUIT, hurry)


@worker_process_shutdown.connect
def _end_worker_process(exitcode: int, **_: Any) -> None:
    from instances import worker_process

    if exitcode < 0:  # by the signal above
        worker_process.end(GIVE_BACK_SECONDS)
        return
    try:
        worker_process.drain()
    except SystemExit:  # the signal came while we waited
        worker_process.end(GIVE_BACK_SECONDS)
