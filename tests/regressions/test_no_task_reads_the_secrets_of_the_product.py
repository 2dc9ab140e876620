"""A task that looks for the product's secrets in /proc finds none: the attack, on real processes.

About ten seconds: a worker, beat and a web server start. As root they run without what root may do
more than others, which is how it is in production.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cryptography.fernet import Fernet

from config.embedded.data_directory import PROJECT_DIRECTORY
from instances.models import Execution
from instances.states import State
from tests.distributed.workers import database_url
from tests.factories import make_submitted_task
from tests.instances.conftest import live_engine, sent  # noqa: F401
from tests.instances.worker.test_execution import log_of
from tests.support.engine import Engine, new_instance, state_of
from tests.support.waiting import wait_for

_SECRET = "the-secret-that-no-task-may-read"
_QUEUE = "tidemill.group.default"
_BEAT_IS_UP = "is starting."

_WITHOUT_CAPABILITIES = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
if os.geteuid() == 0:
    for capability in set(range(64)) - {CAP_DAC_OVERRIDE}:  # the database's socket is another's
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
"""
# Its parents up to who started the worker, and the processes it is told of.
_ATTACK = """
set +e  # a door that is shut is no reason to stop
pids='{pids}'
pid=$PPID
while [ "$pid" != {end} ]; do
    pids="$pids $pid"
    pid=$(sed 's/.*) //' /proc/$pid/stat | cut -d' ' -f2)
done
for pid in $pids; do
    echo "looking at $pid: $(tr '\\0' ' ' </proc/$pid/cmdline | head -c 300)"
    tr '\\0' '\\n' </proc/$pid/environ
    head -c 1 /proc/$pid/mem >/dev/null && echo "its memory opens"
    cat /proc/$pid/maps | grep heap
done 2>/dev/null
echo "done"
"""

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux shows the processes of others in /proc"
)


class Product:
    """A worker of the default group, beat and web, in production's settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "SECRET_KEY": _SECRET,
            "TIDEMILL_KEYS": Fernet.generate_key().decode(),
            "ALLOWED_HOSTS": "localhost",
            "DATABASE_URL": database_url(),
            "BROKER_URL": "memory://",
            "TIDEMILL_DATA": str(folder),
        }
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", _WITHOUT_CAPABILITIES, *command],
                    cwd=PROJECT_DIRECTORY,
                    env=self._environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def stop(self) -> None:
        """By force, with what they started: a worker takes seconds to end in order."""
        found = [one for process in self.processes for one in _with_children(process.pid)]
        for one in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        for process in self.processes:
            process.wait()
        psutil.wait_procs(found)


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def product(live_engine: Engine) -> Iterator[Product]:  # noqa: F811
    folder = Path(tempfile.mkdtemp(prefix="tidemill-test-", dir="/tmp"))
    product = Product(folder)
    try:
        yield product
    finally:
        product.stop()
        print(product.log)  # shown when the test fails
        shutil.rmtree(folder, ignore_errors=True)


def _answers(web: Path) -> bool:
    """Whether a worker of the web server does: it is there, then."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(web))
        except OSError:
            return False
        client.sendall(b"GET /health/live/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
        return client.recv(100).startswith(b"HTTP/1.")


def test_no_task_reads_the_secrets_of_the_product(
    live_engine: Engine,  # noqa: F811
    product: Product,
) -> None:
    web = product.folder / "web"  # no port that somebody else may take
    worker = ("celery", "--app", "config", "worker", "--concurrency", "1", "--loglevel", "INFO")
    product.start(*worker, "--queues", _QUEUE)
    product.start("celery", "--app", "config", "beat", "--loglevel", "INFO")
    product.start("gunicorn", "config.wsgi", "--preload", "--bind", f"unix:{web}")
    wait_for(lambda: _BEAT_IS_UP in product.log and _answers(web))
    pids = " ".join(str(process.pid) for process in product.processes)
    # The workers of the web server are forks of what was loaded.
    pids += f" $(pgrep -P {product.processes[2].pid})"
    code = _ATTACK.replace("'{pids}'", f'"{pids}"').replace("{end}", str(os.getpid()))
    (instance,) = live_engine.make(new_instance(make_submitted_task(code=code)))
    try:
        wait_for(lambda: state_of(instance) == State.SUCCESS)
    finally:
        assert all(process.poll() is None for process in product.processes), product.log
    log = log_of(Execution.objects.get(instance=instance))
    # It found them all: the worker and the process of its pool, beat, and both of the web server.
    assert all(f"looking at {process.pid}:" in log for process in product.processes), log
    assert log.count("-m celery") >= 3, log
    assert log.count("-m gunicorn") >= 2, log
    assert log.endswith("done\n")
    for found in (_SECRET, "SECRET_KEY", "DATABASE_URL", "its memory opens", "[heap]"):
        assert not _of_the_product(log, found), log


def _of_the_product(log: str, found: str) -> bool:
    """Whether it was found in a process that has secrets: who starts tasks has none."""
    parts = log.split("looking at ")[1:]
    return any(found in part for part in parts if "instances.runners.spawner.spawner" not in part)
