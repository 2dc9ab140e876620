"""The product's processes under test: started, killed by name and started again."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil
import psycopg
from cryptography.fernet import Fernet

from config.embedded.data_directory import PROJECT_DIRECTORY

GROUP_QUEUE = "tidemill.group.default"
SYSTEM_QUEUE = "tidemill.system"
QUEUES = (GROUP_QUEUE, SYSTEM_QUEUE)
LEASE_SECONDS = 6
STOP_SECONDS = 60.0

_CELERY = (sys.executable, "-m", "celery", "--quiet", "--app", "tests.faults.celery_app")
_WORKER = (*_CELERY, "worker", "--pool", "prefork", "--concurrency", "2")
COMMANDS = {
    "worker-1": (*_WORKER, "--hostname", "worker-1@%h", "--queues", GROUP_QUEUE),
    "worker-2": (*_WORKER, "--hostname", "worker-2@%h", "--queues", GROUP_QUEUE),
    "system": (*_WORKER, "--hostname", "system@%h", "--queues", SYSTEM_QUEUE),
    "beat": (*_CELERY, "beat"),
}


def environment(folder: Path, *, database_url: str = "", broker_url: str = "") -> dict[str, str]:
    """The variables of the product's processes: production's with a database and a broker, and
    those of the embedded default without."""
    found = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    found |= {
        "DJANGO_SETTINGS_MODULE": "config.settings.development",
        "TIDEMILL_DATA": str(folder / "data"),
        "FAULTS_DIRECTORY": str(folder / "switches"),
        "EXECUTION_LEASE_SECONDS": str(LEASE_SECONDS),
        "DISPATCH_RESEND_SECONDS": "4",
        "LOG_LEVEL": "WARNING",
    }
    if database_url:
        found |= {
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "DATABASE_URL": database_url,
            "BROKER_URL": broker_url,
            "SECRET_KEY": secrets.token_urlsafe(48),
            "TIDEMILL_KEYS": Fernet.generate_key().decode(),
            "ALLOWED_HOSTS": "localhost",
            "TASK_USERS": "false",  # they stand for workers that are not root
        }
    return found


def call(module: str, *arguments: str, environment: dict[str, str]) -> str:
    """Run a module of the tests in a process with Django; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=PROJECT_DIRECTORY,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout[-4000:]}\n{result.stderr[-8000:]}"
    return result.stdout


class Product:
    """Two workers of the default group, one of the system queue, and beat."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        commands: Mapping[str, tuple[str, ...]] = COMMANDS,
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._commands = commands
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        # Every process that was ever seen below ours: none may outlive the product.
        self._seen: set[psutil.Process] = set()
        self.fell: list[str] = []  # what ended though nobody killed it

    def start(self, *names: str) -> None:
        for name in names or self._commands:
            # Its own output file: the harness prints the end of it when something goes wrong.
            with (self._folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    self._commands[name],
                    cwd=PROJECT_DIRECTORY,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def look_after(self) -> None:
        """Note what processes there are, and start again what fell down by itself."""
        for name, process in list(self._processes.items()):
            with contextlib.suppress(psutil.NoSuchProcess):
                self._seen.update(psutil.Process(process.pid).children(recursive=True))
            if process.poll() is not None:
                self.fell.append(f"{name} ended by itself with {process.returncode}")
                self.start(name)

    def main(self, name: str) -> psutil.Process:
        """The main process of a worker, or beat."""
        return psutil.Process(self._processes[name].pid)

    def children(self, name: str) -> list[psutil.Process]:
        """The processes of the worker's pool."""
        return [one for one in self.main(name).children() if not _is_spawner(one)]

    def spawners(self, name: str) -> list[psutil.Process]:
        """The guardians of the worker, then their spawners."""
        below = self.main(name).children(recursive=True)
        guardians = [one for one in below if _is_spawner(one) and not _is_spawner(one.parent())]
        return guardians + [
            child for one in guardians for child in one.children() if _is_spawner(child)
        ]

    def kill(self, *names: str, children: bool = True) -> None:
        """Kill -9 workers, with their pools' processes unless told otherwise, and start anew.

        What runs their tasks is left alone: that it goes too is the product's business.
        """
        self.look_after()
        for name in names:
            victims = [self.main(name)]
            if children and name != "beat":
                victims += self.children(name)
            kill(victims)
            self._processes.pop(name).wait()
        self.start(*names)

    def stop(self, *names: str) -> None:
        """End everything, or what is named, in order: what runs comes to its end."""
        self.look_after()
        stopping = {name: self._processes[name] for name in names or self._commands}
        for process in stopping.values():
            process.send_signal(signal.SIGTERM)
        for name, process in stopping.items():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{name} did not end on SIGTERM") from None
            finally:
                del self._processes[name]

    def destroy(self) -> None:
        """Kill -9 whatever is left; for the end of a test that failed."""
        self.look_after()
        kill([self.main(name) for name in self._processes])
        kill(self._seen)
        for process in self._processes.values():
            process.wait()

    def leftovers(self) -> list[str]:
        """The processes below ours that still run, a moment after the end."""
        _, alive = psutil.wait_procs(self._seen, timeout=5)
        return [describe(process) for process in alive]


def holders_of(folder: Path) -> list[str]:
    """The processes that have a file of the folder open: runs that go on."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(Path(file.path).is_relative_to(folder) for file in process.open_files()):
                found.append(describe(process))
    return found


def kill(processes: list[psutil.Process] | set[psutil.Process]) -> None:
    """Kill -9 and wait."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.cmdline()}"
    except psutil.Error:
        return str(process.pid)


def _is_spawner(process: psutil.Process | None) -> bool:
    try:
        arguments = process.cmdline() if process is not None else []
    except psutil.Error:
        return False
    return any("instances.runners.spawner.spawner" in argument for argument in arguments)


class Progress:
    """How far the plan is, asked of the database. Use it as a context manager."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: psycopg.Connection[tuple[int]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def done(self) -> int | None:
        """The number of instances that are SUCCESS; None while the database is away."""
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            row = self._connection.execute(
                "SELECT count(*) FROM instances_instance WHERE state = 'SUCCESS'"
            ).fetchone()
        except psycopg.Error:
            self.close()
            return None
        return row[0] if row else 0

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def is_settled(self) -> bool:
        """Whether the plan itself has noticed that it is done."""
        with psycopg.connect(self._url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM backfill_plan WHERE state <> 'completed'"
            ).fetchone()
        return row == (0,)

    def wait_for(self, wanted: int, *, seconds: float, product: Product | None = None) -> None:
        """Wait until `wanted` instances are done; AssertionError when the plan stands still."""
        deadline = time.monotonic() + seconds
        best = -1
        while (done := self.done()) is None or done < wanted:
            if done is not None and done > best:
                best, deadline = done, time.monotonic() + seconds
            assert time.monotonic() < deadline, f"no progress for {seconds:.0f} s at {done}"
            if product is not None:
                product.look_after()
            time.sleep(0.2)
