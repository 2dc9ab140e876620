"""Execution with real processes: from the claim to the log and the result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import psutil
import pytest
from django.conf import LazySettings, settings
from django.db import connection

from instances.logs.reading import read_log
from instances.models import Execution, Instance
from instances.states import ExecutionState, State
from instances.verbs.mark_success import mark_success
from instances.verbs.terminate import terminate
from instances.worker.crew import Crew
from instances.worker.life import Life
from tests.factories import make_data_source, make_project, make_submitted_task, make_workflow
from tests.support.engine import Engine, new_instance, state_of
from tests.support.waiting import takes_less_than, wait_for


@pytest.fixture(autouse=True)
def work_directory(tmp_path: Path, settings: LazySettings) -> Path:
    settings.DATA_DIRECTORY = tmp_path
    return tmp_path


_lives: list[Life] = []


@pytest.fixture(autouse=True, scope="module")
def no_spawner_left() -> Iterator[None]:
    """A life for the crews of a module: its spawners start once."""
    with Life() as life:
        _lives.append(life)
        yield
        _lives.remove(life)


def present_life() -> Life:
    return _lives[-1]


def new_crew() -> Crew:
    return Crew(present_life(), room=4)


def run(instance: Instance) -> Execution:
    """Run the instance as a worker would, and return its execution."""
    execution = Execution.objects.get(instance=instance, state=ExecutionState.SENT)
    new_crew().work(instance.resource_group.queue)
    execution.refresh_from_db()
    instance.refresh_from_db()
    return execution


def log_of(execution: Execution) -> str:
    return read_log(execution.pk, chunks=10_000).text


@pytest.mark.feature("T10", "I11")
def test_a_shell_task_runs_with_its_parameters_filled_in(live_engine: Engine) -> None:
    task = make_submitted_task(
        code='echo "day ${day}, home $HOME, ${unknown:-default}"',
        parameters={"day": "${yyyymmdd}"},
    )
    (instance,) = live_engine.make(new_instance(task, day=3))
    execution = run(instance)
    assert instance.state == State.SUCCESS
    assert execution.state == ExecutionState.SUCCESS
    assert log_of(execution).startswith("day 20260103, home ")
    assert "default" in log_of(execution)
    assert execution.code.startswith('echo "day 20260103')
    assert execution.parameters == {"day": "20260103"}
    task.refresh_from_db()
    assert task.first_run_at == execution.started_at


@pytest.mark.feature("T10")
def test_a_python_task_runs_and_its_traceback_is_in_the_log(live_engine: Engine) -> None:
    task = make_submitted_task(
        type="python", code="print('one')\nraise ValueError('two')", retries={"limit": 0}
    )
    (instance,) = live_engine.make(new_instance(task))
    execution = run(instance)
    assert (instance.state, instance.error_code) == (State.FAILED, "PYTHON_ERROR")
    assert "one\n" in log_of(execution)
    assert "ValueError: two" in log_of(execution)


@pytest.mark.feature("T10")
def test_a_sql_task_runs_on_duckdb(live_engine: Engine, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    task = make_submitted_task(
        type="sql", code=f"COPY (SELECT '${{d}}' AS d) TO '{target}'", parameters={"d": "$bizdate"}
    )
    (instance,) = live_engine.make(new_instance(task))
    run(instance)
    assert instance.state == State.SUCCESS, instance.error_message
    assert target.read_text().splitlines() == ["d", "20251231"]


@pytest.mark.feature("T10", "P5")
def test_a_sql_task_reaches_its_data_source_and_nobody_sees_the_password(
    live_engine: Engine, tmp_path: Path
) -> None:
    workflow = make_workflow(project=make_project())
    make_data_source(workflow.project, "files", f"sqlite:///{tmp_path}/x.db", "hunter2-secret")
    task = make_submitted_task(
        workflow=workflow,
        type="sql",
        config={"data_source": "files"},
        code="SELECT 'hunter2-secret'",
    )
    (instance,) = live_engine.make(new_instance(task))
    execution = run(instance)
    assert "hunter2-secret" not in log_of(execution)
    bad = make_submitted_task(
        workflow=workflow,
        type="sql",
        config={"data_source": "files"},
        code="SELECT * FROM 'hunter2-secret'",
        retries={"limit": 0},
    )
    (failing,) = live_engine.make(new_instance(bad))
    run(failing)
    assert failing.error_message
    assert "hunter2-secret" not in failing.error_message
    with connection.cursor() as cursor:
        cursor.execute("SELECT password FROM projects_datasource")
        assert "hunter2" not in cursor.fetchone()[0]


def test_a_data_source_that_is_gone_fails_the_task_for_good(live_engine: Engine) -> None:
    workflow = make_workflow(project=make_project())
    source = make_data_source(workflow.project, "files")
    task = make_submitted_task(workflow=workflow, type="sql", config={"data_source": "files"})
    source.delete()
    (instance,) = live_engine.make(new_instance(task))
    run(instance)
    assert (instance.state, instance.error_code) == (State.FAILED, "BAD_CONFIG")
    assert "files" in instance.error_message


@pytest.mark.feature("T13")
def test_a_task_that_takes_too_long_is_ended(live_engine: Engine) -> None:
    task = make_submitted_task(code="sleep 600", timeout=1, retries={"limit": 0})
    (instance,) = live_engine.make(new_instance(task))
    run(instance)
    assert (instance.state, instance.error_code) == (State.FAILED, "TIMEOUT")


def test_output_without_end_leaves_a_bounded_log(live_engine: Engine) -> None:
    task = make_submitted_task(code="head -c 200000000 /dev/zero | tr '\\0' 'x'")
    (instance,) = live_engine.make(new_instance(task))
    execution = run(instance)
    assert instance.state == State.SUCCESS
    assert execution.log_bytes == 200_000_000
    assert len(log_of(execution)) < 6_000_000
    assert "bytes of output were left out" in log_of(execution)
    stored = sum(len(bytes(chunk.content)) for chunk in execution.log_chunks.all())
    assert stored < 1_000_000  # compressed when it ended


def test_bytes_that_are_no_text_are_kept_as_replacement_characters(live_engine: Engine) -> None:
    task = make_submitted_task(code=r"printf 'caf\351 \000 \377 caf\303\251\n'")
    (instance,) = live_engine.make(new_instance(task))
    execution = run(instance)
    assert instance.state == State.SUCCESS
    assert "café" in log_of(execution)
    assert "\0" not in log_of(execution)


def test_an_environment_holds_no_secret_of_the_product(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "do-not-leak-me")
    monkeypatch.setenv("DATABASE_URL", "postgresql://do-not-leak-me")
    task = make_submitted_task(code="env; cat /proc/self/environ | tr '\\0' '\\n'")
    (instance,) = live_engine.make(new_instance(task))
    execution = run(instance)
    assert "do-not-leak-me" not in log_of(execution)
    assert "DJANGO_SETTINGS_MODULE" not in log_of(execution)


def test_an_execution_that_nobody_may_claim_is_left_alone(live_engine: Engine) -> None:
    (instance,) = live_engine.make(new_instance(make_submitted_task()))
    terminate(actor=None, ids=[instance.pk])
    new_crew().work(instance.resource_group.queue)
    assert state_of(instance) == State.FAILED


def test_a_failure_of_ours_ends_the_execution(
    live_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(execution: Execution) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("instances.worker.execution.prepare", broken)
    (instance,) = live_engine.make(new_instance(make_submitted_task(retries={"limit": 0})))
    run(instance)
    assert (instance.state, instance.error_code) == (State.FAILED, "INTERNAL_ERROR")


STUBBORN = """
trap '' TERM
python3 -c 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)' &
(setsid sleep 601 &)
echo started
sleep 602
"""


def marked_processes(execution_id: int) -> list[int]:
    """Return the living processes of an execution, found by its own scratch folder as HOME.

    The whole of it: tests beside this one have executions of that number too.
    """
    home = str(Path(settings.DATA_DIRECTORY) / "work" / f"execution-{execution_id}")
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == home:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.feature("I4")
@pytest.mark.parametrize(
    ("stop", "state", "closed"),
    [
        (terminate, State.FAILED, ExecutionState.TERMINATED),
        (mark_success, State.SUCCESS, ExecutionState.DISMISSED),
    ],
)
def test_a_process_that_will_not_go_is_gone_within_five_seconds_with_all_its_children(
    live_engine: Engine,
    stop: Callable[..., object],
    state: State,
    closed: ExecutionState,
) -> None:
    task = make_submitted_task(code=STUBBORN)
    days = count()

    def run_and_stop() -> float:
        (instance,) = live_engine.make(new_instance(task, day=next(days)))
        execution = Execution.objects.get(instance=instance)

        def worker() -> None:
            try:
                new_crew().work(instance.resource_group.queue)
            finally:
                connection.close()

        thread = threading.Thread(target=worker)
        thread.start()
        wait_for(lambda: "started" in log_of(execution))
        wait_for(lambda: len(marked_processes(execution.pk)) >= 4)
        asked = time.monotonic()
        stop(actor=None, ids=[instance.pk])
        wait_for(lambda: not marked_processes(execution.pk))
        took = time.monotonic() - asked
        thread.join(60)
        assert not thread.is_alive()
        execution.refresh_from_db()
        assert (state_of(instance), execution.state) == (state, closed)
        return took

    assert takes_less_than(5, run_and_stop)


def test_a_worker_that_shuts_down_gives_its_work_back(live_engine: Engine) -> None:
    life = Life("worker-that-ends")
    (instance,) = live_engine.make(new_instance(make_submitted_task(code="echo up; sleep 600")))
    execution = Execution.objects.get(instance=instance)

    def worker() -> None:
        try:
            with life:
                Crew(life, room=4).work(instance.resource_group.queue)
        finally:
            connection.close()

    thread = threading.Thread(target=worker)
    thread.start()
    wait_for(lambda: "up" in log_of(execution))
    life.pulse.shutting_down.set()
    thread.join(60)
    assert not thread.is_alive()
    instance.refresh_from_db()
    execution.refresh_from_db()
    assert (instance.state, instance.retry_count) == (State.WAITING_EXECUTION, 0)
    assert (execution.state, execution.error_code) == (ExecutionState.LOST, "WORKER_STOPPED")
    assert instance.not_before <= datetime.now(UTC) + timedelta(seconds=1)
