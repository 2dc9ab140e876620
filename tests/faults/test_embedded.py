"""`manage.py up` in the middle of a plan: killed, killed with its database, and interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.embedded.data_directory import PROJECT_DIRECTORY
from config.embedded.postgres import database_url, delete_server, place
from config.embedded.postgres_process import postmaster
from tests.faults.product import Progress, call, environment, holders_of, kill
from tests.support.waiting import wait_for

pytestmark = pytest.mark.faults

# The timetable of the product as it is: rescue every ten seconds, after a lease of six.
STILL_SECONDS = 45.0


class Embedded:
    """Everything in one process, with its data in the folder."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "up.log"
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._before = 0  # what earlier starts wrote, in characters
        self.environment = environment(folder)

    def start(self) -> None:
        self._before = len(self.output)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", "0"],
                cwd=PROJECT_DIRECTORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self._process is not None and self._process.poll() is None
        self._process.kill()
        self._process.wait()

    def kill_with_its_database(self) -> None:
        server = postmaster(place(self._data))
        assert server is not None
        processes = [psutil.Process(server), *psutil.Process(server).children()]
        self.kill()
        kill(processes)

    def interrupt(self) -> None:
        """Ctrl-C once it serves; it must end by itself, cleanly."""
        assert self._process is not None and self._process.poll() is None
        # What the start before it did may be enough for the test to come here before it is up.
        wait_for(
            lambda: "Ctrl-C ends it." in self.output[self._before :], complaint="it did not start"
        )
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(timeout=30) == 0, self.output
        assert "it is taken up again" not in self.output  # no thread had to be left behind

    def destroy(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()
        delete_server(self._data)

    @property
    def output(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


@pytest.fixture
def embedded(folder: Path) -> Iterator[Embedded]:
    embedded = Embedded(folder)
    yield embedded
    embedded.destroy()


def test_the_embedded_process_goes_on_with_the_plan_after_every_end(
    embedded: Embedded, folder: Path, instances: int, say: Callable[[str], None]
) -> None:
    total = max(instances // 100, 1) * 20
    call("tests.faults.planning", str(total), str(folder), environment=embedded.environment)
    began = time.monotonic()
    ends: list[Callable[[], None]] = [
        embedded.kill,
        embedded.interrupt,
        embedded.kill_with_its_database,
        embedded.interrupt,
        embedded.kill,
    ]
    with Progress(database_url(folder / "data")) as progress:
        for number, end in enumerate(ends, start=1):
            embedded.start()
            progress.wait_for(total * number // (len(ends) + 1), seconds=STILL_SECONDS)
            progress.close()
            end()
            wait_for(
                lambda: not holders_of(folder / "locks"), complaint="runs outlived the process"
            )
        embedded.start()
        progress.wait_for(total, seconds=STILL_SECONDS)
        wait_for(lambda: progress.is_settled, STILL_SECONDS, complaint="the plan was not completed")
    embedded.interrupt()
    assert holders_of(folder / "locks") == []
    call("tests.faults.judging", str(folder), environment=embedded.environment)
    say(
        f"embedded: {len(ends)} ends in the middle, {total} instances run,"
        f" {time.monotonic() - began:.0f} s"
    )
