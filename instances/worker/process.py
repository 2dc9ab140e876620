"""The life of a worker process: how it begins, with its memory guarded, and how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
from pathlib import Path

import structlog
from django.conf import settings
from django.db import connection

from instances.engine.announcing import note_workers_here
from instances.engine.rescue import release_executions_of
from instances.models import Execution
from instances.runners.spawner.process_tree import resource
from instances.runners.users import why_not
from instances.states import IN_WORKER
from instances.worker.crew import Crew
from instances.worker.life import Life
from projects.ground.database import is_away
from projects.ground.memory_guard import guard_memory

# The modules whose interpreters are kept warm for the task types that call them.
WARM_MODULES = ("instances.runners.python.child", "instances.runners.sql.duckdb_child")
# Until the database is there, when it was away at the start.
TIDY_AGAIN_SECONDS = 5.0
# An execution takes three descriptors of the worker's, and there must be some for its connections.
FILES_PER_EXECUTION = 4
MOST_FILES = 65_536
_SCRATCH = re.compile(r"execution-(\d+)")

logger = structlog.get_logger(__name__)


class WorkerProcess(Life):
    """The life of a process with a crew, from its beginning to its end: `drain` or `end`."""

    def __init__(self, *, room: int) -> None:
        """Begin, for `room` executions at a time, or as many as it may have files for."""
        super().__init__()
        guard_memory()
        most = raise_open_files() // FILES_PER_EXECUTION
        if most < room:
            logger.warning("room_is_less", wanted=room, room=most, limit="open files")
        self.crew = Crew(self, room=max(1, min(room, most)))
        _warn_of_root()
        note_workers_here(True)
        # Beside the first executions, not before them: the database may be away just now.
        threading.Thread(target=self._tidy_up, name="tidy-up", daemon=True).start()
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()

    def close(self) -> None:
        """Kill what still runs; from now on nothing is started here."""
        note_workers_here(False)
        super().close()

    def drain(self) -> None:
        """Take no more work, and wait until what runs here has ended: for as long as it takes."""
        try:
            self.crew.drain()
        except Exception:
            self.close()
            raise
        # Not after SystemExit: `end` follows then, which gives back what still runs.
        self.close()

    def end(self, timeout: float) -> bool:
        """End what runs here and give it back; False when it took longer than `timeout` seconds."""
        self.pulse.shutting_down.set()
        ended = False
        try:
            ended = self.crew.drain(timeout)
        finally:
            # First of all nothing of it runs any more: who gets it back starts it at once.
            self.close()
            try:
                release_executions_of(self.name)
            except Exception:
                # The database is away: rescue finds them when their leases are over.
                ended = False
                logger.warning("not_given_back", exc_info=True)
        return ended

    def _tidy_up(self) -> None:
        while True:
            try:
                remove_old_scratch()
                return
            except Exception as error:
                if not is_away(error):
                    logger.exception("old_folders_left")
                    return
                logger.warning("database_away", exc_info=True)
            finally:
                connection.close()
            if self.pulse.shutting_down.wait(TIDY_AGAIN_SECONDS):
                return

    def _warm_up(self) -> None:
        try:
            self.client.warm_up(*WARM_MODULES)
        except Exception:
            logger.warning("warm_up_failed", exc_info=True)


def _warn_of_root() -> None:
    if os.geteuid() == 0 and settings.TASK_USERS and (reason := why_not()) is not None:
        logger.warning("tasks_run_as_root", reason=reason)


# For those who are called by name: Celery's signals and tasks.
_present: WorkerProcess | None = None


def begin(*, room: int) -> WorkerProcess:
    """Begin the life of this process, with `room` for so many executions at a time."""
    global _present
    _present = WorkerProcess(room=room)
    return _present


def present() -> WorkerProcess:
    """Return the life of this process; one that no `begin` began gets the usual room."""
    if _present is None or _present.pid != os.getpid():
        return begin(room=settings.EXECUTIONS_PER_PROCESS)
    return _present


def raise_open_files() -> int:
    """Raise this process's limit of open files to what it may have; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if wanted > soft != resource.RLIM_INFINITY:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


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
