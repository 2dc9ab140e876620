"""How Celery and Django share connections: tasks give theirs back, and the pool stays.

Celery's own fixup closes the whole connection pool of a prefork process around every task. Here
the crew's threads use that pool at the same time, so a task only gives its own connection back.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.fixups.django import DjangoFixup, DjangoWorkerFixup
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper


class PoolKeepingWorkerFixup(DjangoWorkerFixup):
    """Closes connections around tasks; forgets the pools of the parent after a fork."""

    def on_worker_process_init(self, **kwargs: Any) -> None:
        # A pool's threads are not in the child: it must make one of its own.
        DatabaseWrapper._connection_pools.clear()  # type: ignore[attr-defined]
        super().on_worker_process_init(**kwargs)

    def _close_database(self) -> None:
        for connection in connections.all(initialized_only=True):
            if not connection.in_atomic_block:
                connection.close()


class PoolKeepingFixup(DjangoFixup):
    """Celery's Django fixup with the worker part from above."""

    _worker_fixup: DjangoWorkerFixup | None

    @property
    def worker_fixup(self) -> DjangoWorkerFixup:
        if self._worker_fixup is None:  # made late: it reads the app's settings
            self._worker_fixup = PoolKeepingWorkerFixup(self.app)
        return self._worker_fixup

    @worker_fixup.setter
    def worker_fixup(self, value: DjangoWorkerFixup) -> None:
        self._worker_fixup = value


def fixup(app: Celery) -> DjangoFixup:
    """Install the fixup; Celery calls this by its name."""
    return PoolKeepingFixup(app).install()
