"""Instances: the list, its filters, the operations with their confirmation, the page of one."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from instances.models import Instance
from instances.states import State
from projects.models import Operation
from projects.verbs.background import work
from tests.admin.browsing import Browser, Page
from tests.api.world import World, make_execution, make_instances

pytestmark = pytest.mark.django_db

LIST = "instances_instance_changelist"
PAGE = "instances_instance_change"


def fail(
    instance: Instance, error_code: str = "EXIT_NONZERO", message: str = "exit code 3"
) -> None:
    now = timezone.now()
    Instance.objects.filter(pk=instance.pk).update(
        state=State.FAILED,
        error_code="EXIT_NONZERO",
        error_message="exit code 3",
        ready_at=now - timedelta(minutes=3),
        started_at=now - timedelta(minutes=2),
        ended_at=now,
    )


@pytest.mark.feature("I2")
@pytest.mark.item("1.1", "1.14", "1.15")
def test_the_list_has_the_columns_that_operators_need(operator: Browser) -> None:
    assert operator.get(LIST).columns[1:] == [
        "State",
        "Task",
        "Data time",
        "Planned",
        "Kind",
        "Start",
        "End",
        "Duration",
        "Retries",
        "Runs",
        "Workflow",
        "Type",
        "Cycle",
        "Resource group",
        "Owners",
        "Folder",
        "Priority",
        "Plan",
    ]


@pytest.mark.feature("I1", "I2")
@pytest.mark.item("1.10", "1.12", "2.61")
def test_a_row_tells_state_with_diagnosis_kind_times_and_retries(
    world: World, operator: Browser
) -> None:
    fail(world.place.first)
    page = operator.get(LIST, id=world.place.first.pk)
    assert "The process ended with an error" in page.html
    for text in ("Failed", "EXIT_NONZERO", "2025-12-31 00:00", "Periodic", "2 min 0 s", "0/5"):
        assert text in page.text, text


@pytest.mark.feature("I3")
@pytest.mark.item("1.34")
def test_the_list_filters_by_what_an_instance_is(world: World, operator: Browser) -> None:
    place = world.place
    fail(place.first)
    everything = set(operator.get(LIST).ids)
    planned = set(
        Instance.objects.filter(batch=place.expanded.batch_id).values_list("pk", flat=True)
    )
    for query, expected in (
        ({"state": "FAILED"}, {place.first.pk}),
        ({"state": ["FAILED", "NOT_RUN"]}, {place.first.pk, place.instance.pk}),
        ({"kind": "BACKFILL"}, planned),
        ({"task": place.down.pk, "kind": "PERIODIC"}, {place.instance.pk}),
        ({"plan": place.expanded.pk}, planned),
        ({"data_time_from": "2025-12-31", "data_time_until": "2025-12-31"}, everything - planned),
        ({"data_time_from": "2026-01-01"}, set()),
        ({"started_from": "2000-01-01T00:00Z"}, {place.first.pk}),
        ({"type": "python"}, set()),
        ({"cycle": "day"}, everything),
        ({"resource_group": "default"}, everything),
        ({"resource_group": place.group.name}, set()),
        ({"owner": "nobody"}, set()),
        ({"workflow": place.workflow.pk, "error_code": "EXIT_NONZERO"}, {place.first.pk}),
        ({"q": "down", "kind": "PERIODIC"}, {place.instance.pk}),
        # Ids of instances, and in a new database of tasks as well.
        (
            {"q": f"{place.first.pk}|{place.instance.pk}", "kind": "PERIODIC"},
            {place.first.pk, place.instance.pk},
        ),
    ):
        found = operator.get(LIST, **query).ids
        assert set(found) == expected, query


@pytest.mark.feature("I3", "P2")
def test_a_filter_by_a_foreign_project_finds_nothing(world: World, operator: Browser) -> None:
    assert operator.get(LIST, project=world.elsewhere.project.pk).ids == []
    assert "elsewhere" not in operator.get(LIST, project=world.elsewhere.project.pk).text


@pytest.mark.feature("I3")
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"state": "GONE"}, "state"),
        ({"started_from": "soon"}, "started from"),
        ({"task": "x"}, "task"),
        ({"data_time_from": "2026-02-30"}, "data time from"),
    ],
)
def test_a_filter_that_makes_no_sense_says_so_and_finds_nothing(
    operator: Browser, query: dict[str, str], told: str
) -> None:
    page = operator.get(LIST, **query)
    assert page.status == 200
    assert page.ids == []
    assert any(told in message for message in page.messages)


@pytest.mark.feature("I3")
def test_the_states_stand_above_the_list_with_their_numbers(
    world: World, operator: Browser
) -> None:
    fail(world.place.first)
    chips = operator.get(LIST, kind="PERIODIC").context["chips"]
    assert {chip["state"]: chip["number"] for chip in chips} == {State.FAILED: 1, State.NOT_RUN: 1}
    failed = next(chip for chip in chips if chip["state"] == State.FAILED)
    assert "state=FAILED" in failed["url"] and "kind=PERIODIC" in failed["url"]


@pytest.mark.feature("I10")
@pytest.mark.item("U7.1")
def test_an_action_says_first_what_will_happen_and_to_how_many(
    world: World, operator: Browser
) -> None:
    fail(world.place.first)
    page = operator.act(LIST, "rerun_chosen", world.place.first.pk, world.place.instance.pk)
    assert "Rerun 1 instance" in page.text
    assert "1 It is not run; rerun needs" in page.text
    assert "Retries count from 0" in page.text
    world.place.first.refresh_from_db()
    assert world.place.first.state == State.FAILED, "nothing has happened yet"


@pytest.mark.feature("I6", "I10", "P3")
@pytest.mark.item("1.45")
def test_a_confirmed_operation_is_done_told_and_recorded(world: World, operator: Browser) -> None:
    fail(world.place.first)
    ids = f"{world.place.first.pk},{world.place.instance.pk}"
    page = operator.post(
        "instances_instance_operate", "mark-success", data={"ids": ids, "confirmed": "1"}
    )
    world.place.first.refresh_from_db()
    assert world.place.first.state == State.SUCCESS
    assert page.messages[0].startswith("1 instance marked success")
    assert "left alone" in page.messages[1] and "not run" in page.messages[1]
    operation = Operation.objects.latest("pk")
    assert (operation.verb, operation.actor) == ("instances.mark_success", world.users["operator"])


@pytest.mark.feature("I6")
def test_who_marks_what_runs_is_told_that_its_process_has_to_end(
    world: World, operator: Browser
) -> None:
    first, now = world.place.first, timezone.now()
    Instance.objects.filter(pk=first.pk).update(
        state=State.RUNNING, ready_at=now, dispatched_at=now, started_at=now
    )
    page = operator.post(
        "instances_instance_operate", "mark-success", data={"ids": first.pk, "confirmed": "1"}
    )
    assert "a success as soon as its process has ended" in page.messages[1]
    assert "marked success" in operator.get("instances_instance_change", first.pk).text
    assert "marked success" in operator.get(LIST).text


@pytest.mark.feature("I4")
def test_terminate_ends_what_waits(world: World, operator: Browser) -> None:
    waiting = world.place.instance
    Instance.objects.filter(pk=waiting.pk).update(state=State.WAITING_UPSTREAM)
    page = operator.get("instances_instance_operate", "terminate", ids=waiting.pk)
    assert "fails at once with code TERMINATED" in page.text
    operator.post(
        "instances_instance_operate", "terminate", data={"ids": waiting.pk, "confirmed": "1"}
    )
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error_code) == (State.FAILED, "TERMINATED")


@pytest.mark.feature("I8")
def test_the_page_offers_to_freeze_or_to_unfreeze(world: World, operator: Browser) -> None:
    fail(world.place.first)
    pk = world.place.first.pk
    page = operator.get(PAGE, pk)
    assert "operate/freeze/" in page.html and "operate/unfreeze/" not in page.html
    page = operator.act(LIST, "freeze_chosen", pk)
    assert "Freeze 1 instance" in page.text and "cannot be run again" in page.text
    operator.post("instances_instance_operate", "freeze", data={"ids": pk, "confirmed": "1"})
    page = operator.get(PAGE, pk)
    assert "operate/unfreeze/" in page.html and "operate/freeze/" not in page.html
    assert "An operator has frozen it" in page.text
    assert "Unfreeze 1 instance" in operator.act(LIST, "unfreeze_chosen", pk).text
    operator.post("instances_instance_operate", "unfreeze", data={"ids": pk, "confirmed": "1"})
    world.place.first.refresh_from_db()
    assert world.place.first.state == State.FAILED


@pytest.mark.feature("I7")
def test_dependencies_are_chosen_and_removed_for_good(world: World, operator: Browser) -> None:
    waiting = world.place.instance
    Instance.objects.filter(pk=waiting.pk).update(state=State.WAITING_UPSTREAM)
    assert "operate/remove-dependencies/" in operator.get(PAGE, waiting.pk).html
    page = operator.get("instances_instance_operate", "remove-dependencies", ids=waiting.pk)
    (edge,) = page.context["edges"]
    assert "There is no way back" in page.text and f'value="{edge.edge_id}" checked' in page.html
    data = {"ids": waiting.pk, "confirmed": "1", "edges_listed": "1"}
    page = operator.post("instances_instance_operate", "remove-dependencies", data=data)
    assert page.messages == ["Choose the dependencies to remove."]
    data |= {"edges": edge.edge_id}
    page = operator.post("instances_instance_operate", "remove-dependencies", data=data)
    assert page.messages[0].startswith("1 instance freed of dependencies")
    waiting.refresh_from_db()
    assert waiting.state == State.WAITING_EXECUTION
    page = operator.get(PAGE, waiting.pk)
    assert "dependency removed" in page.text
    assert "operate/remove-dependencies/" not in page.html
    page = operator.act(LIST, "remove_dependencies_chosen", waiting.pk, world.place.first.pk)
    assert "Remove dependencies of 2 instances" in page.text and not page.context["edges"]


@pytest.mark.feature("P1")
def test_a_viewer_is_offered_no_operation_and_none_is_done(world: World, viewer: Browser) -> None:
    fail(world.place.first)
    assert "rerun_chosen" not in viewer.get(LIST).html
    assert "operate/rerun" not in viewer.get(PAGE, world.place.first.pk).html
    page = viewer.post(
        "instances_instance_operate",
        "rerun",
        data={"ids": world.place.first.pk, "confirmed": "1"},
    )
    world.place.first.refresh_from_db()
    assert world.place.first.state == State.FAILED
    assert "does not allow" in page.messages[0]


@pytest.mark.feature("P2")
def test_an_operation_does_not_reach_a_foreign_instance(world: World, operator: Browser) -> None:
    fail(world.elsewhere.first)
    page = operator.post(
        "instances_instance_operate",
        "rerun",
        data={"ids": world.elsewhere.first.pk, "confirmed": "1"},
    )
    world.elsewhere.first.refresh_from_db()
    assert world.elsewhere.first.state == State.FAILED
    assert "There is no such instance" in page.messages[0]


@pytest.mark.feature("I10")
def test_an_operation_does_not_lead_away_from_here(world: World, operator: Browser) -> None:
    data = {"ids": world.place.first.pk, "confirmed": "1", "next": "https://example.org/"}
    response = operator.post(
        "instances_instance_operate", "rerun", data=data, follow=False
    ).response
    assert response.headers["Location"] == "/admin/instances/instance/"


@pytest.mark.feature("I11", "I12", "I15")
@pytest.mark.item("1.32")
def test_the_page_tells_the_diagnosis_of_a_failure_and_leads_to_the_task(
    world: World, operator: Browser
) -> None:
    fail(world.place.first)
    page = operator.get(PAGE, world.place.first.pk)
    for text in (
        "The process ended with an error",
        "exit code 3",
        "Likely cause",
        "Read the last lines of the log",
        "Waiting for events and upstream",
        "Waiting for execution",
        "echo done",
    ):
        assert text in page.text, text
    assert f"/admin/workflows/task/{world.place.up.pk}/change/" in page.html


@pytest.mark.feature("I12")
def test_the_page_says_why_it_waits(world: World, operator: Browser) -> None:
    Instance.objects.filter(pk=world.place.instance.pk).update(state=State.WAITING_UPSTREAM)
    page = operator.get(PAGE, world.place.instance.pk)
    assert "Why is it waiting?" in page.text
    assert f"/admin/instances/instance/{world.place.first.pk}/change/" in page.html


@pytest.mark.feature("I11")
def test_upstream_and_downstream_are_listed_with_their_states(
    world: World, operator: Browser
) -> None:
    fail(world.place.first)
    below = operator.get(PAGE, world.place.instance.pk).context
    assert [(line.instance_id, line.state) for line in below["upstream"]] == [
        (world.place.first.pk, "FAILED")
    ]
    above = operator.get(PAGE, world.place.first.pk).context
    assert [line.instance_id for line in above["downstream"]] == [world.place.instance.pk]


@pytest.mark.feature("P2")
def test_an_upstream_of_a_foreign_project_is_an_id_and_no_more(
    world: World, operator: Browser
) -> None:
    edge = world.place.instance.edges.get()
    edge.upstream_task, edge.upstream = world.elsewhere.up, world.elsewhere.first
    edge.save()
    page = operator.get(PAGE, world.place.instance.pk)
    (line,) = page.context["upstream"]
    assert (line.task, line.state, line.hidden) == (f"task {world.elsewhere.up.pk}", "", True)
    assert f"/instance/{world.elsewhere.first.pk}/change" not in page.html
    assert world.elsewhere.workflow.name not in page.text


@pytest.mark.feature("I11", "I14")
@pytest.mark.item("1.38")
def test_executions_of_all_runs_of_the_slot_stand_together(world: World, operator: Browser) -> None:
    first = world.place.first
    other = Instance.objects.get(task=first.task, batch=world.place.expanded.batch_id)
    Instance.objects.filter(pk=other.pk).update(scheduled_at=first.scheduled_at)
    again = make_execution(other)
    page = operator.get(PAGE, first.pk)
    shown = [execution.pk for execution, *_ in page.context["executions"]]
    assert shown == [again.pk, world.place.execution.pk]
    assert "of every run of this planned time" in page.text


@pytest.mark.feature("I11")
def test_the_log_is_read_from_a_position_on_until_it_has_ended(
    world: World, operator: Browser
) -> None:
    pk = world.place.execution.pk
    whole = json.loads(operator.get("instances_execution_log", pk).html)
    assert whole == {
        "text": "first line\nsecond line\n",
        "next_position": 2,
        "finished": True,
    }
    assert json.loads(operator.get("instances_execution_log", pk, position=1).html)["text"] == (
        "second line\n"
    )
    download = operator.get("instances_execution_log", pk, format="text")
    assert download.html == "first line\nsecond line\n"
    assert download.response.headers["Content-Type"].startswith("text/plain")


def test_a_log_with_markup_is_text(world: World, operator: Browser) -> None:
    make_execution(world.place.instance, code="<script>alert(1)</script>")
    page = operator.get(PAGE, world.place.instance.pk).html
    assert "<script>alert(1)" not in page


@pytest.mark.feature("I11")
def test_the_live_part_asks_again_until_the_state_is_final(world: World, operator: Browser) -> None:
    assert "hx-trigger" in operator.get("instances_instance_live", world.place.first.pk).html
    fail(world.place.first)
    assert "hx-trigger" not in operator.get("instances_instance_live", world.place.first.pk).html


@pytest.mark.feature("T8")
@pytest.mark.item("3.41", "3.42")
def test_a_task_shows_its_history_with_numbers_per_state(world: World, operator: Browser) -> None:
    fail(world.place.first)
    make_instances(world.place.up, world.place.down, day=3)
    page = operator.get("instances_task_history", world.place.up.pk, kind="PERIODIC")
    assert dict(page.context["counts"]) == {State.FAILED: 1, State.NOT_RUN: 1}
    early = operator.get("instances_task_history", world.place.up.pk, data_time_until="2025-12-31")
    assert world.place.first.pk in {row.pk for row, _ in early.context["rows"]}
    assert "2026-01-03" not in early.text


@pytest.mark.feature("T8")
@pytest.mark.item("3.52")
def test_a_task_shows_its_execution_curve(world: World, operator: Browser) -> None:
    assert "No finished run yet" in operator.get("instances_task_curve", world.place.up.pk).text
    fail(world.place.first)
    page = operator.get("instances_task_curve", world.place.up.pk, last=25)
    assert page.context["number"] == 1
    assert "<svg" in page.html and f"/instance/{world.place.first.pk}/change/" in page.html
    assert "2 min 0 s" in page.text


@pytest.mark.feature("I10", "P3")
def test_all_that_match_a_filter_are_operated_in_the_background(
    world: World, operator: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projects.verbs.background.AT_ONCE", 1)
    place = world.place
    Instance.objects.filter(pk__in=[place.first.pk, place.instance.pk]).update(
        state=State.WAITING_UPSTREAM
    )
    data = {
        "action": "freeze_chosen",
        "_selected_action": [place.first.pk],
        "select_across": 1,
        "index": 0,
    }
    address = reverse("admin:instances_instance_changelist", query={"kind": "PERIODIC"})
    page = Page(operator.client.post(address, data, follow=True))
    assert "Freeze 2 instances" in page.text and "in the background" in page.text
    assert page.context["ids"] == "" and page.context["filter"] == "kind=PERIODIC"

    confirmed = {"matching": "1", "filter": page.context["filter"], "confirmed": "1"}
    page = operator.post("instances_instance_operate", "freeze", data=confirmed)
    operation = Operation.objects.latest("pk")
    assert page.context["operation"].pk == operation.pk
    assert "Runs in the background" in page.text and "0 of 2" in page.text

    work(operation.pk)
    shown = operator.get("projects_operation_progress", operation.pk)
    assert "1 of 2" in shown.text
    page = operator.post("projects_operation_cancel", operation.pk)
    assert "Is being cancelled" in page.text
    work(operation.pk)
    page = operator.get("projects_operation_change", operation.pk)
    assert "Cancelled" in page.text and "Runs in the background" not in page.text
    assert "1 left alone" in operator.get("projects_operation_changelist").text
    place.first.refresh_from_db()
    place.instance.refresh_from_db()
    assert {place.first.state, place.instance.state} == {State.FROZEN, State.WAITING_UPSTREAM}
