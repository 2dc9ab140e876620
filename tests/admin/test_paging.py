"""Pages of long lists."""

from __future__ import annotations

import pytest

from instances.models import Instance
from projects.console import paging
from projects.console.paging import BoundedPaginator
from tests.admin.browsing import Browser
from tests.api.world import World, make_instances

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(world: World) -> list[int]:
    """The instances of the project, newest made first."""
    for day in range(1, 31):
        make_instances(world.place.up, world.place.down, day=day)
    own = Instance.objects.filter(project=world.place.project)
    return list(own.order_by("-id").values_list("pk", flat=True))


def test_a_page_has_the_rows_that_come_next_in_their_order(
    world: World, operator: Browser, rows: list[int]
) -> None:
    assert operator.get("instances_instance_changelist").ids == rows[:50]
    assert operator.get("instances_instance_changelist", p=2).ids == rows[50:]
    oldest_first = operator.get("instances_instance_changelist", o="4.2", p=2).ids
    assert set(oldest_first) | set(
        operator.get("instances_instance_changelist", o="4.2").ids
    ) == set(rows)


def test_counting_stops_where_nobody_leafs(
    rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_ROWS", 20)
    paginator = BoundedPaginator(Instance.objects.order_by("-id"), 10)
    assert (paginator.count, paginator.num_pages) == (20, 2)
    assert [row.pk for row in paginator.page(2)] == list(
        Instance.objects.order_by("-id").values_list("pk", flat=True)[10:20]
    )
