"""Everything in one process: database, web, workers and timetable (`manage.py up`, `make up`)."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import cast

from django.core.management.base import OutputWrapper
from django.db import close_old_connections, connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper

from config.celery import app
from config.embedded.application import load_application
from config.embedded.data_directory import data_directory
from config.embedded.first_start import Login, ensure_first_login, migrate_when_needed
from config.embedded.postgres import ensure_server, release_server
from config.embedded.postgres_process import is_alive
from config.embedded.web_server import WebServer, listen
from config.embedded.workers import EmbeddedCelery
from instances.engine.rescue import announce_all_sent, release_executions_of
from instances.models import Execution
from instances.runners.users import why_not
from instances.states import IN_WORKER
from projects.ground import clock
from projects.models import ResourceGroup

logger = logging.getLogger(__name__)

# Room for executions. The database's slots say how many may run; room costs nothing until it is
# used, so there is enough for slots that are added while the process runs.
MINIMUM_ROOM = 64
STOP_SECONDS = 10.0
QUEUE_CHECK_SECONDS = 5.0


class Platform:
    """The running product; start it once and stop it once, also after a start that failed."""

    def __init__(self, *, host: str, port: int) -> None:
        """Take the address at once; port 0 takes a free port. Raises PortUnavailable."""
        self._listener = listen(host, port)
        self.address = _address(host, self._listener)
        self.login: Login | None = None
        self._celery: EmbeddedCelery | None = None
        self._web: WebServer | None = None
        self._stopping = threading.Event()
        self._queue_check = threading.Thread(
            target=self._follow_groups, name="queue-check", daemon=True
        )

    def start(self) -> None:
        """Start everything, bottom up. Raises EmbeddedPostgresError, BrokerUnreachable."""
        if _is_embedded():
            ensure_server(data_directory())
        migrate_when_needed()
        if _is_embedded():
            release_dead_workers()
        self.login = ensure_first_login()
        slots = sum(ResourceGroup.objects.values_list("slots", flat=True))
        connections.close_all()
        self._celery = EmbeddedCelery(
            app, group_queues=_group_queues(), room=max(slots, MINIMUM_ROOM)
        )
        self._web = WebServer(load_application(), self._listener)
        self._web.start()
        self._celery.start()
        self._queue_check.start()
        if _forgets_messages():
            announce_all_sent(now=clock.now())
        connections.close_all()

    def stop(self) -> bool:
        """Stop everything, top down, within STOP_SECONDS; False when a thread had to be left.

        Running tasks are ended and handed back: the next start runs them again.
        """
        self._stopping.set()
        deadline = time.monotonic() + STOP_SECONDS
        clean = True
        with contextlib.ExitStack() as rest:  # last in, first out, each whatever became of others
            if _is_embedded():
                rest.callback(release_server, data_directory())
            rest.callback(_close_connections)
            rest.callback(self._listener.close)
            if self._web is not None:
                rest.callback(self._web.stop)
            if self._celery is not None:
                self._celery.begin_stop()
                clean = self._celery.end(deadline - time.monotonic())
                clean = self._celery.wait_stopped(deadline - time.monotonic()) and clean
        return clean

    def _follow_groups(self) -> None:
        """Consume the queues of resource groups that are made while we run."""
        while not self._stopping.wait(QUEUE_CHECK_SECONDS):
            try:
                if self._celery is not None:
                    self._celery.groups.add_queues(_group_queues())
            except Exception:
                logger.exception("The resource groups could not be read; trying again.")
            finally:
                close_old_connections()


def serve(
    *,
    host: str,
    port: int,
    output: OutputWrapper,
    work: Callable[[threading.Event], int] | None = None,
) -> int:
    """Run the platform until Ctrl-C or SIGTERM; a second one ends it at once. Answers exit code.

    `work` is done once everything has started. It gets the event that a signal sets, may set it
    itself to end the platform, and its answer is the exit code.
    """
    began = time.monotonic()
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    platform = Platform(host=host, port=port)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        platform.start()
        output.write(f"Tidemill is at {platform.address} (started in {_seconds(began)} s)")
        output.write(_login_line(platform.login))
        if warning := tasks_warning():
            output.write(warning)
        output.write("Ctrl-C ends it.", ending="\n\n")
        output.flush()
        code = work(stop) if work is not None else 0
        stop.wait()
        began = time.monotonic()
        output.write("Stopping: running tasks go back to the queue …")
        output.flush()
    finally:
        stop.set()
        clean = platform.stop()
    output.write(f"Stopped in {_seconds(began)} s.")
    output.flush()
    if not clean:
        logger.warning("Some work did not end in time; it is taken up again at the next start.")
        os._exit(code)  # the interpreter would wait for its threads
    return code


def tasks_warning() -> str | None:
    """Return the line that says what tasks can reach, when that is everything."""
    if (reason := why_not()) is None:
        return None
    return (
        "Tasks run as the user of all this, so whoever may submit one can read the secrets too: "
        f"{reason}."
    )


def _login_line(login: Login | None) -> str:
    if login is None:
        return "Log in as one of its administrators."
    if login.password is not None:
        return (
            f"Log in as {login.user_name} with the password {login.password} "
            "(shown only this once)."
        )
    return (
        f"Log in as {login.user_name} with the password shown at the first start "
        f"(forgotten: manage.py changepassword {login.user_name})."
    )


def _close_connections() -> None:
    """Close this thread's connection, and the pool that all threads share."""
    connections.close_all()
    if connection.settings_dict["OPTIONS"].get("pool"):
        cast(DatabaseWrapper, connection).close_pool()


def release_dead_workers() -> int:
    """Give back what processes of this machine held when they died; answers the executions.

    Rescue would find them when their leases run out. Here nobody needs to wait: only processes of
    this machine reach the embedded database, so a pid that is gone says enough.
    """
    released = 0
    held = Execution.objects.filter(state__in=IN_WORKER).values_list("worker", flat=True)
    for worker in held.distinct():
        host, _, rest = worker.partition(":")
        pid, _, _ = rest.partition(":")
        if host == socket.gethostname() and pid.isdigit() and not is_alive(int(pid)):
            released += release_executions_of(worker)
    return released


def _forgets_messages() -> bool:
    """Whether the broker lives and dies with this process."""
    return app.conf.broker_url.startswith("memory:")


def _is_embedded() -> bool:
    return connection.settings_dict["ENGINE"] == "config.embedded.backend"


def _group_queues() -> list[str]:
    return [group.queue for group in ResourceGroup.objects.only("name")]


def _address(host: str, listener: socket.socket) -> str:
    """The address to type into a browser on this machine."""
    name = "127.0.0.1" if host in ("", "0.0.0.0") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"


def _seconds(began: float) -> str:
    return f"{time.monotonic() - began:.1f}"
