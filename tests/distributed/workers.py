"""Real Celery workers in processes of their own, on the test database and a real broker."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
from celery import Celery
from cryptography.fernet import Fernet
from django.db import connection

from config.embedded.data_directory import PROJECT_DIRECTORY
from instances.engine.announcing import RUN_TASK
from instances.models import Instance
from projects.models import ResourceGroup
from tests.support.waiting import wait_for

START_SECONDS = 120
STOP_SECONDS = 30


def answers(url: str) -> bool:
    """Whether something listens at the address of the URL."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10).close()
    except OSError:
        return False
    return True


def database_url() -> str:
    """The URL of the test database, for processes of their own."""
    settings = connection.settings_dict
    user, password, host, port, name = (
        quote(str(settings[key] or ""), safe="")
        for key in ("USER", "PASSWORD", "HOST", "PORT", "NAME")
    )
    login = f"{user}:{password}" if password else user
    socket_folder = settings["OPTIONS"].get("host")
    if socket_folder:  # the embedded database
        return f"postgresql://{login}@/{name}?host={quote(socket_folder, safe='')}"
    return f"postgresql://{login}@{host}:{port or 5432}/{name}"


class Worker:
    """A worker with one process, in production's settings."""

    def __init__(self, broker: str, queues: Iterable[str], data: Path) -> None:
        self._log = data / "worker.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "--app", "config", "worker"),
                    *("--loglevel", "INFO", "--concurrency", "1", "--without-gossip"),
                    *("--without-mingle", "--hostname", f"test-{secrets.token_hex(4)}@%h"),
                    *("--queues", ",".join(queues)),
                ],
                cwd=PROJECT_DIRECTORY,
                env=os.environ
                | {
                    "DJANGO_SETTINGS_MODULE": "config.settings.production",
                    "SECRET_KEY": secrets.token_urlsafe(48),
                    "TIDEMILL_KEYS": Fernet.generate_key().decode(),
                    "ALLOWED_HOSTS": "localhost",
                    "DATABASE_URL": database_url(),
                    "BROKER_URL": broker,
                    "TIDEMILL_DATA": str(data),
                    "TASK_USERS": "false",  # they stand for workers that are not root
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def pids(self) -> set[int]:
        """The processes that run executions."""
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop_at_once(self) -> None:
        """End it and what it runs."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        """Tell it to end, and use force when that takes too long: Celery may miss a signal."""
        if not self.ended():
            self.send(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running(broker: str, groups: Iterable[ResourceGroup], data: Path) -> Iterator[list[Worker]]:
    """One worker for each group, all of them ready, for the length of the block."""
    workers = []
    try:
        for group in groups:
            (data / group.name).mkdir()
            workers.append(Worker(broker, [group.queue], data / group.name))
        for worker in workers:
            wait_for(lambda worker=worker: bool(consumers_of(worker)), START_SECONDS)
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def consumers_of(worker: Worker) -> set[int]:
    """Its processes once it takes messages; raises when it ended before."""
    assert not worker.ended(), worker.log
    return worker.pids() if "[queues]" in worker.log else set()


@contextlib.contextmanager
def publishing(broker: str) -> Iterator[Callable[[Iterable[tuple[int, str]]], None]]:
    """Publish executions as the product does; delete the queues that were used in the end."""
    app = Celery(broker=broker, set_as_current=False)
    used: set[str] = set()

    def announce(executions: Iterable[tuple[int, str]]) -> None:
        for execution_id, queue in executions:
            used.add(queue)
            app.send_task(RUN_TASK, (execution_id,), queue=queue)

    try:
        yield announce
        with app.connection_for_write() as link:
            for queue in used:
                bound = app.amqp.queues[queue](link.default_channel)
                bound.declare()  # Redis deletes only what this connection knows
                bound.delete()
    finally:
        app.close()


def states(instances: Iterable[Instance]) -> set[str]:
    """The states that the instances are in now."""
    wanted = Instance.objects.filter(pk__in=[instance.pk for instance in instances])
    return set(wanted.values_list("state", flat=True))
