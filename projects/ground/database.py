"""Connections that never wait for ever.

Three ends of a connection can fall silent, and each has a bound of its own. The *server* ends what
takes too long, by the settings of its session (`session_settings`). The *network* is watched by the
kernel, by keepalives (`config.settings.database`). And whoever *answers* may be silent though its
machine is not, as a hung server, or a pooler or proxy in between: a connection of ours gives up by
itself when its patience is over. Then it is closed, like one that the server has closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connections,
)
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout
from psycopg_pool.base import AttemptWithBackoff

RV = TypeVar("RV")

# What the server needs to say that time is up, in seconds.
_SERVER_FIRST = 5.0
# transaction_timeout is new in it; before, each statement and each pause has its bound alone.
_VERSION_17 = 170_000

# The pool tries again about once a second for as long as it takes. It would double the time after
# each attempt: an outage of half a minute would be over before it was noticed, and so would leases.
AttemptWithBackoff.DELAY_BACKOFF = 1.0

_patience: ContextVar[float | None] = ContextVar("patience", default=None)


# The server has ended the session (idle in a transaction, or in one for too long): psycopg takes it
# for an error of the program. That it cancels a statement is a word about the statement.
_SESSION_ENDED = {"25P03", "25P04"}
_CANCELLED = "57014"


def is_away(error: BaseException) -> bool:
    """Whether an error of Django's says that the database is away, or the session with it.

    Any other one, also that a statement took too long, is about what the database was asked to do.
    """
    state = getattr(error.__cause__, "sqlstate", None)
    if isinstance(error, OperationalError | InterfaceError):
        return state != _CANCELLED
    return isinstance(error, DatabaseError) and state in _SESSION_ENDED


def is_cancelled(error: BaseException) -> bool:
    """Whether a statement took too long for the server."""
    return getattr(error.__cause__, "sqlstate", None) == _CANCELLED


class DatabaseSilent(psycopg.OperationalError):
    """The database has not answered in time; the connection was closed."""

    def __str__(self) -> str:
        return str(self.__doc__)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """In the block, wait for no answer of the database for longer."""
    token = _patience.set(min(seconds, longest_patience() or seconds))
    try:
        yield
    finally:
        _patience.reset(token)


def longest_patience() -> float | None:
    """For how long an answer is worth waiting for at all; None without a bound, in seconds."""
    if not settings.DATABASE_STATEMENT_SECONDS:
        return None
    return float(settings.DATABASE_STATEMENT_SECONDS) + _SERVER_FIRST


class PatientConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends."""

    unbounded = False  # for migrations

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        if timeout is not None or self.unbounded:
            return super().wait(gen, interval, timeout)
        given = _patience.get()
        try:
            return super().wait(gen, interval, longest_patience() if given is None else given)
        except _WaitTimeout:
            pool = getattr(self, "_pool", None)
            self.pgconn.finish()
            if pool is not None:
                # Those beside it go the same way: to find out one by one takes as long each time.
                pool.drain()
            raise DatabaseSilent from None


def session_settings(server_version: int) -> dict[str, str]:
    """The settings of a new session: after how many milliseconds the server ends what, by name.

    server_version: as libpq gives it, 150004 for 15.4.
    """
    if settings.DATABASE_POOLER:
        return {}
    seconds = {
        "lock_timeout": settings.DATABASE_LOCK_SECONDS,
        "statement_timeout": settings.DATABASE_STATEMENT_SECONDS,
        "idle_in_transaction_session_timeout": settings.DATABASE_IDLE_SECONDS,
    }
    if server_version >= _VERSION_17:
        seconds["transaction_timeout"] = settings.DATABASE_TRANSACTION_SECONDS
    found = {name: str(round(value * 1000)) for name, value in seconds.items()}
    # A statement that might read many rows is cheap as it finds few: to compile it each time, for a
    # tenth of a second, never pays.
    found["jit"] = "off"
    if settings.PREPARED_STATEMENTS:
        # Else a plan that knows how few ids it gets looks cheaper each time than the one that is
        # kept, and is made each time. Django's own statements are never prepared.
        found["plan_cache_mode"] = "force_generic_plan"
    return found


def use_own_connection(*, seconds: float) -> None:
    """Give this thread a connection beside the pool, which the pool's troubles do not reach.

    seconds: to connect. It stays open until it is closed.
    """
    now = connections[DEFAULT_DB_ALIAS]
    options = {**now.settings_dict["OPTIONS"], "connect_timeout": round(seconds)}
    options.pop("pool", None)
    own = {**now.settings_dict, "OPTIONS": options, "CONN_MAX_AGE": None}
    now.close()
    connections[DEFAULT_DB_ALIAS] = type(now)(own, DEFAULT_DB_ALIAS)
