"""Half characters, far time zones, empty cycles and empty conditions are refused at their field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.caller import Caller
from tests.api.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]


@pytest.mark.parametrize("noun", ["tasks/batch/pause/", "instances/batch/freeze/"])
@pytest.mark.parametrize("text", ["\ud800", "a\udfff"])
def test_half_a_character_in_a_batch_filter(world: World, noun: str, text: str) -> None:
    answer = Caller(world.superuser).post(noun, {"filter": {"search": text}}, 400)
    assert list(answer["fields"]) == ["filter.search"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tasks/", "submitted_from"),
        ("instances/", "started_until"),
        ("instances/counts/", "scheduled_from"),
        ("executions/", "started_from"),
        ("operations/", "created_until"),
        ("backfills/", "created_from"),
        ("versions/", "submitted_until"),
    ],
)
@pytest.mark.parametrize("offset", ["+23:49", "-16:00"])
def test_a_time_with_an_offset_that_postgresql_does_not_know(
    world: World,
    path: str,
    name: str,
    offset: str,
) -> None:
    caller = Caller(world.superuser)
    sent = f"?{name}=2024-01-01T00:00:00{offset.replace('+', '%2B')}"
    assert caller.call("GET", path + sent).status_code == 200
    far = f"?{name}=0001-01-01T00:00:00%2B23:49"
    assert list(caller.get(path + far, 400)["fields"]) == [name]


def test_a_schedule_whose_cycle_is_empty(world: World) -> None:
    place, caller = world.place, Caller(world.superuser)
    definition = {"type": "shell", "code": "true", "schedule": {"cycle": None}}
    new = {"workflow": place.workflow.pk, "name": "new", "definition": definition}
    changed = {"definition": definition}
    for method, path, body in (
        ("POST", "tasks/", new),
        ("PATCH", f"tasks/{place.draft.pk}/", changed),
    ):
        response = caller.call(method, path, body)
        assert response.status_code == 400, response.content
        assert "schedule.cycle" in str(response.json()["fields"])


@pytest.mark.parametrize("value", ["", [], " ", ["FAILED", ""], ","])
def test_an_empty_condition_does_not_become_an_operation_on_everything(
    world: World,
    value: Any,
) -> None:
    conditions = {"project": world.place.project.pk, "state": value}
    caller = Caller(world.superuser)
    answer = caller.post("instances/batch/freeze/", {"filter": conditions}, 400)
    assert list(answer["fields"]) == ["filter.state"]


def test_what_fails_all_the_same_answers_in_the_one_shape(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("projects.rest.scoped.ScopedViewSet.get_queryset", fail)
    caller = Caller(world.superuser)
    caller.client.raise_request_exception = False
    response = caller.call("GET", "tasks/")
    assert response.status_code == 500
    assert set(response.json()) == {"code", "detail", "fields"}
