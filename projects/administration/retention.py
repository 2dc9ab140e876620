"""Deleting old records of operations: the one way that the database allows (P3)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import connection, transaction

BATCH = 5_000  # operations at a time, and rows of one transaction
# An operation goes last: who is cut off in between finds it again, and what is left of it.
_TABLES: Final = (
    ("projects_operationobject", "operation_id"),
    ("projects_operationpart", "operation_id"),
    ("projects_operation", "id"),
)


def forget_operations(before: datetime) -> int:
    """Delete the records of operations from before then; return how many. Short transactions."""
    forgotten = 0
    while ids := _some_older_than(before):
        for table, column in _TABLES:
            while _delete_some(table, column, ids) == BATCH:
                pass
        forgotten += len(ids)
    return forgotten


def _some_older_than(before: datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM projects_operation WHERE created_at < %s ORDER BY id LIMIT %s",
            [before, BATCH],
        )
        return [pk for (pk,) in cursor.fetchall()]


@transaction.atomic
def _delete_some(table: str, column: str, ids: list[int]) -> int:
    """Delete up to BATCH rows of a table that belong to these operations; return how many."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL tidemill.retention = 'records'")
        cursor.execute(
            f"DELETE FROM {table} WHERE id IN"
            f" (SELECT id FROM {table} WHERE {column} = ANY(%s) LIMIT %s)",
            [ids, BATCH],
        )
        deleted = cursor.rowcount
        # What follows in a transaction around this one is no retention.
        cursor.execute("SET LOCAL tidemill.retention = ''")
        return deleted
