"""Threads that act on the database at the same moment, each on a connection of its own."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from typing import Any, TypeVar

from django.db import connection, transaction

# How often each race is run.
ROUNDS = int(os.environ.get("RACE_ROUNDS", "50"))
# Rounds that are set up together.
_AHEAD = 50

MOST = 4
MOST_HANDICAP = 12  # queries
# No test here pulls the plug: commits need not reach the disk.
HASTE = "SET synchronous_commit = off"
PATIENCE = 60.0  # seconds; only a test that fails takes them

Call = Callable[[], Any]
T = TypeVar("T")


def rounds(seen: Collection[object] | None = None) -> Iterator[int]:
    """Yield the number of each round.

    seen: the ends that rounds have had. With fewer than two it was no race yet, and more rounds
    follow, up to twenty times as many: on a busy machine one side may win for long.
    """
    number = 0
    while number < ROUNDS or (seen is not None and len(seen) < 2 and number < 20 * ROUNDS):
        yield number
        number += 1


def set_up_ahead(
    set_up: Callable[[range], Iterable[T]], seen: Collection[object] | None = None
) -> Iterator[T]:
    """Yield what `set_up` makes for `rounds`: given the numbers of many rounds, one for each.

    What a round needs costs more than its race when each is made by itself.
    """
    ready: Iterator[T] = iter(())
    end = 0
    for number in rounds(seen):
        if number == end:
            end += min(_AHEAD, ROUNDS - number) if number < ROUNDS else 10
            ready = iter(set_up(range(number, end)))
        yield next(ready)


class Racers:
    """Up to MOST rivals. Their connections last from round to round; `close` ends them."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(MOST)
        self._chance = random.Random(1)

    def race(self, *calls: Call) -> list[Any]:
        """Run the calls at the same moment; return their results, or raise what one raised."""
        line = threading.Barrier(len(calls))

        def start(call: Call, handicap: int) -> Any:
            _get_ready()
            line.wait(PATIENCE)
            _ask_in_vain(handicap)
            return call()

        # Rivals with as many queries to do would always meet at the same place.
        futures = [
            self._pool.submit(start, call, self._chance.randrange(MOST_HANDICAP)) for call in calls
        ]
        return [future.result(PATIENCE) for future in futures]

    def overtake(self, first: Call, second: Call) -> Any:
        """Run `first` in a transaction and `second` before that is committed.

        `second` runs to its end, or until it waits for a lock that `first` holds, and goes on
        after the commit. Returns what `second` returned.
        """
        with transaction.atomic():
            first()
            pids: Future[int] = Future()
            future = self._pool.submit(self._tell_pid, second, pids)
            self._ends_first(future, pids.result(PATIENCE))
        return future.result(PATIENCE)

    def beside(self, first: Call, second: Call) -> Any:
        """Run `first` in a transaction and all of `second` before that is committed.

        Returns what `second` returned; fails when it waits for a lock that `first` holds.
        """
        with transaction.atomic():
            first()
            pids: Future[int] = Future()
            future = self._pool.submit(self._tell_pid, second, pids)
            waits = not self._ends_first(future, pids.result(PATIENCE))
        result = future.result(PATIENCE)
        assert not waits, "it waited for a lock"
        return result

    @staticmethod
    def _ends_first(future: Future[Any], pid: int) -> bool:
        """Wait until the call has ended, or waits for a lock; True in the first case."""
        while not future.done():
            if _is_blocked(pid):
                return False
            try:
                future.result(0.002)
            except NotYet:
                continue
        return True

    def close(self) -> None:
        """Close the connections and end the threads."""
        self.race(*[_close] * MOST)
        self._pool.shutdown()

    @staticmethod
    def _tell_pid(call: Call, pids: Future[int]) -> Any:
        _get_ready()
        pids.set_result(connection.connection.info.backend_pid)
        return call()


def _get_ready() -> None:
    if connection.connection is None:
        with connection.cursor() as cursor:
            cursor.execute(HASTE)


def _ask_in_vain(times: int) -> None:
    with connection.cursor() as cursor:
        for _ in range(times):
            cursor.execute("SELECT 1")


def _close() -> None:
    connection.close()


def _is_blocked(pid: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE pid = %s AND NOT granted)", [pid])
        return bool(cursor.fetchone()[0])
