"""Set-based writing: COPY for new rows, and repetition of what a deadlock undid."""

from __future__ import annotations

import functools
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

from django.db import IntegrityError, OperationalError, connection, transaction

P = ParamSpec("P")
R = TypeVar("R")

# PostgreSQL's codes: deadlock_detected, serialization_failure.
_REPEATABLE = {"40P01", "40001"}
_LOCK_NOT_AVAILABLE = "55P03"
# foreign_key_violation: a row that was found was deleted before the commit, which looks again.
_REPEATABLE_ONCE = "23503"
_ATTEMPTS = 8


def copy_rows(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """COPY `rows` into `table` on Django's connection, in its transaction; return their number.

    Mappings and lists are written as JSON. The caller names every column without a default.
    """
    names = ", ".join(f'"{column}"' for column in columns)
    count = 0
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,  # psycopg's own go past Django's cursor here
        cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy,
    ):
        for row in rows:
            copy.write_row(
                [json.dumps(value) if isinstance(value, dict | list) else value for value in row]
            )
            count += 1
    return count


def repeat_on_deadlock(verb: Callable[P, R]) -> Callable[P, R]:
    """Run a verb that owns its transaction again when PostgreSQL chose it as a deadlock's victim.

    So too, but once only, when a row that it refers to was deleted meanwhile: it is not found then.
    Inside somebody else's transaction the error is passed on: only its owner can begin again. An
    iterator among the arguments reaches the verb as a list, as the first try would use it up.
    """

    @functools.wraps(verb)
    def repeated(*given: P.args, **named: P.kwargs) -> R:
        args: Any = [_kept(value) for value in given]
        kwargs: Any = {name: _kept(value) for name, value in named.items()}
        attempt = 1
        while True:
            try:
                return verb(*args, **kwargs)
            except (OperationalError, IntegrityError) as error:
                state = getattr(error.__cause__, "sqlstate", None)
                nested = transaction.get_connection().in_atomic_block
                again = state in _REPEATABLE or (state == _REPEATABLE_ONCE and attempt == 1)
                if not again or nested or attempt == _ATTEMPTS:
                    raise
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # so that rivals part ways
            attempt += 1

    return repeated


def is_held(error: OperationalError) -> bool:
    """Whether a lock was not granted in time: somebody else holds it."""
    return getattr(error.__cause__, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def limit_lock_waits(seconds: float) -> None:
    """Until the end of the transaction wait for no lock longer; see `is_held`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {lock_bound(seconds)}")


# The same beside the rows that a statement locks, without a way to the server of its own: a row to
# join, so that it is there before the first lock is asked for. It takes `lock_bound(seconds)`.
LOCK_BOUND = "(SELECT set_config('lock_timeout', %s, true)) AS bound"


def lock_bound(seconds: float) -> str:
    """Return how long to wait for a lock as the server takes it, in milliseconds."""
    return str(round(seconds * 1000))


def _kept(value: object) -> object:
    return list(value) if isinstance(value, Iterator) else value
