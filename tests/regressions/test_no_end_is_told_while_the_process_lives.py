"""An execution that breaks in the worker's hands must not be over before its process is."""

from __future__ import annotations

import threading

import psutil
import pytest

from instances.runners.spawner.client import SpawnerClient
from tests.instances.runners.conftest import Run, client, run  # noqa: F401
from tests.instances.runners.processes import unique_seconds, with_argument


@pytest.mark.feature("I4")
def test_no_end_is_told_while_the_process_lives(
    client: SpawnerClient,  # noqa: F811
    run: Run,  # noqa: F811
) -> None:
    """Who starts and kills processes is slow here: stopped for half a second."""
    seconds = unique_seconds()

    def should_stop() -> str | None:
        if not with_argument(seconds):
            return None
        guardian = psutil.Process(client.spawner_pids()[""])
        (spawner,) = guardian.children()
        spawner.suspend()
        threading.Timer(0.5, spawner.resume).start()
        raise RuntimeError("the worker has a bug")

    with pytest.raises(RuntimeError, match="the worker has a bug"):
        run("shell", f"sleep {seconds}", should_stop=should_stop)
    assert not with_argument(seconds)
