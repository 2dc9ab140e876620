"""What a worker does with its executions when it is told to stop."""

from __future__ import annotations

import secrets
import signal
from pathlib import Path

import pytest
from amqp import NotFound
from kombu import Connection

from instances.models import Execution, Instance
from projects.models import ResourceGroup
from tests.distributed.workers import running, states
from tests.factories import make_resource_group, make_submitted_task
from tests.support.engine import Engine, new_instance
from tests.support.proxy import Mood, broker_proxy
from tests.support.waiting import wait_for
from workflows.models import Task


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_sigterm_waits_for_what_runs_and_takes_nothing_more(
    told_engine: Engine, broker: str, tmp_path: Path
) -> None:
    group, gate, task = _held_task(tmp_path)
    (running_one,) = told_engine.make(new_instance(task))
    with running(broker, [group], tmp_path) as [worker]:
        wait_for(lambda: states([running_one]) == {"RUNNING"})
        worker.send(signal.SIGTERM)
        wait_for(lambda: "Warm shutdown" in worker.log)
        (late,) = told_engine.make(new_instance(task, day=1))
        gate.touch()
        wait_for(worker.ended)
    assert states([running_one]) == {"SUCCESS"}
    assert states([late]) == {"WAITING_EXECUTION"}


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
@pytest.mark.parametrize("draining", [False, True])
def test_sigquit_ends_what_runs_and_gives_it_back(
    told_engine: Engine, broker: str, tmp_path: Path, draining: bool
) -> None:
    group, _, task = _held_task(tmp_path)
    (instance,) = told_engine.make(new_instance(task))
    with running(broker, [group], tmp_path) as [worker]:
        wait_for(lambda: states([instance]) == {"RUNNING"})
        if draining:
            worker.send(signal.SIGTERM)
            wait_for(lambda: "Warm shutdown" in worker.log)
        worker.send(signal.SIGQUIT)
        wait_for(worker.ended)
    assert outcomes() == [("LOST", "WORKER_STOPPED")]
    instance = Instance.objects.get(pk=instance.pk)
    # That was not the task's doing: it costs no retry, and it goes on at once.
    assert (instance.retry_count, instance.lost_count) == (0, 0)
    assert instance.state in {"RETRYING", "WAITING_EXECUTION"}


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_sigquit_is_heard_by_a_worker_that_is_not_connected_yet(
    told_engine: Engine, broker: str, tmp_path: Path
) -> None:
    """Its processes take work all the same."""
    group, _, task = _held_task(tmp_path)
    (instance,) = told_engine.make(new_instance(task))
    with broker_proxy(broker) as (proxy, through):
        proxy.set(Mood.SILENT)
        with running(through, [group], tmp_path) as [worker]:
            wait_for(lambda: states([instance]) == {"RUNNING"})
            worker.send(signal.SIGQUIT)
            wait_for(worker.ended)
    assert outcomes() == [("LOST", "WORKER_STOPPED")]


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_second_sigquit_ends_a_worker_that_its_broker_leaves_without_an_answer(
    told_engine: Engine, broker: str, tmp_path: Path
) -> None:
    group, _, task = _held_task(tmp_path)
    (instance,) = told_engine.make(new_instance(task))
    with (
        broker_proxy(broker) as (proxy, through),
        running(through, [group], tmp_path) as [worker],
    ):
        wait_for(lambda: states([instance]) == {"RUNNING"} and _has_consumer(broker, group.queue))
        proxy.set(Mood.SILENT)
        worker.send(signal.SIGTERM)
        wait_for(lambda: "Warm shutdown" in worker.log)
        worker.send(signal.SIGQUIT)
        wait_for(lambda: outcomes() == [("LOST", "WORKER_STOPPED")])
        worker.send(signal.SIGQUIT)
        wait_for(worker.ended, seconds=180)  # the exception may get lost amid a call


def outcomes() -> list[tuple[str, str]]:
    """How executions have ended."""
    ended = Execution.objects.filter(ended_at__isnull=False)
    return list(ended.values_list("state", "error_code"))


def _has_consumer(broker: str, queue: str) -> bool:
    with Connection(broker) as link:
        try:
            return link.default_channel.queue_declare(queue, passive=True).consumer_count > 0
        except NotFound:
            return False


def _held_task(folder: Path) -> tuple[ResourceGroup, Path, Task]:
    group = make_resource_group(f"held-{secrets.token_hex(4)}")
    gate = folder / "gate"
    code = f"while [ ! -e '{gate}' ]; do sleep 0.05; done"
    return group, gate, make_submitted_task(resource_group=group.name, code=code)
