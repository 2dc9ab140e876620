"""Folders, workflows and tasks over the API: from a draft to operations and back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.caller import Caller
from tests.api.world import World
from tests.factories import make_member, make_submitted_task, make_submitted_tasks, mapping

pytestmark = pytest.mark.django_db


@pytest.fixture
def dev(world: World) -> Caller:
    """The API as a developer sees it."""
    return Caller(world.users["developer"])


@pytest.fixture
def operator(world: World) -> Caller:
    """The API as an operator sees it."""
    return Caller(world.users["operator"])


def make(dev: Caller, world: World, name: str = "fresh", **definition: Any) -> Any:
    body = {
        "workflow": world.place.workflow.pk,
        "name": name,
        "definition": mapping(**definition),
    }
    return dev.post("tasks/", body, 201)


@pytest.mark.feature("T9")
@pytest.mark.item("3.1")
def test_a_task_is_drafted_changed_submitted_and_compared(world: World, dev: Caller) -> None:
    task = make(dev, world)
    assert (task["status"], task["version"], task["draft"]["code"]) == ("DRAFT", None, "true")
    address = f"tasks/{task['id']}/"

    first = dev.post(f"{address}submit/", {"comment": "First"})
    assert (first["status"], first["version"], first["cycle"]) == ("SCHEDULING", 1, "day")
    assert first["created_at"] == first["last_submitted_at"] > first["drafted_at"]
    changed = dev.patch(address, {"definition": mapping(code="echo two\n", priority=7)})
    assert (changed["version"], changed["priority"]) == (1, 5)  # until it is submitted
    assert dev.post(f"{address}submit/")["priority"] == 7

    versions = dev.all(f"{address}versions/")
    assert [(one["number"], one["comment"]) for one in versions] == [(2, ""), (1, "First")]
    assert dev.get(f"{address}versions/1/")["definition"]["code"] == "true"
    difference = dev.get(f"{address}versions/2/diff/")
    assert (difference["before"], difference["after"]) == (1, 2)
    assert [one["field"] for one in difference["differences"]] == ["priority", "code"]
    assert difference["differences"][1]["lines"][1:] == ["-true", "+echo two", "+"]
    assert dev.get(f"{address}versions/1/diff/")["before"] is None
    assert dev.get(f"{address}versions/2/diff/?against=2")["differences"] == []
    assert dev.get(f"{address}versions/3/", 404)["code"] == "not_found"


@pytest.mark.feature("T11", "T12", "T13")
@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({"schedule": {"cycle": "day", "at": "25:00"}}, "definition.schedule.at"),
        ({"schedule": {"cycle": "crontab", "expression": "0 0 31 2 *"}}, None),
        ({"parameters": {"day": "${yyyy"}}, "definition.parameters.day"),
        ({"parameters": {"day": "$nothing"}}, "definition.parameters.day"),
        ({"depends_on": ["a/b/c/d"]}, "definition.depends_on.0"),
        ({"priority": 2}, "definition.priority"),
        ({"type": "cobol"}, "definition.type"),
        ({"retries": {"limit": -1}}, "definition.retries.limit"),
        ({"shedule": {}}, "definition.shedule"),
    ],
    ids=str,
)
def test_a_fault_of_a_definition_is_at_its_field_and_nothing_is_saved(
    world: World, dev: Caller, definition: dict[str, Any], field: str | None
) -> None:
    before = set(dev.ids("tasks/"))
    body = {"workflow": world.place.workflow.pk, "name": "x", "definition": mapping(**definition)}
    answer = dev.post("tasks/", body, 400)
    assert (answer["code"], set(dev.ids("tasks/"))) == ("invalid_definition", before)
    found = list(answer["fields"])
    assert found == [field] if field else found[0].startswith("definition.schedule")
    body = {"definition": mapping(**definition)}
    patched = dev.patch(f"tasks/{world.place.draft.pk}/", body, 400)
    assert list(patched["fields"]) == found


@pytest.mark.feature("T12")
@pytest.mark.item("T12.4")
def test_a_cycle_is_refused_with_the_path_that_closes_it(world: World, dev: Caller) -> None:
    place = world.place
    dev.patch(f"tasks/{place.up.pk}/", {"definition": mapping(depends_on=["down"])})
    answer = dev.post(f"tasks/{place.up.pk}/submit/", status=400)
    assert answer["code"] == "cycle"
    assert "up → down → up" in answer["detail"] or "down → up → down" in answer["detail"]
    links = dev.all(f"dependencies/?task={place.up.pk}")
    assert [(one["upstream"]["name"], one["downstream"]["name"]) for one in links] == [
        ("up", "down")
    ]


@pytest.mark.feature("T12", "P2")
def test_a_foreign_task_cannot_be_named_and_is_not_told_from_a_missing_one(
    world: World, dev: Caller
) -> None:
    address = f"tasks/{world.place.draft.pk}/"
    details = []
    for name in (f"elsewhere/{world.elsewhere.workflow.name}/up", "elsewhere/none/up"):
        answer = dev.patch(address, {"definition": mapping(depends_on=[name])}, 400)
        details.append(answer["detail"].replace(name, "NAME"))
    assert details[0] == details[1]


@pytest.mark.feature("T2", "T3")
def test_tasks_start_pause_and_go_offline_one_by_one(world: World, operator: Caller) -> None:
    address = f"tasks/{world.place.up.pk}/"
    assert operator.post(f"{address}pause/")["status"] == "PAUSED"
    refused = operator.post(f"{address}pause/", status=409)
    assert (refused["code"], refused["detail"]) == (
        "wrong_state",
        "It is paused; pause needs scheduling.",
    )
    assert operator.post(f"{address}start/")["status"] == "SCHEDULING"
    assert operator.post(f"{address}offline/")["status"] == "OFFLINE"


@pytest.mark.feature("T3")
def test_many_tasks_at_once_are_answered_item_by_item(world: World, operator: Caller) -> None:
    place, foreign = world.place, world.elsewhere.up.pk
    ids = [place.up.pk, place.draft.pk, foreign, place.down.pk]
    answer = operator.post("tasks/batch/pause/", {"ids": ids})
    assert [(one["id"], one["ok"], one["code"]) for one in answer["results"]] == [
        (place.up.pk, True, ""),
        (place.draft.pk, False, "wrong_state"),
        (foreign, False, "not_found"),
        (place.down.pk, True, ""),
    ]
    assert (answer["succeeded"], answer["refused"]) == (2, 2)
    assert operator.get(f"operations/{answer['operation']}/")["verb"] == "tasks.pause"
    by_filter = operator.post("tasks/batch/start/", {"filter": {"status": ["PAUSED"]}})
    assert {one["id"] for one in by_filter["results"]} == {place.up.pk, place.down.pk}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": [0]}, "ids.0"),
        ({"ids": ["1"]}, "ids.0"),
        ({"ids": [1], "filter": {"status": "PAUSED"}}, "ids"),
        ({"filter": {}}, "filter"),
        ({"filter": {"search": ""}}, "filter.search"),
        ({"filter": {"search": " | "}}, "filter.search"),
        ({"filter": {"status": []}}, "filter.status"),
        ({"filter": {"subfolders": True}}, "filter"),
        ({"filter": []}, "filter"),
        ({"filter": {"status": "RUNNING"}}, "filter.status"),
        ({"filter": {"state": "PAUSED"}}, "filter.state"),
        ({"filter": {"status": {"is": "PAUSED"}}}, "filter.status"),
        ({"filter": {"search": "no such task"}}, "filter"),
        ({"ids": [1], "comment": "x"}, "comment"),
    ],
)
def test_a_wrong_choice_of_tasks_is_400_at_its_field(
    world: World, operator: Caller, body: Any, field: str
) -> None:
    assert list(operator.post("tasks/batch/pause/", body, 400)["fields"]) == [field]


@pytest.mark.feature("T13")
def test_parameters_are_previewed_for_a_date_of_the_draft_or_of_what_is_not_saved(
    world: World, dev: Caller
) -> None:
    address = f"tasks/{world.place.down.pk}/preview-parameters/"
    found = dev.post(address, {"data_date": "2026-01-31"})
    assert (found["parameters"], found["is_planned"]) == ({"day": "20260131"}, True)
    assert found["built_ins"]["bizdate"] == "20260131"
    unsaved = mapping(parameters={"before": "$[yyyymmdd-1]"})
    at = {"scheduled_at": "2026-02-01T05:00:00+01:00", "definition": unsaved}
    assert dev.post(address, at)["parameters"] == {"before": "20260131"}
    assert dev.post(address, at)["is_planned"] is False
    overridden = dev.post(address, {"data_date": "2026-01-31", "overrides": {"day": "x-${yyyy}"}})
    assert overridden["parameters"] == {"day": "x-2026"}
    for body, field in (
        ({}, "data_date"),
        ({"data_date": "2026-02-30"}, "data_date"),
        ({"data_date": "9999-12-31"}, "data_date"),
        ({"data_date": "2026-01-31", "overrides": {"day": "${"}}, "overrides"),
        ({"data_date": "2026-01-31", "definition": {}}, "definition.type"),
    ):
        assert field in dev.post(address, body, 400)["fields"], body


@pytest.mark.feature("T11")
def test_the_next_planned_times_follow_the_zone_over_a_change_of_the_clock(
    world: World, dev: Caller
) -> None:
    schedule = {"cycle": "day", "at": "02:30", "time_zone": "Europe/Berlin"}
    task = make(dev, world, schedule=schedule)
    found = dev.get(f"tasks/{task['id']}/fires/?count=3&after=2026-03-27T12:00:00Z")
    assert found["schedule"] == "every day at 02:30 Europe/Berlin"
    assert [one["scheduled_at"] for one in found["fires"]] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ] or [one["scheduled_at"][:10] for one in found["fires"]] == [
        "2026-03-28",
        "2026-03-29",
        "2026-03-30",
    ]
    assert found["fires"][0]["data_time"] == "2026-03-27 02:30:00"


def test_owners_are_members_by_user_name(world: World, dev: Caller) -> None:
    make_member(world.place.project, user=world.outsider)
    address = f"tasks/{world.place.draft.pk}/"
    assert dev.patch(address, {"owners": ["viewer", "outsider"]})["owners"] == [
        "outsider",
        "viewer",
    ]
    answer = dev.patch(address, {"owners": ["viewer", "nobody"]}, 400)
    assert list(answer["fields"]) == ["owners.1"]
    assert dev.ids("tasks/?owner=viewer") == [world.place.draft.pk]


def test_a_patch_changes_all_of_it_or_nothing(world: World, dev: Caller) -> None:
    address = f"tasks/{world.place.draft.pk}/"
    before = dev.get(address)
    dev.patch(address, {"name": "renamed", "definition": {"type": "cobol"}}, 400)
    assert dev.get(address) == before
    changed = dev.patch(address, {"name": "renamed", "definition": mapping(code="new")})
    assert (changed["name"], changed["draft"]["code"]) == ("renamed", "new")
    assert dev.patch(address, {"name": "up"}, 400)["fields"].keys() == {"name"}


def test_drafts_are_deleted_and_what_was_submitted_stays(world: World, dev: Caller) -> None:
    place = world.place
    dev.delete(f"tasks/{place.draft.pk}/")
    assert dev.delete(f"tasks/{place.up.pk}/", 409)["code"] == "was_submitted"
    assert dev.delete(f"workflows/{place.workflow.pk}/", 409)["code"] == "was_submitted"
    made = dev.post("workflows/", {"project": place.project.pk, "name": "empty"}, 201)
    dev.delete(f"workflows/{made['id']}/")
    dev.get(f"workflows/{made['id']}/", 404)


@pytest.mark.feature("W1")
def test_a_workflow_tells_how_its_tasks_stand(world: World, dev: Caller) -> None:
    place = world.place
    found = dev.get(f"workflows/{place.workflow.pk}/")
    assert found["tasks"] == {
        "DRAFT": 1,
        "SCHEDULING": 2,
        "PAUSED": 0,
        "OFFLINE": 0,
        "INVALID": 0,
    }
    assert (found["folder"], found["folder_path"]) == (place.folder.pk, place.folder.path)
    assert found["first_submitted_at"] == found["last_submitted_at"] is not None


def test_a_workflow_is_changed_and_its_faults_named(world: World, dev: Caller) -> None:
    address = f"workflows/{world.place.workflow.pk}/"
    changed = dev.patch(
        address, {"folder": None, "time_zone": "Asia/Tokyo", "owners": ["viewer"], "name": "new"}
    )
    assert (changed["folder"], changed["time_zone"]) == (None, "Asia/Tokyo")
    assert (changed["owners"], changed["name"]) == (["viewer"], "new")
    for body, field in (
        ({"folder": world.elsewhere.folder.pk}, "folder"),
        ({"time_zone": "Nowhere"}, "time_zone"),
        ({"owners": ["outsider"]}, "owners.0"),
        ({"project": world.elsewhere.project.pk}, "project"),
    ):
        assert list(dev.patch(address, body, 400)["fields"]) == [field]


@pytest.mark.feature("T9")
def test_a_workflow_is_submitted_as_a_whole(world: World, dev: Caller) -> None:
    answer = dev.post(f"workflows/{world.place.workflow.pk}/submit/", {"comment": "All"})
    assert {one["label"].split("/")[1]: one["code"] for one in answer["results"]} == {
        "up": "unchanged",
        "down": "unchanged",
        "draft": "submitted",
    }


@pytest.mark.feature("T9")
def test_a_workflow_goes_out_as_a_file_and_comes_back_unchanged(world: World, dev: Caller) -> None:
    place = world.place
    file = dev.call("GET", f"workflows/{place.workflow.pk}/export/")
    assert file["Content-Type"] == "application/yaml; charset=utf-8"
    body = {"project": place.project.pk, "yaml": file.content.decode()}
    (same,) = dev.post("workflows/import/", body)["workflows"]
    assert (same["created"], same["changed"], same["tasks_changed"]) == (False, False, [])
    body["yaml"] = body["yaml"].replace(f"workflow: {place.workflow.name}", "workflow: copy")
    made = dev.post("workflows/import/", {**body, "submit": True})
    assert made["submitted"] == 3
    assert made["workflows"][0]["tasks_created"] == ["up", "down", "draft"]


def test_a_broken_file_is_refused_at_line_and_field(world: World, dev: Caller) -> None:
    text = (
        "tidemill: 1\nworkflow: broken\ntasks:\n  - name: a\n    type: shell\n    code: x\n"
        "    schedule: {cycle: day, at: '25:00'}\n    depends_on: [a\n"
    )
    body = {"project": world.place.project.pk, "yaml": text}
    assert dev.post("workflows/import/", body, 400)["code"] == "invalid_file"
    body["yaml"] = text.replace("    depends_on: [a\n", "")
    answer = dev.post("workflows/import/", body, 400)
    (field,) = answer["fields"]
    assert field.endswith("schedule.at")
    assert answer["fields"][field][0].startswith("yaml:7: ")
    assert dev.ids("workflows/?search=broken") == []


def test_folders_move_with_all_that_is_in_them(world: World, dev: Caller) -> None:
    place = world.place
    top = dev.post("folders/", {"project": place.project.pk, "name": "top"}, 201)
    moved = dev.patch(f"folders/{place.folder.pk}/", {"parent": top["id"], "name": "below"})
    assert moved["path"] == "top/below"
    assert dev.ids(f"workflows/?folder={top['id']}") == [place.workflow.pk]
    assert dev.ids(f"workflows/?folder={top['id']}&subfolders=false") == []
    assert dev.patch(f"folders/{top['id']}/", {"parent": place.folder.pk}, 400)["code"] == "cycle"
    assert dev.delete(f"folders/{top['id']}/", 409)["code"] == "not_empty"
    foreign = {"parent": world.elsewhere.folder.pk}
    assert list(dev.patch(f"folders/{top['id']}/", foreign, 400)["fields"]) == ["parent"]


@pytest.mark.feature("T2")
def test_a_task_past_its_effective_time_is_shown_as_invalid(world: World, dev: Caller) -> None:
    expired = make_submitted_task(
        "expired",
        workflow=world.place.workflow,
        schedule={"cycle": "day", "at": "00:00", "effective_until": "2020-01-01"},
    )
    assert dev.get(f"tasks/{expired.pk}/")["status"] == "INVALID"
    assert dev.ids("tasks/?status=INVALID") == [expired.pk]


def test_tasks_are_ordered_by_columns_that_may_be_empty(world: World, dev: Caller) -> None:
    names = [f"t{index:02}" for index in range(7)]
    made = make_submitted_tasks({name: {} for name in names[:4]}, workflow=world.place.workflow)
    for name in names[4:]:
        make(dev, world, name)
    for column in ("next_fire_at", "-next_fire_at", "last_submitted_at", "-workflow", "name"):
        one_page = dev.get(f"tasks/?ordering={column}&page_size=100")["results"]
        paged = dev.all(f"tasks/?ordering={column}&page_size=2")
        assert [row["id"] for row in paged] == [row["id"] for row in one_page], column
        value = column.removeprefix("-")
        if value == "next_fire_at":  # empty ones last, either way
            assert [row[value] is None for row in paged] == sorted(
                row[value] is None for row in paged
            )
    assert {task.pk for task in made.values()} <= set(dev.ids("tasks/"))
