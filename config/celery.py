"""The Celery app: its settings are Django's, prefixed CELERY_."""

from __future__ import annotations

import os
import signal
import threading
import time
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

from projects.ground.memory_guard import guard_memory

# How long a process that is to end at once may take to kill its tasks and give them back.
GIVE_BACK_SECONDS = 10.0
# How often it is told so, once a second.
TOLD_AGAIN = 10

guard_memory()  # a worker's main process, beat, and every command of manage.py
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.development")


class BoundedCelery(Celery):
    """Celery whose publishers wait for a broker that does not answer no longer than others do."""

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """Return the connection of who publishes: beat, dispatch, whoever nudges."""
        if str(url or self.conf.broker_write_url).startswith(("amqp", "pyamqp")):
            seconds = self.conf.broker_connection_timeout
            given = options.get("transport_options") or {}
            # Not for consumers: they wait for messages, and have heartbeats.
            options["transport_options"] = {
                "read_timeout": seconds,
                "write_timeout": seconds,
                **given,
            }
        return super().connection_for_write(url, **options)


app = BoundedCelery("tidemill", fixups={"config.celery_fixup:fixup"})
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
    from instances.worker import process as worker_process  # its models need the app

    queues = app.amqp.queues.consume_from
    crew = worker_process.present().crew
    crew.serve(queue for queue in queues if queue != app.conf.task_default_queue)


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
            pids = [process.pid for process in active_children()]
            threading.Thread(target=_terminate, args=(pids,), name="hurry", daemon=True).start()
        if callable(then):
            then(number, frame)

    signal.signal(signal.SIGQUIT, hurry)


def _terminate(pids: list[int]) -> None:
    """Tell processes to end until they have: one that is just about to drain misses the signal."""
    for _ in range(TOLD_AGAIN):
        for pid in list(pids):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                pids.remove(pid)
        if not pids:
            return
        time.sleep(1)


@worker_process_shutdown.connect
def _end_worker_process(exitcode: int, **_: Any) -> None:
    from instances.worker import process as worker_process

    process = worker_process.present()
    if exitcode >= 0:
        try:
            process.drain()
            return
        except SystemExit:  # the signal above came while we waited
            pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes again, and must not end this early
    process.end(GIVE_BACK_SECONDS)
