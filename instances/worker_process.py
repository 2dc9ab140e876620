"""What a worker process does once when it begins: guard its memory, warm up, tidy up."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
import threading
from pathlib import Path

import structlog
from django.conf import settings

from instances import pulse
from instances.crew import Crew
from instances.models import Execution
from instances.rescue import release_executions_of
from instances.runners.spawner_client import close_client, get_client
from instances.states import IN_WORKER

# The modules whose interpreters are kept warm for the task types that call them.
WARM_MODULES = ("instances.runners.python_child", "instances.runners.duckdb_child")
_PR_SET_DUMPABLE = 4
_SCRATCH = re.compile(r"execution-(\d+)")

logger = structlog.get_logger(__name__)

_crew: Crew | None = None
_owner: int | None = None


def begin(*, room: int) -> None:
    """Prepare this process for `room` executions at a time."""
    global _crew, _owner
    pulse.current().shutting_down.clear()
    _crew, _owner = Crew(pulse.current(), room=room), os.getpid()
    guard_memory()
    remove_old_scratch()
    # Beside the first executions, not before them.
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def crew() -> Crew:
    """Return the crew of this process; one that no `begin` prepared gets the usual room."""
    if _crew is None or _owner != os.getpid():
        begin(room=settings.EXECUTIONS_PER_PROCESS)
    assert _crew is not None
    return _crew


def drain() -> None:
    """Take no more work, and wait until what runs here has ended: for as long as that takes."""
    crew().drain()
    close_client()


def end(timeout: float) -> bool:
    """End what runs here and give it back; False when it took longer than `timeout` seconds."""
    worker = pulse.current()
    worker.shutting_down.set()
    ended = crew().drain(timeout)
    release_executions_of(worker.worker)
    close_client()
    return ended


def guard_memory() -> None:
    """Keep tasks, which run as the same user, from reading this process's secrets in /proc (P5)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def remove_old_scratch() -> None:
    """Remove the folders of executions that no worker holds any more."""
    work = Path(settings.DATA_DIRECTORY) / "work"
    folders = {
        int(match[1]): entry
        for entry in (work.iterdir() if work.is_dir() else ())
        if (match := _SCRATCH.fullmatch(entry.name))
    }
    held = Execution.objects.filter(pk__in=folders, state__in=IN_WORKER)
    for pk in folders.keys() - set(held.values_list("pk", flat=True)):
        shutil.rmtree(folders[pk], ignore_errors=True)


def _warm_up() -> None:
    try:
        get_client().warm_up(*WARM_MODULES)
    except Exception:
        logger.warning("warm_up_failed", exc_info=True)
