"""Backfill plans over the API: draft, preview, submission, progress, cells, the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from backfill.filters import PlanFilter
from backfill.models import Plan, Skip
from backfill.running.expanding import expand_plan
from backfill.states import SkipReason
from instances.models import Instance
from instances.states import State
from projects.ground import clock
from tests.api.caller import Caller
from tests.api.world import World
from tests.factories import make_submitted_task
from tests.factories.plans import make_expanded_plan, make_spec

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(world: World) -> Caller:
    """The API as an operator sees it."""
    return Caller(world.users["operator"])


def spec(world: World, **fields: Any) -> dict[str, Any]:
    return {
        "entry": {"kind": "tasks", "ids": [world.place.up.pk]},
        "scope": "selected_and_downstream",
        "periods": [{"first": "2024-05-01", "last": "2024-05-03"}],
        **fields,
    }


def expand(plan_id: int) -> None:
    while expand_plan(plan_id):
        pass


@pytest.mark.feature("B1")
@pytest.mark.item("0.4")
def test_a_plan_gets_a_name_that_may_be_changed(world: World, operator: Caller) -> None:
    project = world.place.project.pk
    made = operator.post("backfills/", {"project": project, "spec": spec(world)}, 201)
    assert (made["name"][:6], made["state"], made["created_by"]) == ("patch_", "draft", "operator")
    assert (made["first_data_date"], made["last_data_date"]) == ("2024-05-01", "2024-05-03")
    changed = operator.patch(
        f"backfills/{made['id']}/", {"name": "May", "description": "again", "spec": spec(world)}
    )
    assert (changed["name"], changed["description"]) == ("May", "again")
    twice = {"project": project, "name": "May", "spec": spec(world)}
    assert list(operator.post("backfills/", twice, 400)["fields"]) == ["name"]
    long = {"description": "x" * 257}
    assert list(operator.patch(f"backfills/{made['id']}/", long, 400)["fields"]) == ["description"]


@pytest.mark.feature("B2", "B6", "B8", "B10", "B11")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"periods": [{"first": "2024-05-03", "last": "2024-05-01"}]}, "spec.periods.0.last"),
        ({"periods": [{"first": "2024-05-32", "last": "2024-06-01"}]}, "spec.periods.0.first"),
        ({"periods": [{"first": "2024-05-01", "last": "2024-05-01"}] * 11}, "spec.periods"),
        ({"entry": {"kind": "everything"}}, "spec.entry.kind"),
        ({"entry": {"kind": "tasks", "ids": []}}, "spec.entry.ids"),
        ({"order": "sideways"}, "spec.order"),
        ({"dependency_check": "some"}, "spec.dependency_check"),
        ({"time_from": "12:00", "time_until": "11:00"}, "spec.time_until"),
        ({"periodes": []}, "spec.periodes"),
        ({"range_by": 7}, "spec.range_by"),
        ({"run_mode": "hour_by_hour"}, "spec.run_mode"),
        ({"run_mode": "day_by_day", "groups": 11}, "spec.groups"),
        ({"run_mode": "day_by_day", "groups": "two"}, "spec.groups"),
        ({"groups": 2}, "spec.groups"),
    ],
    ids=str,
)
def test_a_fault_of_a_spec_is_at_its_field_in_every_call(
    world: World, operator: Caller, change: dict[str, Any], field: str
) -> None:
    body = {"project": world.place.project.pk, "spec": spec(world, **change)}
    before = Plan.objects.count()
    assert list(operator.post("backfills/", body, 400)["fields"]) == [field]
    assert list(operator.post("backfills/preview/", body, 400)["fields"]) == [field]
    changed = {"spec": spec(world, **change)}
    answer = operator.patch(f"backfills/{world.place.plan.pk}/", changed, 400)
    assert list(answer["fields"]) == [field]
    assert Plan.objects.count() == before


@pytest.mark.feature("P2", "B5")
@pytest.mark.parametrize("kind", ["tasks", "workflows", "folders"])
def test_foreign_ids_in_a_spec_are_not_told_from_missing_ones(
    world: World, operator: Caller, kind: str
) -> None:
    foreign = world.elsewhere.ids[kind]
    details = []
    for pk in (foreign, 10**9):
        body = {
            "project": world.place.project.pk,
            "spec": spec(world, entry={"kind": kind, "ids": [pk]}),
        }
        answer = operator.post("backfills/preview/", body, 400)
        assert all(field.startswith("spec.entry.ids") for field in answer["fields"])
        details.append(answer["detail"].replace(str(pk), "ID"))
    assert details[0] == details[1]


@pytest.mark.feature("B16")
@pytest.mark.item("0.28")
def test_a_preview_counts_what_submission_makes(world: World, operator: Caller) -> None:
    place = world.place
    body = {"project": place.project.pk, "spec": spec(world)}
    unsaved = operator.post("backfills/preview/", body)
    plan = operator.post("backfills/", body, 201)
    saved = operator.post(f"backfills/{plan['id']}/preview/")
    for one in (unsaved, saved):
        for cell in one["first_cells"]:
            del cell["not_before"]  # now, and now is another time
    assert saved == unsaved
    assert (saved["task_count"], saved["instance_count"], saved["cell_count"]) == (2, 6, 6)
    assert [(one["data_date"], one["instances"]) for one in saved["days"]] == [
        ("2024-05-01", 2),
        ("2024-05-02", 2),
        ("2024-05-03", 2),
    ]
    assert [(one["label"].split("/")[1], one["level"]) for one in saved["tasks"]] == [
        ("up", 0),
        ("down", 1),
    ]
    submitted = operator.post(f"backfills/{plan['id']}/submit/")
    assert (submitted["state"], submitted["cells"], submitted["expanded"]) == ("expanding", 6, 0)
    expand(plan["id"])
    cells = operator.all(f"backfills/{plan['id']}/cells/")
    assert len([cell for cell in cells if cell["instance"]]) == saved["instance_count"]


@pytest.mark.feature("B21", "B22")
def test_progress_is_told_for_the_plan_and_task_by_task(world: World, operator: Caller) -> None:
    place, plan = world.place, world.place.expanded
    now = clock.now()
    of_up = Instance.objects.filter(batch=plan.batch_id, task=place.up)
    of_up.update(state=State.SUCCESS, started_at=now - timedelta(minutes=1), ended_at=now)
    shown = operator.get(f"backfills/{plan.pk}/")
    assert shown["state"] == "running"
    assert shown["progress"]["total"] == 2
    assert shown["progress"]["by_state"]["SUCCESS"] == 1
    assert (shown["progress"]["completion_rate"], shown["progress"]["success_rate"]) == (0.5, 0.5)
    assert (shown["started_at"] is None, shown["ended_at"]) == (False, None)
    rows = operator.all(f"backfills/{plan.pk}/tasks/?page_size=1")
    assert [(row["name"], row["state"], row["progress"]["success_rate"]) for row in rows] == [
        ("up", "completed", 1),
        ("down", "running", 0),
    ]
    # The third level is the list of instances.
    assert len(operator.ids(f"instances/?plan={plan.pk}&task={place.up.pk}")) == 1
    assert operator.all(f"instances/?plan={plan.pk}")[0]["plan"] == plan.pk


@pytest.mark.feature("B26")
@pytest.mark.item("B26.1")
def test_cells_are_instances_and_skips_in_one_order_of_pages(
    world: World, operator: Caller
) -> None:
    place = world.place
    short = make_submitted_task(
        "short",
        workflow=place.workflow,
        schedule={"cycle": "day", "at": "00:00", "effective_from": "2024-05-04"},
    )
    plan = make_expanded_plan(make_spec([place.up, short], "2024-05-01", "2024-05-05"))
    address = f"backfills/{plan.pk}/cells/"
    cells = operator.all(f"{address}?page_size=3")
    assert len(cells) == plan.planned_count == 10
    keys = [(cell["scheduled_at"], cell["task"]) for cell in cells]
    assert keys == sorted(set(keys))
    assert all((cell["instance"] is None) != (cell["skip"] is None) for cell in cells)
    skipped = operator.all(f"{address}?skip=not_effective")
    assert {cell["data_date"] for cell in skipped} == {"2024-05-01", "2024-05-02"}
    assert len(skipped) == Skip.objects.filter(plan=plan).count()
    of_task = operator.all(f"{address}?task={short.pk}&data_date_from=2024-05-05")
    assert [(cell["name"], cell["data_date"]) for cell in of_task] == [("short", "2024-05-05")]
    assert operator.all(f"{address}?state=SUCCESS") == []
    assert operator.all(f"backfills/{place.plan.pk}/cells/") == []  # a draft has none


@pytest.mark.feature("B25")
@pytest.mark.item("B25.1")
def test_a_plan_is_paused_and_resumed(world: World, operator: Caller) -> None:
    plan, draft = world.place.expanded, world.place.plan
    assert operator.post(f"backfills/{plan.pk}/resume/", status=409)["code"] == "conflict"
    assert operator.post(f"backfills/{plan.pk}/pause/")["state"] == "paused"
    assert [one["id"] for one in operator.all("backfills/?state=paused")] == [plan.pk]
    refused = operator.post(f"backfills/{plan.pk}/pause/", status=409)
    assert refused["detail"] == "It is paused; pause needs expanding or running."
    assert operator.post(f"backfills/{plan.pk}/resume/")["state"] == "running"
    answer = operator.post("backfills/batch/pause/", {"ids": [plan.pk, draft.pk]})
    assert {one["id"]: one["code"] for one in answer["results"]} == {
        plan.pk: "",
        draft.pk: "wrong_state",
    }
    assert operator.post("backfills/batch/resume/", {"ids": [plan.pk]})["succeeded"] == 1
    operator.post(f"backfills/{plan.pk}/pause/")
    assert operator.post(f"backfills/{plan.pk}/terminate/")["state"] == "terminated"


@pytest.mark.feature("B23")
def test_a_plan_is_terminated_once(world: World, operator: Caller) -> None:
    plan = world.place.expanded
    ended = operator.post(f"backfills/{plan.pk}/terminate/")
    assert (ended["state"], ended["progress"]["completion_rate"]) == ("terminated", 1)
    assert operator.post(f"backfills/{plan.pk}/terminate/", status=409)["code"] == "conflict"
    ids = [plan.pk, world.place.plan.pk, world.elsewhere.expanded.pk]
    answer = operator.post("backfills/batch/terminate/", {"ids": ids})
    assert [one["code"] for one in answer["results"]] == [
        "wrong_state",
        "wrong_state",
        "not_found",
    ]


@pytest.mark.feature("B23")
def test_a_plan_that_is_terminated_while_it_expands_keeps_its_sum(
    world: World, operator: Caller
) -> None:
    body = {"project": world.place.project.pk, "spec": spec(world)}
    plan = operator.post("backfills/", body, 201)["id"]
    operator.post(f"backfills/{plan}/submit/")
    assert operator.post(f"backfills/{plan}/terminate/")["state"] == "terminated"
    expand(plan)
    cells = operator.all(f"backfills/{plan}/cells/")
    assert [cell["skip"] for cell in cells] == [SkipReason.STOPPED] * 6


def test_what_was_submitted_is_neither_changed_nor_deleted(world: World, operator: Caller) -> None:
    address = f"backfills/{world.place.expanded.pk}/"
    assert operator.patch(address, {"name": "other"}, 409)["code"] == "conflict"
    assert operator.delete(address, 409)["code"] == "conflict"
    assert operator.post(f"{address}submit/", status=409)["code"] == "conflict"
    operator.delete(f"backfills/{world.place.plan.pk}/")
    operator.get(f"backfills/{world.place.plan.pk}/", 404)


@pytest.mark.feature("B21")
def test_every_filter_of_plans_keeps_some_and_drops_others(world: World) -> None:
    place = world.place
    Plan.objects.filter(pk=place.plan.pk).update(created_by=world.users["operator"], name="May")
    draft, running = place.plan.pk, place.expanded.pk
    for plan in Plan.objects.exclude(pk=draft):
        Plan.objects.filter(pk=plan.pk).update(name=f"plan {chr(ord('a') + plan.pk % 26)}")
    foreign = {world.elsewhere.plan.pk, world.elsewhere.expanded.pk}
    everything = {draft, running} | foreign
    now = clock.now().isoformat()
    instance_state = Instance.objects.filter(batch=place.expanded.batch_id)[0].state
    cases: list[tuple[dict[str, Any], set[int]]] = [
        ({"search": f"may|{running}"}, {draft, running}),
        ({"id": [draft]}, {draft}),
        ({"project": place.project.pk}, {draft, running}),
        ({"task": place.up.pk}, {running}),
        ({"task_name": "OWN", "project": place.project.pk}, {running}),
        ({"state": "draft"}, {draft, world.elsewhere.plan.pk}),
        ({"result": "failed"}, set()),
        ({"result": "waiting_for_resources", "project": place.project.pk}, {running}),
        ({"instance_state": instance_state, "project": place.project.pk}, {running}),
        ({"created_by": "operator"}, {draft}),
        ({"created_from": now}, set()),
        ({"created_until": now}, everything),
        ({"data_date_from": "2024-05-02"}, set()),
        ({"data_date_until": "2024-05-01"}, everything),
    ]
    for data, expected in cases:
        found = PlanFilter(data, queryset=Plan.objects.all())
        assert found.is_valid(), found.errors
        assert set(found.qs.values_list("pk", flat=True)) == expected, data
    assert {name for data, _ in cases for name in data} == set(PlanFilter.base_filters)


@pytest.mark.feature("B10", "B16")
def test_the_days_of_a_plan_and_where_they_are(world: World, operator: Caller) -> None:
    body = {
        "project": world.place.project.pk,
        "spec": spec(world, scope="selected", run_mode="day_by_day", groups=2),
    }
    shown = operator.post("backfills/preview/", body)
    assert [(lane["number"], lane["days"], lane["instances"]) for lane in shown["lanes"]] == [
        (1, 2, 2),
        (2, 1, 1),
    ]
    assert [day["lane"] for day in shown["days"]] == [1, 1, 2]
    plan = operator.post("backfills/", body, 201)
    assert (plan["spec"]["run_mode"], plan["spec"]["groups"]) == ("day_by_day", 2)
    assert operator.get(f"backfills/{plan['id']}/days/")["results"] == []
    operator.post(f"backfills/{plan['id']}/submit/")
    expand(plan["id"])
    Instance.objects.filter(batch__plan=plan["id"], data_date="2024-05-01").update(
        state="FAILED", ended_at=clock.now()
    )
    days = operator.get(f"backfills/{plan['id']}/days/")["results"]
    assert [(day["lane"], day["position"], day["data_date"], day["state"]) for day in days] == [
        (1, 0, "2024-05-01", "blocked"),
        (1, 1, "2024-05-02", "waiting"),
        (2, 0, "2024-05-03", "open"),
    ]
    assert (days[0]["instances"], days[0]["left"], days[0]["by_state"]) == (1, 1, {"FAILED": 1})
    assert [day["opened_at"] is not None for day in days] == [True, False, True]
    second = Instance.objects.get(batch__plan=plan["id"], data_date="2024-05-02")
    waiting = operator.get(f"instances/{second.pk}/waiting/")
    assert "day" in str(waiting)
