"""Servers of the tests' own, to be killed: PostgreSQL, Redis and RabbitMQ on this machine.

Each keeps its files in a directory of the tests and listens on 127.0.0.1 or a socket alone, so
that restarting it disturbs nobody.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import redis
from kombu import Connection

from config.embedded.postgres import database_url, delete_server, ensure_server
from config.embedded.postgres_process import is_alive
from tests.support.waiting import wait_for

START_SECONDS = 60.0
# Where Debian keeps the program that its wrapper in /usr/sbin calls as another user.
_RABBIT_PROGRAMS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")


class Postgres:
    """The embedded PostgreSQL on a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.url = database_url(directory)
        self._pid = ensure_server(directory).pid

    def restart(self, *, away: float = 0) -> None:
        """Shut down as `pg_ctl stop -m immediate` does, without flushing anything; start again,
        after `away` seconds."""
        os.kill(self._pid, signal.SIGQUIT)
        wait_for(lambda: not is_alive(self._pid), complaint="PostgreSQL did not end")
        time.sleep(away)
        self._pid = ensure_server(self._directory).pid

    def delete(self) -> None:
        """Stop the server and delete its files, wherever they are kept."""
        delete_server(self._directory)


class Broker(ABC):
    """A message broker as a process of its own."""

    name: str

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @classmethod
    @abstractmethod
    def program(cls) -> str | None:
        """The server's program, or None when it is not installed."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What BROKER_URL is to be."""

    @abstractmethod
    def purge(self, queues: Sequence[str]) -> None:
        """Throw away every message that waits."""

    @abstractmethod
    def wipe(self, queues: Sequence[str]) -> None:
        """Throw away the queues themselves."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with (self._directory / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._answers, START_SECONDS, complaint=f"{self.name} did not start")

    def kill(self) -> None:
        """Kill -9 all of the server."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, f"{self.name} ended"
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except Exception:  # noqa: BLE001  # each transport has errors of its own
            return False
        return True


class Redis(Broker):
    """A Redis that keeps everything in memory: a restart loses all messages."""

    name = "redis"

    @classmethod
    def program(cls) -> str | None:
        return shutil.which("redis-server")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def purge(self, queues: Sequence[str]) -> None:
        with redis.Redis(port=self._port) as client:
            client.delete(*queues, "unacked", "unacked_index")

    def wipe(self, queues: Sequence[str]) -> None:
        with redis.Redis(port=self._port) as client:
            client.flushall()

    def _command(self) -> list[str]:
        options = {"port": self._port, "bind": "127.0.0.1", "save": "", "appendonly": "no"}
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        return [str(self.program()), *arguments]


class Rabbit(Broker):
    """A RabbitMQ node with a name, a cookie and ports of its own; it needs no epmd."""

    name = "rabbitmq"

    def __init__(self, directory: Path) -> None:
        self._distribution_port = free_port()
        super().__init__(directory)

    @classmethod
    def program(cls) -> str | None:
        return next(filter(None, map(shutil.which, _RABBIT_PROGRAMS)), None)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def purge(self, queues: Sequence[str]) -> None:
        with Connection(self.url) as connection, connection.channel() as channel:
            for queue in queues:
                channel.queue_purge(queue)

    def wipe(self, queues: Sequence[str]) -> None:
        with Connection(self.url) as connection, connection.channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)
        # Whoever consumed them must notice that there is nothing left to consume.
        wait_for(
            lambda: all(map(self._has_consumers, queues)),
            complaint="nobody came back to the queues",
        )

    def _has_consumers(self, queue: str) -> bool:
        with Connection(self.url) as connection, connection.channel() as channel:
            try:
                return bool(channel.queue_declare(queue, passive=True).consumer_count)
            except connection.channel_errors:
                return False

    def _command(self) -> list[str]:
        return [str(self.program())]

    def _environment(self) -> dict[str, str]:
        local = "-kernel inet_dist_use_interface {127,0,0,1}"
        return super()._environment() | {
            "HOME": str(self._directory),
            "RABBITMQ_NODENAME": f"tidemill-faults-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(self._directory / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_PID_FILE": str(self._directory / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"-start_epmd false -erl_epmd_port {self._distribution_port} {local}"
            ),
        }


BROKERS: tuple[type[Broker], ...] = (Rabbit, Redis)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
