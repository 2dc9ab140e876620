"""Rows that stand for a whole module of tests: each test changes them in a savepoint of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import transaction

Made = TypeVar("Made")


@contextmanager
def standing(blocker: Any, make: Callable[[], Made]) -> Iterator[Made]:
    """Yield what `make` wrote, in a transaction that is rolled back at the end.

    blocker: pytest-django's django_db_blocker. Tests in between use the fixture `db`, which then
    means a savepoint; none of them may use `transactional_db`. What a test does to the objects
    themselves others would see: give each a deep copy.
    """
    with blocker.unblock():
        outer = transaction.atomic()
        outer.__enter__()
        try:
            made = make()
        except BaseException:
            outer.__exit__(RuntimeError, RuntimeError(), None)
            raise
    try:
        yield made
    finally:
        with blocker.unblock():
            transaction.set_rollback(True)
            outer.__exit__(None, None, None)
