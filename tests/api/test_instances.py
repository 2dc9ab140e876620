"""Instances and executions over the API: lists, logs, why they wait, operations."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from instances.filters import ExecutionFilter, InstanceFilter
from instances.models import Execution, Instance, LogChunk
from instances.states import ExecutionState, State
from projects.ground import clock
from projects.verbs.background import work
from tests.api.caller import Caller
from tests.api.world import World, make_execution, make_instances
from tests.factories import make_submitted_task
from tests.support.engine import DAY

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(world: World) -> Caller:
    """The API as an operator sees it."""
    return Caller(world.users["operator"])


def put(instance: Instance, state: State, **fields: Any) -> None:
    """Put an instance into a state, past the engine."""
    now = clock.now()
    if state in (State.SUCCESS, State.FAILED):
        fields = {"ended_at": now, "started_at": now - timedelta(seconds=90), **fields}
    Instance.objects.filter(pk=instance.pk).update(state=state, **fields)


@pytest.mark.feature("I2")
@pytest.mark.item("1.7")
def test_an_instance_is_shown_with_all_its_columns(world: World, operator: Caller) -> None:
    place = world.place
    task = make_submitted_task(
        "zoned",
        workflow=place.workflow,
        schedule={"cycle": "hour", "every": 1, "time_zone": "Asia/Tokyo"},
        retries={"limit": 2},
    )
    instance, _ = make_instances(task, place.down, day=5)
    put(instance, State.FAILED, error_code="EXIT_NONZERO", error_message="code 3", retry_count=2)

    shown = operator.get(f"instances/{instance.pk}/")

    assert shown["task"] == {"id": task.pk, "name": "zoned"}
    assert shown["workflow"] == {"id": place.workflow.pk, "name": place.workflow.name}
    assert shown["project"] == {"id": place.project.pk, "name": "here"}
    assert (shown["folder"], shown["type"], shown["cycle"]) == (place.folder.path, "shell", "hour")
    assert (shown["state"], shown["state_display"]) == ("FAILED", "Failed")
    assert shown["scheduled_at"] == "2026-01-06T09:00:00+09:00"
    assert shown["data_time"] == "2026-01-05 00:00:00"
    assert shown["retries"] == {"count": 2, "limit": 2}
    assert shown["duration"] == 90
    assert shown["diagnosis"]["code"] == "EXIT_NONZERO"
    assert shown["diagnosis"]["message"] == "code 3"
    assert shown["diagnosis"]["title"] and shown["diagnosis"]["what_to_do"]
    assert (shown["plan"], shown["batch"]) == (None, None)


@pytest.mark.feature("I1")
def test_every_state_is_shown_filtered_and_counted(world: World, operator: Caller) -> None:
    expected = {}
    now = clock.now()
    for day, state in enumerate(State, start=10):
        instance, _ = make_instances(world.place.up, world.place.down, day=day)
        times: dict[str, Any] = {}
        if state in (State.RUNNING, State.TERMINATING):
            times = {"started_at": now, "dispatched_at": now, "ready_at": now}
        if state == State.WAITING_EXECUTION:
            times = {"ready_at": now, "ready_xid": 1}
        if state == State.FROZEN:
            times = {"frozen_from": State.WAITING_UPSTREAM}
        put(instance, state, **times)
        expected[state] = instance.pk
    for state, pk in expected.items():
        found = operator.ids(f"instances/?state={state}&task={world.place.up.pk}")
        assert pk in found
        assert operator.get(f"instances/{pk}/")["state_display"] == state.label
        counted = operator.get(f"instances/counts/?task={world.place.up.pk}&state={state}")
        assert counted["total"] == counted["states"][state] == len(found)


@pytest.mark.feature("I2")
@pytest.mark.parametrize(
    "ordering",
    ["id", "-scheduled_at", "data_time", "-data_time", "task", "state", "-started_at", "ended_at"],
)
@pytest.mark.item("P4.5")
def test_pages_by_cursor_hold_every_row_once_in_both_directions(
    world: World, operator: Caller, ordering: str
) -> None:
    for day in range(1, 8):
        pair = make_instances(world.place.up, world.place.down, day=day)
        if day % 2:
            put(pair[0], State.SUCCESS, ended_at=DAY + timedelta(hours=day % 3))
    everything = operator.get(f"instances/?ordering={ordering}&page_size=500")["results"]
    wanted = [row["id"] for row in everything]

    forward, page = [], operator.get(f"instances/?ordering={ordering}&page_size=3")
    assert page["previous"] is None
    forward.append([row["id"] for row in page["results"]])
    while page["next"]:
        page = operator.get(page["next"])
        forward.append([row["id"] for row in page["results"]])
    backward = [forward[-1]]
    while page["previous"]:
        page = operator.get(page["previous"])
        backward.append([row["id"] for row in page["results"]])

    assert [pk for ids in forward for pk in ids] == wanted
    assert len(set(wanted)) == len(wanted)
    assert [pk for ids in reversed(backward) for pk in ids] == wanted


def test_a_page_begins_where_the_last_one_ended_whatever_came_between(
    world: World, operator: Caller
) -> None:
    first = operator.get("instances/?page_size=2")
    make_instances(world.place.up, world.place.down, day=9999)
    seen = [row["id"] for row in first["results"]] + operator.ids(first["next"])
    assert len(seen) == len(set(seen)) == 4


@pytest.mark.feature("I11")
@pytest.mark.item("1.41")
def test_executions_show_their_phases_code_and_diagnosis(world: World, operator: Caller) -> None:
    place = world.place
    make_execution(place.first, number=2, state=ExecutionState.SUCCESS, error_code="")
    rows = operator.all(f"instances/{place.first.pk}/executions/")
    assert [(row["number"], row["state"]) for row in rows] == [(2, "SUCCESS"), (1, "FAILED")]
    assert "code" not in rows[0]
    shown = operator.get(f"executions/{place.execution.pk}/")
    assert (shown["code"], shown["parameters"]) == ("echo done", {})
    assert shown["waiting_since"] < shown["ready_at"] < shown["started_at"] < shown["ended_at"]
    assert shown["diagnosis"]["message"] == "exit code 1"


@pytest.mark.feature("I11")
@pytest.mark.item("1.19")
def test_a_log_is_followed_by_position_until_it_is_finished(world: World, operator: Caller) -> None:
    instance = world.place.first
    running = make_execution(
        instance,
        number=2,
        state=ExecutionState.RUNNING,
        ended_at=None,
        lease_until=clock.now() + timedelta(minutes=1),
    )
    first = operator.get(f"instances/{instance.pk}/log/")
    assert (first["execution"], first["text"]) == (running.pk, "first line\nsecond line\n")
    assert (first["next_position"], first["finished"]) == (2, False)
    LogChunk.objects.create(execution=running, sequence=2, content=b"third\n", size=6)
    Execution.objects.filter(pk=running.pk).update(
        state=ExecutionState.SUCCESS, ended_at=clock.now()
    )
    more = operator.get(f"executions/{running.pk}/log/?position=2")
    assert (more["text"], more["next_position"], more["finished"]) == ("third\n", 3, True)
    none = operator.get(f"instances/{world.place.instance.pk}/log/")
    assert (none["execution"], none["text"], none["finished"]) == (None, "", False)


@pytest.mark.feature("I11")
def test_a_log_is_downloaded_whole(world: World, operator: Caller) -> None:
    execution = world.place.execution
    for sequence in range(2, 40):
        LogChunk.objects.create(execution=execution, sequence=sequence, content=b"x\n", size=2)
    response = operator.call("GET", f"executions/{execution.pk}/log/download/")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    text = b"".join(response.streaming_content).decode()
    assert text == "first line\nsecond line\n" + "x\n" * 38


@pytest.mark.parametrize("accept", ["text/plain", "application/json", "*/*"])
def test_a_download_may_be_asked_for_as_what_it_is(
    world: World, operator: Caller, accept: str
) -> None:
    address = f"executions/{world.place.execution.pk}/log/download/"
    assert b"".join(operator.call("GET", address, Accept=accept).streaming_content)
    missing = operator.call("GET", f"executions/{10**9}/log/download/", Accept=accept)
    assert (missing.status_code, json.loads(missing.content)["code"]) == (404, "not_found")
    workflow = f"workflows/{world.place.workflow.pk}/export/"
    as_file = "application/yaml" if accept == "text/plain" else accept
    assert operator.call("GET", workflow, Accept=as_file).status_code == 200


@pytest.mark.feature("I12")
def test_why_an_instance_waits_names_the_upstream(world: World, operator: Caller) -> None:
    place = world.place
    put(place.first, State.FAILED)
    put(place.instance, State.WAITING_UPSTREAM)
    answer = operator.get(f"instances/{place.instance.pk}/waiting/")
    (blocker,) = answer["blockers"]
    assert answer["state"] == "WAITING_UPSTREAM"
    assert (blocker["instance"], blocker["task"]) == (place.first.pk, place.up.pk)
    assert blocker["state"] == "FAILED"
    assert operator.get(f"instances/{place.first.pk}/waiting/")["blockers"] == []


@pytest.mark.feature("I11")
def test_edges_lead_up_and_down(world: World, operator: Caller) -> None:
    place = world.place
    (up,) = operator.all(f"instances/{place.instance.pk}/edges/")
    assert up["neighbour"]["instance"] == place.first.pk
    assert (up["neighbour"]["name"], up["neighbour"]["state"]) == ("up", "NOT_RUN")
    (down,) = operator.all(f"instances/{place.first.pk}/edges/?direction=downstream")
    assert down["neighbour"]["instance"] == place.instance.pk
    assert operator.all(f"instances/{place.first.pk}/edges/?direction=upstream") == []


@pytest.mark.feature("I4", "I5", "I6")
def test_an_instance_is_terminated_rerun_and_marked(world: World, operator: Caller) -> None:
    place = world.place
    put(place.instance, State.WAITING_UPSTREAM)
    address = f"instances/{place.instance.pk}/"
    ended = operator.post(f"{address}terminate/")
    assert (ended["state"], ended["error_code"]) == ("FAILED", "TERMINATED")
    refused = operator.post(f"{address}terminate/", status=409)
    assert refused["code"] == "wrong_state"
    assert operator.post(f"{address}rerun/")["state"] == "WAITING_UPSTREAM"
    assert operator.post(f"{address}mark-success/")["state"] == "SUCCESS"


@pytest.mark.feature("I6")
def test_what_runs_and_is_marked_success_is_terminating_first(
    world: World, operator: Caller
) -> None:
    place, now = world.place, clock.now()
    put(place.first, State.RUNNING, started_at=now, dispatched_at=now, ready_at=now)
    put(place.instance, State.WAITING_UPSTREAM)
    shown = operator.post(f"instances/{place.first.pk}/mark-success/")
    assert (shown["state"], shown["marked"]) == ("TERMINATING", True)
    assert operator.post(f"instances/{place.first.pk}/rerun/", status=409)["code"] == "wrong_state"
    (blocker,) = operator.get(f"instances/{place.instance.pk}/waiting/")["blockers"]
    assert blocker["text"].endswith("and a success as soon as its process has ended.")


@pytest.mark.feature("I8")
def test_an_instance_is_frozen_and_unfrozen(world: World, operator: Caller) -> None:
    put(world.place.instance, State.FAILED)
    address = f"instances/{world.place.instance.pk}/"
    assert operator.post(f"{address}unfreeze/", status=409)["code"] == "wrong_state"
    assert operator.post(f"{address}freeze/")["state"] == "FROZEN"
    (blocker,) = operator.get(f"{address}waiting/")["blockers"]
    assert blocker["reason"] == "frozen"
    assert operator.post(f"{address}unfreeze/")["state"] == "FAILED"
    body = {"filter": {"state": ["FAILED"]}}
    assert operator.post("instances/batch/freeze/", body)["succeeded"] == 1
    body = {"filter": {"state": ["FROZEN"]}}
    assert operator.post("instances/batch/unfreeze/", body)["succeeded"] == 1


@pytest.mark.feature("I7")
def test_dependencies_are_removed_one_or_all_and_stay_to_be_seen(
    world: World, operator: Caller
) -> None:
    place = world.place
    put(place.instance, State.WAITING_UPSTREAM)
    address = f"instances/{place.instance.pk}/"
    (edge,) = operator.all(f"{address}edges/")
    for body, field in (
        ({}, "edges"),
        ({"edges": []}, "edges"),
        ({"all": False}, "edges"),
        ({"all": True, "edges": [edge["id"]]}, "edges"),
        ({"edges": [edge["id"], 10**9]}, "edges"),
        ({"edges": ["x"]}, "edges.0"),
    ):
        refused = operator.post(f"{address}remove-dependencies/", body, 400)
        assert list(refused["fields"]) == [field], body
    assert operator.all(f"{address}edges/")[0]["removed"] is False
    freed = operator.post(f"{address}remove-dependencies/", {"edges": [edge["id"]]})
    assert freed["state"] == "WAITING_EXECUTION"
    assert operator.all(f"{address}edges/")[0]["removed"] is True
    again = operator.post(f"{address}remove-dependencies/", {"all": True}, 409)
    assert again["code"] == "nothing_to_remove"


@pytest.mark.feature("I10")
def test_many_instances_at_once_by_ids_and_by_filter(world: World, operator: Caller) -> None:
    place = world.place
    put(place.instance, State.WAITING_UPSTREAM)
    foreign = world.elsewhere.instance.pk
    answer = operator.post(
        "instances/batch/terminate/", {"ids": [place.instance.pk, place.first.pk, foreign]}
    )
    assert {one["id"]: one["code"] for one in answer["results"]} == {
        place.instance.pk: "",
        place.first.pk: "wrong_state",
        foreign: "not_found",
    }
    assert operator.get(f"operations/{answer['operation']}/")["verb"] == "instances.terminate"
    by_filter = {"filter": {"state": ["FAILED"], "task": place.down.pk}}
    answer = operator.post("instances/batch/mark-success/", by_filter)
    assert [one["id"] for one in answer["results"]] == [place.instance.pk]


@pytest.mark.feature("I10", "P3")
@pytest.mark.parametrize("by_filter", [False, True])
def test_many_are_accepted_followed_and_cancelled(
    world: World, operator: Caller, monkeypatch: pytest.MonkeyPatch, by_filter: bool
) -> None:
    monkeypatch.setattr("projects.verbs.background.AT_ONCE", 1)
    rows = Instance.objects.filter(project=world.place.project)
    filtered = {"filter": {"project": [world.place.project.pk]}}
    body = filtered if by_filter else {"ids": list(rows.values_list("pk", flat=True))}

    response = operator.call("POST", "instances/batch/freeze/", body)

    answer = response.json()
    assert (response.status_code, answer["pending"], answer["results"]) == (202, rows.count(), [])
    address = f"operations/{answer['operation']}/"
    assert response["Location"].endswith(f"/api/v1/{address}")
    shown = operator.get(address)
    assert (shown["running"], shown["total"], shown["seconds_left"]) == (True, rows.count(), None)
    assert {one["ok"] for one in operator.all(f"{address}objects/")} == {None}

    work(answer["operation"])
    shown = operator.get(address)
    assert shown["succeeded"] + shown["refused"] == 1 and shown["seconds_left"] > 0
    viewer = Caller(world.users["viewer"])
    assert viewer.post(f"{address}cancel/", status=403)["code"] == "forbidden"
    assert operator.post(f"{address}cancel/")["cancelled_at"] is not None
    work(answer["operation"])
    shown = operator.get(address)
    assert (shown["running"], shown["succeeded"] + shown["refused"]) == (False, rows.count())
    assert operator.post(f"{address}cancel/", status=409)["code"] == "conflict"
    codes = [one["code"] for one in operator.all(f"{address}objects/")]
    assert codes.count("cancelled") == rows.count() - 1


def left(rows: QuerySet, filters: Any, **data: Any) -> set[int]:
    found = filters(data, queryset=rows)
    assert found.is_valid(), found.errors
    return {row.pk for row in found.qs}


@pytest.mark.feature("I3")
def test_every_filter_of_instances_keeps_some_and_drops_others(world: World) -> None:
    place, plan = world.place, world.place.expanded
    rows = Instance.objects.filter(project=place.project)
    one, other = place.first, place.instance
    place.up.owners.set([world.users["viewer"]])
    times = {"started_at": DAY, "ended_at": DAY, "settled_at": DAY}
    by = world.users["operator"]
    put(one, State.SUCCESS, error_code="TIMEOUT", dry=True, settled_by=by, **times)
    Instance.objects.filter(pk=other.pk).update(priority=8, resource_group=place.group)
    of_plan = set(rows.filter(batch__plan=plan).values_list("pk", flat=True))
    everything = {one.pk, other.pk, *of_plan}
    before, after = "2025-06-01T00:00:00Z", "2026-06-01T00:00:00Z"
    cases: list[tuple[dict[str, Any], set[int]]] = [
        # The id of an instance, and perhaps of a task as well.
        (
            {"search": f"{one.pk}|nothing"},
            {row.pk for row in rows if one.pk in (row.pk, row.task_id)},
        ),
        ({"search": "UP"}, {one.pk, *(of_plan & set(_of(place.up.pk)))}),
        ({"id": [one.pk]}, {one.pk}),
        ({"project": world.elsewhere.project.pk}, set()),
        ({"workflow": place.workflow.pk}, everything),
        ({"folder": place.folder.pk}, everything),
        ({"folder": world.elsewhere.folder.pk, "subfolders": False}, set()),
        ({"task": place.down.pk, "kind": "PERIODIC"}, {other.pk}),
        ({"type": "shell", "cycle": "day"}, everything),
        ({"type": "sql"}, set()),
        ({"cycle": "hour"}, set()),
        ({"kind": ["BACKFILL"]}, of_plan),
        ({"state": "FAILED,SUCCESS"}, {one.pk}),
        ({"error_code": "TIMEOUT"}, {one.pk}),
        ({"resource_group": place.group.name}, {other.pk}),
        ({"priority": [8]}, {other.pk}),
        ({"owner": "viewer", "kind": "PERIODIC"}, {one.pk}),
        ({"batch": plan.batch_id}, of_plan),
        ({"plan": plan.pk}, of_plan),
        ({"dry": True}, {one.pk}),
        ({"settled": True}, {one.pk}),
        ({"settled": False}, everything - {one.pk}),
        ({"settled_by": ["operator"]}, {one.pk}),
        ({"data_time_from": "2025-12-31"}, {one.pk, other.pk}),
        ({"data_time_from": "2025-12-31T00:00:01"}, set()),
        ({"data_time_until": "2025-12-30"}, of_plan),
        ({"data_time_until": "2025-12-31"}, everything),
        ({"scheduled_from": before}, {one.pk, other.pk}),
        ({"scheduled_until": before}, of_plan),
        ({"started_from": before}, {one.pk}),
        ({"started_until": before}, set()),
        ({"ended_from": before, "ended_until": after}, {one.pk}),
    ]
    for data, expected in cases:
        assert left(rows, InstanceFilter, **data) == expected, data
    tried = {name for data, _ in cases for name in data}
    assert tried == set(InstanceFilter.base_filters)


def _of(task_id: int) -> list[int]:
    return list(Instance.objects.filter(task=task_id).values_list("pk", flat=True))


@pytest.mark.feature("I11")
def test_every_filter_of_executions_keeps_some_and_drops_others(world: World) -> None:
    place, rows = world.place, Execution.objects.all()
    one = place.execution
    Execution.objects.filter(pk=one.pk).update(
        worker="w1", cause="RERUN", resource_group=place.group
    )
    both = {one.pk, world.elsewhere.execution.pk}
    now = datetime.now(UTC)
    cases: list[tuple[dict[str, Any], set[int]]] = [
        ({"project": place.project.pk}, {one.pk}),
        ({"task": place.up.pk}, {one.pk}),
        ({"instance": place.first.pk}, {one.pk}),
        ({"state": "FAILED"}, both),
        ({"state": "SUCCESS"}, set()),
        ({"cause": ["RERUN"]}, {one.pk}),
        ({"error_code": "EXIT_NONZERO"}, both),
        ({"resource_group": place.group.name}, {one.pk}),
        ({"worker": "w1"}, {one.pk}),
        ({"started_from": now.isoformat()}, set()),
        ({"started_until": now.isoformat()}, both),
    ]
    for data, expected in cases:
        assert left(rows, ExecutionFilter, **data) == expected, data
    assert {name for data, _ in cases for name in data} == set(ExecutionFilter.base_filters)
