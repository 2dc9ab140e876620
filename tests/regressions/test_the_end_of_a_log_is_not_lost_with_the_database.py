"""What a task says last is stored with its result, however long the database was away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from instances.engine.completion import Result, complete
from instances.logs.reading import read_log
from instances.logs.writing import store_chunks
from instances.models import Execution
from instances.states import State
from instances.worker.crew import Crew
from instances.worker.life import Life
from projects.ground import clock
from tests.factories import make_submitted_task
from tests.instances.conftest import engine, live_engine, sent  # noqa: F401
from tests.instances.worker.test_crew import QUEUE
from tests.instances.worker.test_execution import (
    log_of,
    marked_processes,
    no_spawner_left,  # noqa: F401
    work_directory,  # noqa: F401
)
from tests.support.engine import Engine, new_instance, state_of
from tests.support.waiting import wait_for


class Outage:
    """While it lasts the database answers this thread alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lasts = threading.Event()
        self.refused = 0
        honest, me = CursorWrapper.execute, threading.get_ident()

        def execute(cursor: CursorWrapper, *given: Any) -> Any:
            if self.lasts.is_set() and threading.get_ident() != me:
                self.refused += 1
                raise OperationalError("the database is away")
            return honest(cursor, *given)

        monkeypatch.setattr(CursorWrapper, "execute", execute)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


@pytest.fixture
def crew(live_engine: Engine, outage: Outage) -> Iterator[Crew]:  # noqa: F811
    with Life("host:1:a-life-of-its-own") as life:
        crew = Crew(life, room=2)
        yield crew
        outage.lasts.clear()
        life.pulse.shutting_down.set()
        assert crew.drain(timeout=60)


def test_the_end_of_a_log_is_not_lost_with_the_database(
    live_engine: Engine,  # noqa: F811
    crew: Crew,
    outage: Outage,
    tmp_path: Path,
) -> None:
    code = (
        f"echo first; until [ -e {tmp_path}/go ]; do sleep 0.02; done\n"
        "echo last words; sleep 0.7; echo the very last; exit 3"
    )
    (instance,) = live_engine.make(
        new_instance(make_submitted_task(code=code, retries={"limit": 0}))
    )
    execution = Execution.objects.get(instance=instance)
    crew.serve([QUEUE])
    wait_for(lambda: log_of(execution) == "first\n")
    outage.lasts.set()
    (tmp_path / "go").touch()
    wait_for(lambda: not marked_processes(execution.pk))
    before = outage.refused
    wait_for(lambda: outage.refused > before + 2)
    outage.lasts.clear()
    wait_for(lambda: state_of(instance) == State.FAILED)
    assert log_of(execution) == (
        "first\nlast words\nthe very last\n[tidemill] Ended with exit code 3.\n"
    )


def test_what_came_by_both_ways_stands_once(engine: Engine) -> None:  # noqa: F811
    (instance,) = engine.make(new_instance(make_submitted_task()))
    execution = engine.start(instance, worker="worker")
    assert execution is not None
    store_chunks([(execution, 0, "one\n"), (execution, 1, "two\n")], worker="worker")
    ended = Result(execution, log=((1, "two\n"), (2, "three\n")))
    with engine.committing():
        assert complete([ended], now=clock.now(), worker="worker") == [execution]
    page = read_log(execution)
    assert (page.text, page.finished) == ("one\ntwo\nthree\n", True)
