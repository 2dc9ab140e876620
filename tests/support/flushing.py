"""Emptying the test database after a test that committed, as quickly as that goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations

# What Django would make anew each time, and no test changes.
_KEPT = frozenset({"django_content_type", "auth_permission"})
# From this size on of a table all of them get new files.
_LARGE = 256 * 1024
# TRUNCATE makes new files for fifty tables and all their indexes, however empty they are: 0.1 s.
# The locks are those of TRUNCATE: who is still at it is waited for, and what it wrote goes too.
_FLUSH = """
DO $$
DECLARE
    one regclass;
    ours regclass[] := ARRAY[{literals}];
BEGIN
    LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE;
    IF (SELECT max(pg_relation_size(each)) FROM unnest(ours) each) > {large} THEN
        TRUNCATE {names};
    ELSE
        SET LOCAL session_replication_role = replica;
        FOREACH one IN ARRAY ours LOOP
            EXECUTE 'DELETE FROM ' || one;
        END LOOP;
    END IF;
END $$
"""


@contextmanager
def quick_flush() -> Iterator[None]:
    """In the block Django's flush deletes the rows of small tables instead of truncating them."""
    honest = DatabaseOperations.sql_flush

    def sql_flush(
        self: DatabaseOperations, style: Any, tables: Sequence[str], **options: Any
    ) -> list[str]:
        if not tables or any(options.values()):
            return honest(self, style, tables, **options)
        names = [self.quote_name(table) for table in tables if table not in _KEPT]
        return [
            _FLUSH.format(
                names=", ".join(names),
                literals=", ".join(f"'{name}'" for name in names),
                large=_LARGE,
            )
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "sql_flush", sql_flush)
        yield
