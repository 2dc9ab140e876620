"""The users that tasks run as, when the worker is root: each project has one of its own (P2, P5).

They are numbers without a name, far above those that systems give to people and services, so
nothing has to be made before a project's first task. What a project's tasks write is theirs; the
product's files, processes and database, and the tasks of other projects, are closed to them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from django.conf import settings

from instances.runners.base import Confinement
from instances.runners.spawner.confining import make_way

# Above what directory services, containers and systemd hand out.
FIRST_USER: Final = 2_100_000_000
MOST_USERS: Final = 40_000_000
_SOURCE_ROOT: Final = str(Path(__file__).resolve().parents[2])
# Opens the ways, gives one of those users a folder among those of executions (the first way), runs
# the interpreter as that user in it, and kills it.
_TRIAL: Final = """
import os, subprocess, sys, tempfile
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from instances.runners.spawner.confining import open_ways
user, ways = int(sys.argv[2]), sys.argv[3:]
open_ways(map(Path, ways))
folder = tempfile.mkdtemp(prefix="trial-", dir=ways[0])
code = "import asyncio, json, os, sys; os.chdir(sys.argv[1]); print(flush=True); sys.stdin.read()"
try:
    os.chown(folder, user, user)
    with subprocess.Popen(
        [sys.executable, "-I", "-c", code, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user, group=user, extra_groups=[],
    ) as child:
        if not child.stdout.readline():
            sys.exit(1)  # it has said why
        try:
            child.kill()
        except PermissionError:
            sys.exit("what runs as them cannot be killed")
finally:
    os.rmdir(folder)
"""


def user_of(project_id: int) -> int | None:
    """Return the user, and group, of a project's tasks; None when they run as the worker's."""
    return FIRST_USER + project_id % MOST_USERS if why_not() is None else None


def confinement() -> Confinement:
    """Return what holds for all tasks of this process."""
    own = why_not() is None
    return Confinement(
        users=own,
        ways=tuple(map(str, _ways())) if own else (),
        memory_bytes=settings.TASK_MEMORY_BYTES or None,
        processes=settings.TASK_PROCESSES or None,
        new_privileges=settings.TASK_NEW_PRIVILEGES,
    )


@cache
def why_not() -> str | None:
    """Return why tasks do not run as users of their own, as half a sentence; None when they do."""
    if not sys.platform.startswith("linux"):
        return "only Linux can give them users of their own"
    if os.geteuid() != 0:
        return "only root can give them users of their own"
    if not settings.TASK_USERS:
        return "TASK_USERS is off"
    command = [sys.executable, "-I", "-c", _TRIAL, _SOURCE_ROOT, str(FIRST_USER)]
    done = subprocess.run(
        [*command, *map(str, _ways())], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"users of their own cannot be used here ({reason})"


def give(project_id: int, folder: Path) -> None:
    """Make a folder, with all that is in it, the property of a project's tasks."""
    user = user_of(project_id)
    if user is None:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


def _ways() -> list[Path]:
    """Return the folders that tasks need: first their own; the demo's results; the code."""
    data = Path(settings.DATA_DIRECTORY)
    # A spawner that started before a folder was there would never see it.
    own = [data / "work", data / "demo"]
    for folder in own:
        make_way(folder)
    return [*own, *code_folders()]


def code_folders() -> list[Path]:
    """Return the folders that spawners and Python tasks import from."""
    names = {sys.prefix, sys.base_prefix, *sys.path} - {"", _SOURCE_ROOT}
    places = {path for path in map(Path, names) if path.is_dir()}
    places.add(Path(_SOURCE_ROOT) / "instances")
    return sorted(path for path in places if places.isdisjoint(path.parents))
