"""The oldest open transaction: what it could still see, no vacuum can remove."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

# Backends of this database, senders to replicas, prepared transactions, replication slots.
_OLDEST = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - since)), 0)::float8,
        coalesce(max(transactions), 0)
    FROM (
        SELECT xact_start AS since, age(backend_xmin) AS transactions FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
            AND (datname IS NULL OR datname = current_database())
        UNION ALL
        SELECT prepared, age(transaction) FROM pg_prepared_xacts WHERE database = current_database()
        UNION ALL
        SELECT NULL, age(xmin) FROM pg_replication_slots WHERE xmin IS NOT NULL
    ) holders"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """For how long the oldest one has been open, and how many transactions began since."""

    seconds: float
    transactions: int


def oldest_snapshot() -> Snapshot:
    """Return the oldest one that anybody holds; of zero seconds when there is none.

    Of other roles' sessions only those with `pg_read_all_stats` are told.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST)
        return Snapshot(*cursor.fetchone())
