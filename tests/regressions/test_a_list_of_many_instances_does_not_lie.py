"""Above what a list counts it says that there are more, and what is no success is still counted."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.models import Instance
from instances.reading import counts
from instances.reading.counts import count_states, spell_count
from instances.states import State
from projects.console import paging
from projects.ground import clock
from tests.admin.browsing import Browser
from tests.admin.conftest import browse, operator, standing_world, world
from tests.api.world import World, make_instances

__all__ = ["browse", "operator", "standing_world", "world"]

pytestmark = [pytest.mark.django_db, pytest.mark.feature("I3")]

LIST = "instances_instance_changelist"


@pytest.fixture
def many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More successes than are counted, and two failures."""
    monkeypatch.setattr(counts, "MOST_COUNTED", 20)
    monkeypatch.setattr(paging, "MOST_ROWS", 60)
    made = [pk for day in range(1, 41) for pk in _ids(world, day)]
    now = clock.now()
    rows = Instance.objects.filter(pk__in=made)
    rows.update(state=State.SUCCESS, ended_at=now)
    rows.filter(pk__in=made[:2]).update(state=State.FAILED)


def _ids(world: World, day: int) -> list[int]:
    return [one.pk for one in make_instances(world.place.up, world.place.down, day=day)]


def test_the_states_keep_their_numbers_however_many_successes_there_are(
    world: World, operator: Browser, many: None
) -> None:
    page = operator.get(LIST, kind="PERIODIC")
    shown = {chip["state"]: chip["spelled"] for chip in page.context["chips"]}
    assert shown[State.SUCCESS] == "20+"
    assert shown[State.FAILED] == "2"


def test_the_foot_of_the_list_says_that_there_are_more(
    world: World, operator: Browser, many: None
) -> None:
    text = operator.get(LIST).text
    assert "60+ instances" in text
    assert "The first 60; the filters lead to the others." in text
    few = operator.get(LIST, state="FAILED").text
    assert "2 instances" in few
    assert "60+" not in few


def test_a_list_as_long_as_is_counted_has_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "MOST_ROWS", 3)
    exact, more = (paging.BoundedPaginator(list(range(number)), 2) for number in (3, 4))
    assert [(one.count, one.has_more) for one in (exact, more)] == [(3, False), (3, True)]


def test_states_are_counted_by_one_query_that_reads_no_more_than_it_counts(
    world: World, many: None
) -> None:
    with CaptureQueriesContext(connection) as queries:
        found = count_states(Instance.objects.filter(project=world.place.project))
    assert found[State.SUCCESS] == 21
    (query,) = queries.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query['sql']}")
        (plan,) = cursor.fetchone()
    text = str(plan)
    assert text.count("'Node Type': 'Limit'") == len(State)
    assert "'Actual Rows': 78" not in text  # all the successes


def test_no_rows_have_no_states(world: World) -> None:
    assert count_states(Instance.objects.none()) == {}
    assert (spell_count(10_000), spell_count(10_001)) == ("10,000", "10,000+")
