"""Repetition of what a deadlock undid."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
import pytest
from django.db import OperationalError

from projects.ground.bulk import repeat_on_deadlock


def deadlock() -> OperationalError:
    error = OperationalError("deadlock detected")
    error.__cause__ = psycopg.errors.DeadlockDetected()
    return error


@pytest.mark.parametrize("as_keyword", [False, True])
def test_the_second_try_gets_what_the_first_got(as_keyword: bool) -> None:
    tries: list[list[int]] = []

    @repeat_on_deadlock
    def verb(ids: Iterable[int]) -> int:
        tries.append(list(ids))
        if len(tries) < 3:
            raise deadlock()
        return len(tries)

    ids = (number for number in (1, 2, 3))
    assert (verb(ids=ids) if as_keyword else verb(ids)) == 3
    assert tries == [[1, 2, 3]] * 3


def test_other_errors_are_not_repeated() -> None:
    tries = []

    @repeat_on_deadlock
    def verb() -> None:
        tries.append(1)
        raise OperationalError("the connection is gone")

    with pytest.raises(OperationalError):
        verb()
    assert tries == [1]
