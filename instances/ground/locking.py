"""Locks on instances, always in id order, so that two verbs never wait for each other in a ring."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, ParamSpec, TypeVar

import structlog
from django.conf import settings
from django.db import OperationalError

from instances.ground.prepared import prepared_cursor
from instances.holds.listed import BLOCKED
from instances.states import State
from projects.ground.bulk import LOCK_BOUND, is_held, lock_bound
from projects.ground.sql import column

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

logger = structlog.get_logger(__name__)


def lock_instances(
    ids: Iterable[int], states: Iterable[State] | None = None, *, skip_held: bool = False
) -> dict[int, State]:
    """Lock the instances (those in `states`, when given) and return {id: state}, in id order.

    The states are those after the lock was granted. skip_held: leave out what others hold, for who
    looks again. Call inside a transaction.
    """
    skip = " SKIP LOCKED" if skip_held else ""
    condition = "" if states is None else " AND state = ANY(%s)"
    arguments: list[Any] = [list(ids)]
    if states is not None:
        arguments.append([state.value for state in states])
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT id, state FROM instances_instance"
            f" WHERE id = ANY(%s){condition} ORDER BY id FOR NO KEY UPDATE{skip}",
            arguments,
        )
        return {pk: State(state) for pk, state in cursor.fetchall()}


def lock_instances_of(execution_ids: Iterable[int], *, lock_seconds: float) -> None:
    """Lock the instances of the executions, in id order. Call inside a transaction.

    From then on the transaction waits for no lock longer than lock_seconds (see `is_held`).
    """
    with prepared_cursor() as cursor:
        cursor.execute(
            f"SELECT FROM instances_instance i, {LOCK_BOUND} WHERE i.id IN"
            " (SELECT instance_id FROM instances_execution WHERE id = ANY(%s))"
            " ORDER BY i.id FOR NO KEY UPDATE OF i",
            [lock_bound(lock_seconds), list(execution_ids)],
        )


def blocked_ids(ids: Iterable[int]) -> list[int]:
    """Return those of the instances that may not start though they were ready, in id order."""
    listed = list(ids)
    if not listed:
        return []
    with prepared_cursor() as cursor:
        cursor.execute(
            f"SELECT i.id FROM instances_instance i WHERE i.id = ANY(%s) AND {BLOCKED} ORDER BY id",
            [listed],
        )
        return column(cursor)


def downstream_ids(ids: Iterable[int]) -> list[int]:
    """Return the instances with an edge, not removed, to one of `ids`, in id order."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT below.instance_id"
            " FROM unnest(%s::bigint[]) AS w (id) CROSS JOIN LATERAL ("
            "SELECT x.instance_id FROM instances_edge x"
            " WHERE x.upstream_id = w.id AND x.removed_at IS NULL OFFSET 0) below"
            " ORDER BY below.instance_id",
            [list(ids)],
        )
        return column(cursor)


def unless_held(step: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    """Do a step; None when it meets what somebody holds for long: the next sweep comes back to it.

    The step must own its transaction, which is undone.
    """
    try:
        return step(*args, **kwargs)
    except OperationalError as error:
        if not is_held(error):
            raise
        logger.warning(
            "left_to_the_next_sweep",
            step=getattr(step, "__name__", repr(step)),
            error=str(error).partition("\n")[0],
        )
        return None


def in_parts(
    verb: Callable[..., R], items: Collection[T], *, seconds: float
) -> tuple[list[R], list[T]]:
    """Do `verb`, and leave out those items for which it meets what others hold.

    They are found by halves, so that one held row among many holds up the others for a moment.
    verb: called as verb(list of items, lock_seconds=…), in a transaction of its own that waits for
    no lock longer. Returns what it answered, and the items left out: also those that are still to
    be done after so many seconds.
    """
    until = time.monotonic() + seconds
    answers: list[R] = []
    left: list[T] = []
    parts = [list(items)] if items else []
    lock_seconds = settings.ENGINE_LOCK_SECONDS
    while parts:
        part = parts.pop()
        try:
            answers.append(verb(part, lock_seconds=lock_seconds))
        except OperationalError as error:
            if not is_held(error):
                raise
            if middle := len(part) // 2:
                halves = [part[:middle], part[middle:]]
                # When the time is up it must not be the same ones each time that had no turn.
                random.shuffle(halves)
                parts += halves
            else:
                left += part
        if time.monotonic() >= until:
            break
        # Of many, somebody is known to hold some; a single one may only be in demand, as is what
        # many wait for that end at once.
        is_single = bool(parts) and len(parts[-1]) == 1
        lock_seconds = settings.ENGINE_LOCK_SECONDS if is_single else settings.HELD_LOCK_SECONDS
    return answers, [*left, *(item for part in parts for item in part)]
