"""Lists by state, and queues of groups, say what the conditions of their indexes say.

Which index is read the planner decides, by sizes that no test has; without its condition it cannot.
"""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import QuerySet

from instances.admin.resource_groups import with_use
from instances.filters import InstanceFilter
from instances.models import Instance
from projects.models import ResourceGroup

pytestmark = pytest.mark.django_db


def condition_of(index: str) -> str:
    """The condition of a partial index, as PostgreSQL has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_expr(indpred, indrelid) FROM pg_index WHERE indexrelid = %s::regclass",
            [index],
        )
        return str(cursor.fetchone()[0])


def sql_of(rows: QuerySet) -> str:
    return str(rows.query).replace('"', "")


def test_a_list_by_state_reads_what_is_not_success() -> None:
    failed = InstanceFilter({"state": "FAILED"}, Instance.objects.order_by())
    assert failed.is_valid()
    assert "project_id > 0" in condition_of("instance_list_by_state")
    assert "instances_instance.project_id > 0" in sql_of(failed.qs)


def test_the_queue_of_a_group_is_counted_in_both_lists() -> None:
    queues = sql_of(with_use(ResourceGroup.objects.all()))
    assert "sort_key >= 0" in condition_of("instance_ready")
    assert "sort_key >= 0" in queues and "NOT U0.limited" in queues
    assert "AND limited" in condition_of("instance_ready_of_task")
    assert "AND U0.limited AND" in queues or "AND U0.limited)" in queues
