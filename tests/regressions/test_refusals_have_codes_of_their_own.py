"""A script can tell why it was refused: each common refusal has a code of its own."""

from __future__ import annotations

from typing import Any

import pytest

from backfill.planning import selection
from tests.api.caller import Caller
from tests.api.world import World
from tests.factories import make_submitted_task, make_workflow

pytestmark = [pytest.mark.django_db, pytest.mark.feature("P4")]

PERIOD = {"first": "2024-05-01", "last": "2024-05-02"}
DEFINITION = {"type": "virtual", "schedule": {"cycle": "day", "at": "00:00"}}


@pytest.fixture
def root(world: World) -> Caller:
    return Caller(world.superuser)


def plan(world: World, **spec: Any) -> dict[str, Any]:
    entry = {"kind": "tasks", "ids": [world.place.up.pk]}
    return {
        "project": world.place.project.pk,
        "spec": {"entry": entry, "periods": [PERIOD], **spec},
    }


def refused(root: Caller, world: World, **spec: Any) -> tuple[str, list[str]]:
    """The code and the fields of a plan that is refused, by creation and preview alike."""
    answers = [
        root.post(path, plan(world, **spec), 400) for path in ("backfills/", "backfills/preview/")
    ]
    first, second = ((one["code"], list(one["fields"])) for one in answers)
    assert first == second
    return first


def test_too_many_periods(world: World, root: Caller) -> None:
    assert refused(root, world, periods=[PERIOD] * 11) == ("too_many_periods", ["spec.periods"])


def test_too_many_roots(world: World, root: Caller) -> None:
    entry = {"kind": "tasks", "ids": list(range(1, 502))}
    assert refused(root, world, entry=entry) == ("too_many_roots", ["spec.entry.ids"])


def test_too_many_tasks(world: World, root: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MAX_TASKS", 1)
    code, fields = refused(root, world, scope="selected_and_downstream")
    assert (code, fields) == ("too_many_tasks", ["spec.entry"])


def test_tasks_that_cannot_be_backfilled(world: World, root: Caller) -> None:
    workflow = make_workflow(project=world.place.project)
    at = {"cycle": "one_time", "at": "2030-01-01 00:00"}
    once = make_submitted_task("once", workflow=workflow, schedule=at)
    for ids, code in (
        ([once.pk], "one_time_task"),
        ([world.place.draft.pk], "not_backfillable"),
        ([once.pk, world.place.draft.pk], "not_backfillable"),
    ):
        entry = {"kind": "tasks", "ids": ids}
        assert refused(root, world, entry=entry) == (code, ["spec.entry.ids"])


def test_faults_of_several_kinds_have_no_code_in_common(world: World, root: Caller) -> None:
    code, fields = refused(root, world, periods=[PERIOD] * 11, order="sideways")
    assert (code, sorted(fields)) == ("invalid", ["spec.order", "spec.periods"])


def test_a_name_that_is_taken(world: World, root: Caller) -> None:
    place = world.place
    other = make_workflow(project=place.project)
    source = {"project": place.project.pk, "name": "twice", "url": "postgresql+psycopg://db/x"}
    root.post("data-sources/", source, 201)
    for path, body in (
        ("projects/", {"name": place.project.name}),
        ("resource-groups/", {"name": place.group.name}),
        ("data-sources/", source),
        ("backfills/", {**plan(world), "name": place.plan.name}),
        ("workflows/", {"project": place.project.pk, "name": place.workflow.name}),
        ("folders/", {"project": place.project.pk, "name": place.folder.name}),
        (
            "tasks/",
            {"workflow": place.workflow.pk, "name": place.up.name, "definition": DEFINITION},
        ),
    ):
        answer = root.post(path, body, 400)
        assert (answer["code"], list(answer["fields"])) == ("name_taken", ["name"]), path
    for path, name in (
        (f"projects/{place.project.pk}/", world.elsewhere.project.name),
        (f"workflows/{other.pk}/", place.workflow.name),
        (f"tasks/{place.draft.pk}/", place.up.name),
    ):
        assert root.patch(path, {"name": name}, 400)["code"] == "name_taken", path


def test_a_description_that_is_too_long(world: World, root: Caller) -> None:
    made = root.post("backfills/", {**plan(world), "description": "x" * 257}, 400)
    changed = root.patch(f"backfills/{world.place.plan.pk}/", {"description": "x" * 257}, 400)
    flow = root.patch(f"workflows/{world.place.workflow.pk}/", {"description": "x" * 10_001}, 400)
    for answer in (made, changed, flow):
        assert (answer["code"], list(answer["fields"])) == ("description_too_long", ["description"])
