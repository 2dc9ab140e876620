"""How many instances of a list are in each state, without counting all there are."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import QuerySet

from instances.models import Instance
from instances.models.instance import LISTED
from instances.states import State
from projects.ground.words import thousands

# Where counting a state stops.
MOST_COUNTED = 10_000


def count_states(rows: QuerySet[Instance]) -> dict[State, int]:
    """Return the number of rows in each state that occurs; one more than MOST_COUNTED is "more".

    One query. What is not SUCCESS is found by an index that leaves out the successes, which are
    nearly all; no state is read further than it is counted.
    """
    parts: list[str] = []
    arguments: list[Any] = []
    for state in State:
        states = rows.filter(LISTED, state=state).order_by().values_list("state")
        counted = states[: MOST_COUNTED + 1]
        try:
            sql, values = counted.query.sql_with_params()
        except EmptyResultSet:  # the filters leave nothing over
            continue
        parts.append(f"({sql})")
        arguments += values
    if not parts:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT state, count(*) FROM ({' UNION ALL '.join(parts)}) AS found (state)"
            " GROUP BY state",
            arguments,
        )
        return {State(state): number for state, number in cursor.fetchall()}


def spell_count(number: int) -> str:
    """Return a number of rows as people see it: 1,234 or 10,000+."""
    return thousands(number) if number <= MOST_COUNTED else f"{thousands(MOST_COUNTED)}+"
