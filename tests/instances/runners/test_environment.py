"""What a task's process sees of the worker: nothing that it does not need (P5)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instances.runners.base import BadConfig, DataSourceTarget, TaskContext
from instances.runners.environment import build_environment
from instances.runners.registry import get_runner
from instances.runners.spawner.client import SpawnerClient
from tests.instances.runners.conftest import Run

_NAMES = {
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "TZ",
    "TIDEMILL_EXECUTION_ID",
    "TIDEMILL_TASK",
    "TIDEMILL_TASK_TYPE",
    "TIDEMILL_SCHEDULED_AT",
    "TIDEMILL_DATA_DATE",
    "TIDEMILL_PARAMETERS",
}


def _context(folder: Path, **more: object) -> TaskContext:
    return TaskContext(
        execution_id=7,
        task_name="load",
        task_type="shell",
        work_dir=folder,
        scheduled_at="2026-07-02T05:00:00+02:00",
        data_date="2026-07-01",
        time_zone="Europe/Berlin",
        parameters={"dt": "20260701", "größe": "ü"},
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.feature("P5")
@pytest.mark.item("P5.2")
def test_the_environment_is_made_of_facts_and_of_what_the_task_names(tmp_path: Path) -> None:
    environment = build_environment(
        _context(tmp_path, environment={"API_TOKEN": "t", "TIDEMILL_TASK": "forged"})
    )
    assert set(environment) == {*_NAMES, "API_TOKEN"}
    assert environment["API_TOKEN"] == "t"
    assert environment["TIDEMILL_TASK"] == "load"
    assert environment["TIDEMILL_DATA_DATE"] == "2026-07-01"
    assert environment["TIDEMILL_SCHEDULED_AT"] == "2026-07-02T05:00:00+02:00"
    assert json.loads(environment["TIDEMILL_PARAMETERS"]) == {"dt": "20260701", "größe": "ü"}
    assert environment["HOME"] == environment["TMPDIR"] == str(tmp_path / "execution-7")
    assert environment["TZ"] == "Europe/Berlin"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("", "x", "not a name"),
        ("A=B", "x", "not a name"),
        ("A", "x\0y", "zero byte"),
        ("A", "x" * 200_000, "longer than"),
    ],
)
def test_a_variable_that_no_process_can_have_is_refused(
    tmp_path: Path, name: str, value: str, reason: str
) -> None:
    with pytest.raises(BadConfig, match=reason) as caught:
        build_environment(_context(tmp_path, environment={name: value}))
    assert caught.value.field == f"environment.{name}"


@pytest.fixture
def leaky_client(monkeypatch: pytest.MonkeyPatch) -> SpawnerClient:
    """A client of a worker whose environment holds a secret."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://worker:leaked-password@db/x")
    monkeypatch.setenv("SECRET_KEY", "leaked-key")
    return SpawnerClient()


@pytest.mark.feature("P5", "T10")
def test_a_shell_task_sees_nothing_of_the_workers_environment(
    run: Run, leaky_client: SpawnerClient
) -> None:
    _, log = run("shell", "env; tr '\\0' '\\n' </proc/$PPID/environ", client=leaky_client)
    leaky_client.close()
    names = {line.partition("=")[0] for line in log.splitlines() if "=" in line}
    assert names == {*_NAMES, "PWD"}
    assert "leaked" not in log


@pytest.mark.feature("P5", "T10")
def test_a_python_task_sees_nothing_of_the_workers_environment(
    run: Run, leaky_client: SpawnerClient
) -> None:
    code = """
import os, subprocess
from pathlib import Path
print(*os.environ, sep="\\n")
print("own", Path("/proc/self/environ").read_text().split("\\0"))
print("child", subprocess.check_output("env").decode().replace("\\n", " "))
print("parent", Path(f"/proc/{os.getppid()}/environ").read_text().split("\\0"))
"""
    _, log = run("python", code, client=leaky_client)
    leaky_client.close()
    assert set(log.partition("own")[0].split()) == _NAMES
    assert "leaked" not in log


@pytest.mark.feature("P5", "T10")
def test_a_sql_task_sees_nothing_of_the_workers_environment(
    run: Run, leaky_client: SpawnerClient
) -> None:
    code = "select content from read_text('/proc/self/environ')"
    outcome, log = run("sql", code, client=leaky_client)
    leaky_client.close()
    assert outcome.ok, log
    assert "leaked" not in log


@pytest.mark.feature("P5")
@pytest.mark.parametrize("task_type", ["shell", "python", "sql", "http"])
def test_the_code_and_the_password_are_in_no_argument_and_no_variable(
    tmp_path: Path, task_type: str
) -> None:
    context = TaskContext(
        execution_id=1,
        task_name="t",
        task_type=task_type,
        work_dir=tmp_path,
        code="s3cret-code",
        config={"url": "https://u:s3cret@example.com/"} if task_type == "http" else {},
        data_source=DataSourceTarget("db", "postgresql://u:s3cret@db/x"),
    )
    launch = get_runner(task_type).launch(context)
    assert launch is not None
    assert "s3cret" not in repr(launch)
    assert "s3cret" not in repr((launch.argv, launch.target, launch.environment))
    assert "s3cret" not in repr(context.data_source)
    assert b"s3cret" in launch.payload
