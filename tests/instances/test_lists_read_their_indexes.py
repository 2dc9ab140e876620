"""Lists by state, and queues of groups, say what the conditions of their indexes say."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import QuerySet

from instances.admin.resource_groups import with_use
from instances.filters import InstanceFilter
from instances.models import Instance
from projects.models import ResourceGroup

pytestmark = pytest.mark.django_db


def plan_of(rows: QuerySet) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # all tables are small here
    return rows.explain()


def test_a_list_by_state_reads_what_is_not_success() -> None:
    failed = InstanceFilter({"state": "FAILED"}, Instance.objects.order_by())
    assert failed.is_valid()
    assert "instance_list_by_state" in plan_of(failed.qs)


def test_the_queue_of_a_group_is_counted_in_both_lists() -> None:
    plan = plan_of(with_use(ResourceGroup.objects.all()))
    assert "instance_ready " in plan
    assert "instance_ready_of_task " in plan
