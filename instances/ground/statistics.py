"""Statistics after bulk loads: PostgreSQL plans by what it knew of a table when it last looked.

Autovacuum looks once a minute at best. A large plan makes millions of rows in that time, and
statements that connections have prepared would go on as they were planned for small tables.
"""

from __future__ import annotations

import structlog
from django.db import Error, connection, transaction

from projects.ground.sql import column

# The tables that grow in bulk.
TABLES = ("instances_instance", "instances_edge", "instances_execution")
# A table is looked at again when so many of its rows have changed, and this share of them.
CHANGED_ROWS = 1_000
CHANGED_SHARE = 0.5

logger = structlog.get_logger(__name__)


def refresh_statistics() -> list[str]:
    """ANALYZE the tables that changed much since the last time; return them.

    Call after the commit of a bulk load. One query when there is nothing to do; otherwise a second
    or so a table, whatever its size. A table that somebody else looks at is left to them.
    """
    try:
        # Of its own: should it fail, whatever transaction is around goes on.
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT s.relname FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid"
                " WHERE s.relid = ANY(%s::regclass[])"
                " AND s.n_mod_since_analyze > %s + %s * greatest(c.reltuples, 0)",
                [list(TABLES), CHANGED_ROWS, CHANGED_SHARE],
            )
            changed = column(cursor)
        for table in changed:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"ANALYZE (SKIP_LOCKED) {table}")
    except Error:  # statistics that are old cost time, and nothing else
        logger.warning("statistics_not_refreshed", exc_info=True)
        return []
    return changed
