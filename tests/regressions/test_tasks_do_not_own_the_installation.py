"""Under `make up` as root a task reads nothing of the product, nor of another project's tasks.

Twelve seconds: a whole product starts, with the attacks as tasks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings

from config.embedded.data_directory import PROJECT_DIRECTORY
from config.embedded.postgres import database_url, place
from config.embedded.up import tasks_warning
from config.settings import machine
from instances.runners.users import FIRST_USER, confinement, user_of, why_not
from tests.config.embedded.test_up import Up, directory, end, environment, greeting, start
from tests.support.waiting import wait_for

__all__ = ["directory", "start"]

pytestmark = pytest.mark.feature("P5")

_SECRET = "what-the-neighbour-knows"
# The tasks of two projects; all of them are in place before the product starts.
_PREPARE = """
import json, sys
from contextlib import nullcontext
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from tests.factories import make_project, make_submitted_task, make_workflow
from tests.support.engine import Engine, new_instance
for project, tasks in json.loads(sys.stdin.read()).items():
    workflow = make_workflow(project=make_project(project))
    for name, definition in tasks.items():
        task = make_submitted_task(name, workflow=workflow, **definition)
        Engine(nullcontext, []).make(new_instance(task))
"""
_LOOK = """
import json
import django
django.setup()
from instances.logs.reading import read_log
from instances.models import Execution
print(json.dumps({
    one.instance.task.name: [one.instance.state, read_log(one.pk, chunks=10_000).text]
    for one in Execution.objects.select_related("instance__task").order_by("id")}))
"""
_VICTIMS = {
    "holder_shell": {"type": "shell", "code": "export HELD=%s; cd; echo %s >notes; sleep 600"},
    "holder_python": {"type": "python", "code": "held = '%s'\nimport time; time.sleep(600)"},
}
# Everything that runs as somebody else: the product, who starts tasks, the database, neighbours.
_SHELL_ATTACK = """
set +e
echo "I am $(id -u) $(id -g) $(id -G)"
for file in {data}/secrets.json {data}/postgres.lock {pgdata}/PG_VERSION /etc/shadow; do
    head -c 100 "$file" >/dev/null && echo "READ $file"
done
ls {data} {pgdata} {data}/work/*/ && echo "LISTED something"
ls -d {data}/work/execution-* 2>/dev/null
echo x >{data}/planted && echo "WROTE the data directory"
for folder in /proc/[0-9]*; do
    pid=${{folder#/proc/}}
    [ "$(stat -c %u $folder)" = "$(id -u)" ] && continue
    seen=$((seen + 1))
    tr '\\0' ' ' <$folder/environ && echo "READ environ of $pid"
    head -c 1 $folder/mem && echo "OPENED memory of $pid"
    ls $folder/fd/ $folder/cwd/ && echo "LISTED files of $pid"
    kill -0 $pid && echo "MAY KILL $pid"
done
grep -E '^(NoNewPrivs|CapEff|CapBnd)' /proc/self/status
echo "seen: $seen"
"""
_PYTHON_ATTACK = """
import os, pathlib, psycopg, socket, duckdb
import json, decimal, sqlite3  # what it needs to be of use is there
try:
    with psycopg.connect(host={socket!r}, user="postgres", dbname="tidemill") as connection:
        print("READ", connection.execute("SELECT password FROM auth_user").fetchall())
except Exception as error:
    print("refused:", error)
for uid in (0, {other}):
    try:
        os.setuid(uid)
        print("BECAME", uid)
    except PermissionError as error:
        print("refused:", error)
print("limits", __import__("resource").getrlimit(__import__("resource").RLIMIT_NPROC))
"""
_DUCKDB_ATTACK = "SELECT 'READ', content FROM read_text('{data}/secrets.json')"


def run(directory: Path, code: str, text: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT_DIRECTORY,
        env=environment(directory),
        input=text,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def ended(directory: Path, *names: str) -> dict[str, Any]:
    """The state and the log of each task, once those with these names have ended."""

    def states() -> dict[str, str]:
        with psycopg.connect(database_url(directory)) as connection:
            rows = connection.execute(
                "SELECT t.name, i.state FROM instances_instance AS i"
                " JOIN workflows_task AS t ON t.id = i.task_id"
            )
            return dict(rows.fetchall())

    wait_for(lambda: {states()[name] for name in names} <= {"SUCCESS", "FAILED"})
    found: dict[str, Any] = json.loads(run(directory, _LOOK))
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give tasks users of their own")
def test_a_task_reads_nothing_of_the_product_or_of_another_project(
    start: Callable[..., Up],
    directory: Path,
) -> None:
    pgdata = place(directory).pgdata
    values = {"data": directory, "pgdata": pgdata, "other": FIRST_USER + 1}
    socket = str(place(directory).socket_directory)
    victims = {
        name: {**one, "code": one["code"].replace("%s", _SECRET)} for name, one in _VICTIMS.items()
    }
    attacks = {
        "shell": {"type": "shell", "code": _SHELL_ATTACK.format(**values)},
        "python": {"type": "python", "code": _PYTHON_ATTACK.format(socket=socket, **values)},
        "duckdb": {
            "type": "sql",
            "code": _DUCKDB_ATTACK.format(**values),
            "retries": {"limit": 0, "interval": 1},
        },
    }
    run(directory, _PREPARE, json.dumps({"victim": victims, "attacker": attacks}))
    process = start()
    greeting(process)
    found = ended(directory, *attacks)
    secrets = json.loads((directory / "secrets.json").read_text())
    told = end_told(process)

    assert {name: found[name][0] for name in found} == {
        "holder_shell": "RUNNING",
        "holder_python": "RUNNING",
        "shell": "SUCCESS",
        "python": "SUCCESS",
        "duckdb": "FAILED",
    }
    log = "\n".join(found[name][1] for name in attacks)
    for word in ("READ", "OPENED", "LISTED", "WROTE", "MAY KILL", "BECAME"):
        assert not [line for line in log.splitlines() if line.startswith(word)], log
    for secret in (_SECRET, secrets["secret_key"], *secrets["encryption_keys"], "pbkdf2_sha256"):
        assert secret not in log
    # It was a real attempt: the doors are there, and they are shut.
    shell = found["shell"][1]
    uid = int(shell.split("I am ")[1].split()[0])
    assert uid > FIRST_USER and f"I am {uid} {uid} {uid}" in shell
    assert int(shell.split("seen: ")[1].split()[0]) > 5
    assert shell.count(f"{directory}/work/execution-") >= 3  # the names, and nothing inside
    assert f"cannot open '{directory}/secrets.json' for reading: Permission denied" in shell
    assert "NoNewPrivs:\t1" in shell
    assert shell.count("0000000000000000") == 2  # no capability, and none to get
    python = found["python"][1]
    assert python.count("refused:") == 3 and "Permission denied" in python
    assert "limits (4096, 4096)" in python
    assert "Permission" in found["duckdb"][1]
    assert "Tasks run as the user of all this" not in told
    assert not (directory / "planted").exists()
    assert list((directory / "work").iterdir()) == []


def end_told(process: Up) -> str:
    output, errors = end(process, signal.SIGTERM)
    assert errors == ""
    return output


def test_who_does_not_start_it_as_root_is_told_what_that_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    why_not.cache_clear()
    try:
        warning = tasks_warning()
        assert user_of(7) is None
        assert not confinement().users
    finally:
        why_not.cache_clear()
    assert warning == (
        "Tasks run as the user of all this, so whoever may submit one can read the secrets too: "
        "only root can give them users of their own."
    )


def test_limits_and_no_new_privileges_are_the_default() -> None:
    found = confinement()
    assert found.memory_bytes == settings.TASK_MEMORY_BYTES == machine.memory_bytes() // 2
    assert (found.processes, found.new_privileges) == (4096, False)
