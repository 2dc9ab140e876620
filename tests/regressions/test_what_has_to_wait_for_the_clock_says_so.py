"""Before its time an instance waits for the clock, not for events and upstream."""

from __future__ import annotations

from datetime import timedelta

import pytest

from instances.admin.instance_page import phases_of
from instances.models import Instance
from instances.states import State
from projects.ground import clock
from tests.admin.browsing import Browser
from tests.admin.conftest import browse, operator, standing_world, world
from tests.api.world import World

__all__ = ["browse", "operator", "standing_world", "world"]

pytestmark = [pytest.mark.django_db, pytest.mark.feature("I11")]


@pytest.mark.parametrize(
    ("state", "hours", "awaits_day", "title", "has_end"),
    [
        (State.NOT_RUN, 1, False, "Waiting for its time", True),
        (State.NOT_RUN, 1, True, "Waiting for its time", True),
        (State.NOT_RUN, -1, True, "Waiting for its day to open", False),
        (State.RETRYING, 1, False, "Waiting for its next try", True),
        (State.NOT_RUN, -1, False, "Waiting for events and upstream", False),
        (State.WAITING_UPSTREAM, -1, False, "Waiting for events and upstream", False),
    ],
)
def test_the_first_phase_names_what_it_waits_for(
    world: World, state: State, hours: int, awaits_day: bool, title: str, has_end: bool
) -> None:
    instance, now = world.place.instance, clock.now()
    instance.state, instance.awaits_day = state, awaits_day
    instance.ready_at = instance.started_at = instance.ended_at = None
    instance.not_before = now + timedelta(hours=hours)
    phase = phases_of(instance, now)[0]
    assert (phase.title, phase.mark) == (title, "now")
    assert phase.until == (instance.not_before if has_end else None)


def test_the_page_says_until_when(world: World, operator: Browser) -> None:
    instance = world.place.instance
    due = clock.now() + timedelta(hours=1)
    Instance.objects.filter(pk=instance.pk).update(state=State.NOT_RUN, not_before=due)
    text = operator.get("instances_instance_change", instance.pk).text
    assert f"Waiting for its time until {due:%Y-%m-%d}" in text
    assert "Waiting for events and upstream" not in text
