"""A machine that slept longer than a lease starts nothing on waking: others may run it already."""

from __future__ import annotations

import time
from pathlib import Path

from instances.error_codes import ErrorCode
from instances.logs.collecting import LogCollector
from instances.runners.base import ExitStatus, Launch, Mode
from instances.runners.running import run_launch
from instances.runners.spawner.client import SpawnerClient
from tests.instances.runners.conftest import client  # noqa: F401


def touching(mark: Path) -> Launch:
    return Launch(
        mode=Mode.EXEC,
        argv=("/bin/sh", "/dev/fd/3"),
        payload=f"touch {mark}".encode(),
        environment={"PATH": "/usr/bin:/bin"},
        working_directory=mark.parent,
    )


def test_nothing_starts_when_its_lease_is_over(
    client: SpawnerClient,  # noqa: F811
    tmp_path: Path,
) -> None:
    for number in range(20):
        mark = tmp_path / f"ran-{number}"
        with client.start(touching(mark), lease_until=time.time() - 100) as running:
            assert running.wait(60) == ExitStatus(lost=True)
    # What was started in spite of it would have been killed within this one's time.
    with client.start(touching(tmp_path / "with-a-lease"), lease_until=time.time() + 60) as running:
        assert running.wait(60) == ExitStatus(exit_code=0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["with-a-lease"]


def test_an_execution_whose_lease_ended_before_its_start_is_lost(
    client: SpawnerClient,  # noqa: F811
    tmp_path: Path,
) -> None:
    outcome = run_launch(
        touching(tmp_path / "ran"),
        client=client,
        collector=LogCollector(lambda sequence, text: None),
        lease_until=lambda: time.time() - 1,
    )
    assert outcome.error_code == ErrorCode.WORKER_LOST
    assert not (tmp_path / "ran").exists()
