"""Statements that stand on the way of every instance: planned once a connection, not each time.

Django fills values into a statement before it is sent, so that PostgreSQL plans each anew, which
for statements that touch a few rows costs more than doing them.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg import Cursor

# Executions on one connection after which a statement is worth preparing.
PREPARE_AFTER = 3


def prepared_cursor() -> CursorWrapper:
    """Return a cursor of Django's connection that prepares the statements it sees again and again.

    Use it as a context manager. Give it statements whose text does not depend on the rows.
    """
    connection.ensure_connection()
    raw = connection.connection
    if raw.prepare_threshold is None and settings.PREPARED_STATEMENTS:
        raw.prepare_threshold = PREPARE_AFTER
    # Django's own cursor binds on the client; a wrapper around psycopg's is all that differs.
    cursor: Any = Cursor(raw)
    if connection.queries_logged:
        return connection.make_debug_cursor(cursor)
    return connection.make_cursor(cursor)
