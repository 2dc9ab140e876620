"""No index is written at each change that a longer one makes superfluous."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import connection

OURS = "^(projects|workflows|events|instances|backfill|config)_"

# What has all rows, is no constraint, and stands in another one that has all rows, at its beginning
# and with the same order.
QUERY = """
    SELECT t.relname, a.relname FROM pg_index short
    JOIN pg_class a ON a.oid = short.indexrelid JOIN pg_class t ON t.oid = short.indrelid
    WHERE t.relname ~ %s AND NOT short.indisunique AND short.indpred IS NULL
        AND short.indexprs IS NULL AND EXISTS (
            SELECT FROM pg_index long
            WHERE long.indrelid = short.indrelid AND long.indexrelid <> short.indexrelid
                AND long.indpred IS NULL
                AND starts_with(long.indkey::text || ' ', short.indkey::text || ' ')
                AND starts_with(long.indclass::text || ' ', short.indclass::text || ' '))
    ORDER BY 1, 2"""


@pytest.mark.django_db
def test_no_index_stands_at_the_beginning_of_another() -> None:
    with connection.cursor() as cursor:
        cursor.execute(QUERY, [OURS])
        found = cursor.fetchall()
    models = apps.get_models(include_auto_created=True)
    # Those of tables between many and many are Django's own.
    automatic = {model._meta.db_table for model in models if model._meta.auto_created}
    assert [index for table, index in found if table not in automatic] == []
    assert found, "the search found nothing at all"
