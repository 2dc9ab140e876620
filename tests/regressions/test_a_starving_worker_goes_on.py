"""A worker process without a thread, a descriptor or memory survives it and keeps nothing for ever.

About five seconds each: a real worker process starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.embedded.data_directory import PROJECT_DIRECTORY
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from tests.distributed.workers import database_url
from tests.factories import make_submitted_task
from tests.instances.conftest import live_engine, sent  # noqa: F401
from tests.instances.worker.test_crew import QUEUE
from tests.instances.worker.test_execution import log_of
from tests.support.engine import Engine, new_instance, states_of
from tests.support.invariants import violations
from tests.support.waiting import wait_for

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="other systems keep other limits"
)


class StarvingWorker:
    """tests.regressions.starving in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "worker.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.regressions.starving", QUEUE],
                cwd=PROJECT_DIRECTORY,
                env=os.environ
                | {
                    "DJANGO_SETTINGS_MODULE": "config.settings.test",
                    "DATABASE_URL": database_url(),
                    "TIDEMILL_DATA": str(folder),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._expect("ready")

    def tell(self, verb: str) -> None:
        """Have it done; return when it is."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{verb}\n")
        self.process.stdin.flush()
        self._expect(verb)

    def complains_of_memory(self) -> bool:
        text = self._log.read_text(errors="replace")
        return any(word in text for word in ("MemoryError", "allocate memory", "out of memory"))

    def _expect(self, answer: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == answer, self._log.read_text(errors="replace")

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()
        print(self._log.read_text(errors="replace")[-8000:])  # shown when the test fails


@pytest.fixture
def worker(live_engine: Engine, tmp_path: Path) -> Iterator[StarvingWorker]:  # noqa: F811
    worker = StarvingWorker(tmp_path)
    yield worker
    worker.stop()


@pytest.mark.parametrize("scarce", ["files", "threads", "memory"])
def test_a_starving_worker_goes_on(
    live_engine: Engine,  # noqa: F811
    worker: StarvingWorker,
    scarce: str,
) -> None:
    worker.tell(scarce)
    task = make_submitted_task(code="echo here", retries={"limit": 0})
    instances = live_engine.make(*[new_instance(task, day=day) for day in range(4)])
    wait_for(lambda: _has_met(scarce, worker, instances))
    worker.tell("plenty")
    wait_for(lambda: set(states_of(instances)) == {State.SUCCESS})
    for execution in Execution.objects.filter(state=ExecutionState.SUCCESS):
        assert log_of(execution) == "here\n"
    ended = set(Execution.objects.values_list("state", "error_code"))
    assert ended - {("LOST", "WORKER_EXHAUSTED")} == {("SUCCESS", "")}
    assert violations() == []
    assert worker.process.poll() is None
    worker.tell("drain")


def _has_met(scarce: str, worker: StarvingWorker, instances: list[Instance]) -> bool:
    """Whether the worker has felt what is scarce, wherever in it that was.

    Its threads are there from the beginning: that there are no more it does not feel.
    """
    if Execution.objects.filter(error_code="WORKER_EXHAUSTED").exists():
        return True
    if scarce == "memory" and worker.complains_of_memory():
        return True
    return scarce != "files" and set(states_of(instances)) == {State.SUCCESS}
