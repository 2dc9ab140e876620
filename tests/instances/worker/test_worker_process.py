"""The beginning and the end of a worker process."""

from __future__ import annotations

import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
from django.conf import LazySettings

from instances.engine import announcing
from instances.runners.base import Confinement, Launch, Mode
from instances.runners.spawner.client import SpawnerUnavailable
from instances.states import State
from instances.worker import process as worker_process
from instances.worker.process import WorkerProcess, remove_old_scratch
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance, states_of
from tests.support.waiting import wait_for


def test_folders_of_executions_that_nobody_holds_are_removed(
    engine: Engine, tmp_path: Path, settings: LazySettings
) -> None:
    settings.DATA_DIRECTORY = tmp_path
    (instance,) = engine.make(new_instance(make_submitted_task()))
    held = engine.start(instance)
    for name in (f"execution-{held}", "execution-999999999", "something-else"):
        (tmp_path / "work" / name).mkdir(parents=True)
    remove_old_scratch()
    assert sorted(entry.name for entry in (tmp_path / "work").iterdir()) == [
        f"execution-{held}",
        "something-else",
    ]


@pytest.mark.parametrize(
    ("user", "wanted", "reason", "told"),
    [
        (0, True, "they cannot be used", 1),
        (0, True, None, 0),
        (0, False, "TASK_USERS is off", 0),
        (4001, True, "only root can", 0),
    ],
)
def test_a_worker_whose_tasks_run_as_root_unwanted_says_so(
    user: int,
    wanted: bool,
    reason: str | None,
    told: int,
    tmp_path: Path,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.DATA_DIRECTORY, settings.TASK_USERS = tmp_path, wanted
    for name in ("guard_memory", "note_workers_here"):
        monkeypatch.setattr(worker_process, name, lambda *_: None)
    for name in ("_tidy_up", "_warm_up"):
        monkeypatch.setattr(WorkerProcess, name, lambda self: None)
    monkeypatch.setattr("instances.worker.life.confinement", Confinement)
    monkeypatch.setattr(worker_process, "why_not", lambda: reason)
    monkeypatch.setattr("os.geteuid", lambda: user)
    warned: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(
        worker_process, "logger", Mock(warning=lambda event, **why: warned.append((event, why)))
    )
    WorkerProcess(room=1).close()
    events = [why for event, why in warned if event == "tasks_run_as_root"]
    assert events == [{"reason": reason}] * told


@pytest.mark.parametrize("ending", ["drain", "end"])
def test_a_life_leaves_nothing_when_it_ends(
    ending: str,
    live_engine: Engine,
    tmp_path: Path,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.DATA_DIRECTORY = tmp_path
    monkeypatch.setattr(worker_process, "guard_memory", lambda: None)
    (instance,) = live_engine.make(new_instance(make_submitted_task()))
    before = set(threading.enumerate())
    worker = WorkerProcess(room=2)
    try:
        assert announcing.reaches_workers()
        worker.crew.serve([instance.resource_group.queue])
        wait_for(lambda: states_of([instance]) == [State.SUCCESS])
    finally:
        worker.drain() if ending == "drain" else worker.end(60)
    wait_for(lambda: set(threading.enumerate()) <= before)
    assert (worker.client.spawner_pids(), announcing.reaches_workers()) == ({}, False)
    launch = Launch(mode=Mode.EXEC, argv=("/bin/true",), environment={}, working_directory=tmp_path)
    with pytest.raises(SpawnerUnavailable):
        worker.client.start(launch)
