"""The Celery app: its settings are Django's, prefixed CELERY_."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

from billiard import active_children
from celery import Celery
from celery.bootsteps import StartStopStep
from celery.exceptions import WorkerTerminate
from celery.platforms import EX_FAILURE
from celery.signals import worker_init, worker_process_init, worker_process_shutdown

from projects.ground.memory_guard import guard_memory

# How long a process that is to end at once may take to kill its tasks and give them back.
GIVE_BACK_SECONDS = 10.0

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


class EndAtOnce(StartStopStep):
    """Make SIGQUIT end a prefork worker at once.

    Celery's own handler would cancel what it thinks the processes do, which is nothing, as a
    message only wakes their crew, and then wait for them. It also talks to the broker, within the
    signal: where that came amid a frame, the rest of the frame is never found, and the worker
    never ends. So the processes are told here, and the worker by its flag alone. From the moment
    there are processes: they take work before the worker is connected to its broker.
    """

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Celery calls this when the processes have been started."""
        if active_children() and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGQUIT, partial(_end_at_once, os.getpid()))


def _end_at_once(main: int, number: int, frame: FrameType | None) -> None:
    from celery.apps.worker import safe_say
    from celery.worker import state

    if os.getpid() != main:  # a process that is forked later inherits this handler
        return
    safe_say("worker: Ends at once (MainProcess)", sys.__stdout__)
    if state.should_terminate:  # heard before: this process hangs, on a silent broker perhaps
        raise WorkerTerminate(EX_FAILURE)
    state.should_terminate = EX_FAILURE
    for process in active_children():
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)


app.steps["worker"].add(EndAtOnce)


@worker_process_shutdown.connect
def _end_worker_process(exitcode: int, **_: Any) -> None:
    from instances.worker import process as worker_process

    process = worker_process.present()
    if exitcode >= 0:
        try:
            process.drain()
            return
        except SystemExit:  # told to end at once while we waited
            pass
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it comes again, and must not end this early
    process.end(GIVE_BACK_SECONDS)
