"""Marking success must not let downstream, or a rerun, start while the instance's process lives.

About four seconds each: a process that does not listen to SIGTERM has two of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from instances.verbs.mark_success import mark_success
from instances.verbs.rerun import rerun
from tests.factories import make_submitted_tasks
from tests.instances.conftest import live_engine, sent  # noqa: F401
from tests.instances.worker.test_execution import (
    log_of,
    new_crew,
    no_spawner_left,  # noqa: F401
    work_directory,  # noqa: F401
)
from tests.support.engine import Engine, new_instance, state_of
from tests.support.waiting import wait_for

# Its first run holds the lock of its work for as long as it lives; later ones, like the downstream,
# only look whether somebody has it.
_STUBBORN = """
exec 9>>"{folder}/lock"
flock --nonblock 9 && echo free || echo held
test -e "{folder}/again" && exit
touch "{folder}/again"
trap '' TERM
echo started
while :; do sleep 0.1; done
"""
_LOOK = 'exec 9>>"{folder}/lock"\nflock --nonblock 9 && echo free || echo held'


def rerun_until_accepted(instance: Instance) -> None:
    """Ask for a rerun as an operator does who does not give up."""
    wait_for(lambda: bool(rerun(actor=None, ids=[instance.pk]).succeeded))


def wait_below(instance: Instance) -> None:
    """Leave it to what waits for the instance."""


@pytest.mark.feature("I6")
@pytest.mark.parametrize("then", [rerun_until_accepted, wait_below])
def test_nothing_runs_beside_the_process_of_an_instance_that_was_marked_success(
    live_engine: Engine,  # noqa: F811
    tmp_path: Path,
    then: Callable[[Instance], None],
) -> None:
    tasks = make_submitted_tasks(
        {
            "up": {"code": _STUBBORN.format(folder=tmp_path)},
            "down": {"code": _LOOK.format(folder=tmp_path), "depends_on": ["up"]},
        }
    )
    up, down = live_engine.make(
        new_instance(tasks["up"]), new_instance(tasks["down"], waits_for=[(tasks["up"], 0)])
    )
    first = Execution.objects.get(instance=up)

    def work() -> None:
        try:
            new_crew().work(up.resource_group.queue)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    wait_for(lambda: "started" in log_of(first))
    mark_success(actor=None, ids=[up.pk])
    then(up)
    # A second worker, which takes whatever may run.
    wait_for(lambda: work_once(up) and state_of(down) == State.SUCCESS)
    worker.join(60)
    assert not worker.is_alive()
    # One that was sent and held back, as its upstream was run again, has never started.
    others = Execution.objects.exclude(pk=first.pk).exclude(started_at=None)
    assert {log_of(one).strip() for one in others} == {"free"}
    first.refresh_from_db()
    assert first.state == ExecutionState.DISMISSED
    assert state_of(up) == State.SUCCESS


def work_once(instance: Instance) -> bool:
    new_crew().work(instance.resource_group.queue)
    return True
