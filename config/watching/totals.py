"""Adding to totals, any number at a time and from any number of processes."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection

# (name, resource group, key)
TotalKey = tuple[str, str, str]


def add(amounts: Mapping[TotalKey, float]) -> None:
    """Add each amount to its total, which is made when it is missing; one statement."""
    rows = sorted((*key, amount) for key, amount in amounts.items() if amount)
    if not rows:
        return
    names, groups, keys, values = (list(column) for column in zip(*rows, strict=True))
    with connection.cursor() as cursor:
        # In one order everywhere, so that two writers never wait for each other in a ring.
        cursor.execute(
            "INSERT INTO config_total AS t (name, resource_group, key, value)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::float8[])"
            " ON CONFLICT (name, resource_group, key)"
            " DO UPDATE SET value = t.value + excluded.value",
            [names, groups, keys, values],
        )
