"""A worker that starts while the database is away finds its work when it is back, untold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import OperationalError

from instances.engine.completion import Result
from instances.states import State
from instances.worker import crew as crew_module
from instances.worker import process as worker_process
from instances.worker.process import WorkerProcess
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance, states_of
from tests.support.waiting import wait_for


def test_it_serves_and_tidies_up_later(
    live_engine: Engine, tmp_path: Path, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATA_DIRECTORY = tmp_path
    old = tmp_path / "work" / "execution-999999999"
    old.mkdir(parents=True)
    away = {"claim": 2, "remove_old_scratch": 2}

    def failing(module: Any, name: str) -> None:
        honest = getattr(module, name)

        def fails_first(*args: Any, **options: Any) -> Any:
            if away[name]:
                away[name] -= 1
                raise OperationalError("the database is away")
            return honest(*args, **options)

        monkeypatch.setattr(module, name, fails_first)

    failing(worker_process, "remove_old_scratch")
    failing(crew_module, "claim")
    monkeypatch.setattr(worker_process, "guard_memory", lambda: None)
    monkeypatch.setattr(worker_process, "TIDY_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("instances.worker.crew.AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(
        "instances.worker.crew.run", lambda attempt, life: Result(attempt.execution_id)
    )
    (instance,) = live_engine.make(new_instance(make_submitted_task()))
    with WorkerProcess(room=2) as worker:
        worker.crew.serve(["tidemill.group.default"])
        try:
            wait_for(lambda: states_of([instance]) == [State.SUCCESS])
            wait_for(lambda: not old.exists())
        finally:
            assert worker.crew.drain(60)
