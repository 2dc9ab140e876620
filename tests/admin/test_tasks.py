"""Tasks: the list, the form of the draft, submission, status, versions, preview."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from projects.models import Operation
from tests.admin.browsing import Browser
from tests.api.world import World
from tests.factories import make_task
from workflows.choices import TaskStatus
from workflows.models import Task

pytestmark = pytest.mark.django_db

LIST = "workflows_task_changelist"
EDIT = "workflows_task_edit"

DEFINITIONS: dict[str, dict[str, Any]] = {
    "minute": {"schedule": {"cycle": "minute", "every": 5, "from": "08:00", "until": "20:00"}},
    "hour": {"schedule": {"cycle": "hour", "every": 2}},
    "hours": {"schedule": {"cycle": "hour", "hours": [0, 6, 12], "minute": 30}},
    "week": {"schedule": {"cycle": "week", "weekdays": [1, 5], "at": "02:30"}},
    "month": {"schedule": {"cycle": "month", "days": [1, 15, "last"], "at": "03:00"}},
    "year": {"schedule": {"cycle": "year", "dates": ["01-01", "07-01"], "at": "04:00"}},
    "crontab": {"schedule": {"cycle": "crontab", "expression": "30 2 * * 1-5"}},
    "one_time": {"schedule": {"cycle": "one_time", "at": "2026-01-31 05:00"}},
    "ranges": {
        "schedule": {
            "cycle": "day",
            "at": "00:15:30",
            "time_zone": "Europe/Berlin",
            "effective_from": "2026-01-01",
            "effective_until": "2026-12-31",
        }
    },
    "everything": {
        "description": "All of it",
        "depends_on": ["up", {"task": "down", "offset": "previous", "scope": "latest"}],
        "self_dependent": True,
        "parameters": {"day": "${yyyymmdd-7}", "empty": "", "spaced": " a  b "},
        "retries": {"limit": 2, "interval": 5, "backoff": 1.5, "max_interval": 600},
        "timeout": 600,
        "priority": 8,
        "max_parallel": 3,
        "catch_up": "latest",
        "code": "echo one\n\n  echo two\n",
    },
    "shell": {"type": "shell", "config": {"shell": "/bin/bash", "stop_on_error": False}},
    "python": {"type": "python", "config": {"arguments": ["--day", "7"]}},
    "sql": {"type": "sql", "config": {"database": "/tmp/x.duckdb", "rows": 5}},
    "http": {
        "type": "http",
        "config": {
            "url": "https://api.example.com/${bizdate}",
            "method": "POST",
            "headers": {"Accept": "text/plain", "X-Day": "${bizdate}"},
            "body": {"rows": [1, 2]},
            "expected_status": ["200-299", 404],
            "timeout": 30,
        },
    },
    "virtual": {"type": "virtual"},
}


@pytest.mark.feature("T1")
@pytest.mark.item("3.27")
def test_the_list_has_its_columns(operator: Browser) -> None:
    assert operator.get(LIST).columns[1:] == [
        "Task",
        "Status",
        "Workflow",
        "Type",
        "Cycle",
        "Next instance",
        "Owners",
        "Folder",
        "Resource group",
        "Last submission",
        "First run",
        "Created",
        "Effective from",
        "Effective until",
        "Project",
    ]


@pytest.mark.feature("T1", "T2")
def test_a_task_past_its_effective_range_is_shown_and_found_as_invalid(
    world: World, operator: Browser
) -> None:
    past = timezone.now() - timedelta(days=1)
    Task.objects.filter(pk=world.place.up.pk).update(effective_until=past)
    page = operator.get(LIST, status="INVALID")
    assert page.ids == [world.place.up.pk]
    assert "Invalid" in page.text
    assert world.place.up.pk not in operator.get(LIST, status="SCHEDULING").ids


@pytest.mark.feature("T1")
def test_the_list_filters(world: World, operator: Browser) -> None:
    place = world.place
    for query, expected in (
        ({"status": "DRAFT"}, [place.draft.pk]),
        ({"workflow": place.workflow.pk, "q": "up"}, [place.up.pk]),
        ({"folder": place.folder.pk, "q": f"{place.down.pk}"}, [place.down.pk]),
        ({"type": "python"}, []),
        ({"cycle": "hour"}, []),
        ({"resource_group": "default", "q": "up|down"}, [place.up.pk, place.down.pk]),
        ({"owner": "nobody"}, []),
    ):
        assert operator.get(LIST, **query).ids == expected, query


@pytest.mark.feature("T10", "T11", "T12", "T13")
@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_draft_saved_untouched_stays_what_it_is(
    world: World, operator: Browser, name: str
) -> None:
    task = make_task(workflow=world.place.workflow, **DEFINITIONS[name])
    data = operator.form(EDIT, task.pk)
    # One thing is changed, so that the draft is written at all.
    data["description"] = "written again"
    page = operator.post(EDIT, task.pk, data=data)
    assert page.messages == ["The draft was saved; submit it to put it into force."]
    before, after = task.draft, Task.objects.get(pk=task.pk).draft
    assert after == {**before, "description": "written again"}


@pytest.mark.feature("T11", "T12", "T13")
@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"schedule_at": "25:00"}, "schedule_at", "not a time of day"),
        ({"schedule_cycle": "crontab"}, "schedule_expression", "is missing"),
        (
            {"schedule_cycle": "crontab", "schedule_expression": "0 0 31 2 *"},
            "schedule_expression",
            "never",
        ),
        ({"schedule_cycle": "hour", "schedule_hours": "0, 25"}, "schedule_hours", "0 to 23"),
        ({"schedule_time_zone": "Mars/Base"}, "schedule_time_zone", "time zone"),
        (
            {"schedule_effective_from": "2026-02-01", "schedule_effective_until": "2026-01-01"},
            "schedule_effective_until",
            "before",
        ),
        (
            {"parameters__name": ["day"], "parameters__value": ["${nonsense}"]},
            "parameters",
            "day",
        ),
        ({"parameters__name": [""], "parameters__value": ["1"]}, "parameters", "no name"),
        (
            {
                "depends_on__task": ["up", "a/b/c/d"],
                "depends_on__offset": ["same", "same"],
                "depends_on__scope": ["default", "default"],
            },
            "depends_on",
            "Row 2",
        ),
        ({"timeout": "0"}, "timeout", "Must be between"),
        ({"retries_limit": "101"}, "retries_limit", "between 0 and 100"),
        ({"retries_backoff": "0.5"}, "retries_backoff", "between 1"),
        ({"max_parallel": "0"}, "max_parallel", "Must be"),
        ({"code": ""}, "code", "needs code"),
        ({"type": "http", "code": ""}, "config_http_url", "required"),
        ({"name": "a/b"}, "name", "no slash"),
        ({"name": "up"}, "name", "already"),
    ],
)
def test_a_fault_stands_at_its_field_and_nothing_is_saved(
    world: World, operator: Browser, changes: dict[str, Any], field: str, message: str
) -> None:
    task = world.place.draft
    operations = Operation.objects.count()
    page = operator.post(EDIT, task.pk, data={**operator.form(EDIT, task.pk), **changes})
    assert list(page.form_faults) == [field]
    assert message in " ".join(page.form_faults[field])
    assert Task.objects.get(pk=task.pk).draft == task.draft
    assert Operation.objects.count() == operations


@pytest.mark.feature("T9", "T13")
def test_a_task_is_made_changed_and_submitted(world: World, operator: Browser) -> None:
    data = {
        **operator.form("workflows_task_add", workflow=world.place.workflow.pk),
        "name": "fresh",
        "type": "shell",
        "code": "echo ${day}\r\ntrue\r\n",
        "schedule_cycle": "day",
        "schedule_at": "02:30",
        "parameters__name": ["day"],
        "parameters__value": ["${yyyymmdd}"],
    }
    operator.post("workflows_task_add", data=data)
    task = Task.objects.get(name="fresh")
    assert task.draft["code"] == "echo ${day}\ntrue\n", "as shells want it"
    page = operator.post("workflows_task_submit", task.pk, data={"comment": "first"})
    assert page.messages == ["fresh: submitted."]
    task.refresh_from_db()
    assert (task.status, task.version.number, task.version.comment) == ("SCHEDULING", 1, "first")

    changed = {**operator.form(EDIT, task.pk), "schedule_at": "03:30", "priority": "7"}
    operator.post(EDIT, task.pk, data=changed)
    page = operator.get("workflows_task_change", task.pk)
    assert "The draft differs from what is in force" in page.text
    assert "every day at 02:30" in page.text, "what is in force is shown"
    assert {one.field for one in page.context["differences"]} == {"schedule.at", "priority"}
    operator.post("workflows_task_submit", task.pk, data={"comment": "later"})
    diff = operator.get("workflows_task_version", task.pk, 2)
    assert "-02:30" in diff.text and "+03:30" in diff.text
    assert "5 · normal → 7 · high" in diff.text
    assert "the first" in operator.get("workflows_task_version", task.pk, 1).text
    assert operator.get("workflows_task_version", task.pk, 3).status == 404


@pytest.mark.feature("T12")
def test_what_submission_refuses_is_told_on_the_task_s_page(
    world: World, operator: Browser
) -> None:
    data = {
        **operator.form(EDIT, world.place.up.pk),
        "depends_on__task": ["down"],
        "depends_on__offset": ["same"],
        "depends_on__scope": ["default"],
    }
    operator.post(EDIT, world.place.up.pk, data=data)
    page = operator.post("workflows_task_submit", world.place.up.pk, data={"comment": "ring"})
    assert "Not submitted" in page.text
    assert "up → " in page.text and "down" in page.text
    assert 'value="ring"' in page.html, "the comment is not lost"
    assert Task.objects.get(pk=world.place.up.pk).version.number == 1


@pytest.mark.feature("T12", "P2")
def test_the_dependency_picker_names_no_foreign_task(world: World, operator: Browser) -> None:
    page = operator.get(EDIT, world.place.draft.pk)
    suggestions = page.context["adminform"].form.fields["depends_on"].widget.suggestions
    assert suggestions == ["down", "up"]


@pytest.mark.feature("T3")
def test_a_change_of_status_is_confirmed_done_and_told(world: World, operator: Browser) -> None:
    page = operator.act(LIST, "pause_chosen", world.place.up.pk, world.place.draft.pk)
    assert "Pause 1 task" in page.text and "It is draft" in page.text
    ids = f"{world.place.up.pk},{world.place.draft.pk}"
    page = operator.post("workflows_task_operate", "pause", data={"ids": ids, "confirmed": "1"})
    assert Task.objects.get(pk=world.place.up.pk).status == TaskStatus.PAUSED
    assert page.messages[0].startswith("1 task paused")
    assert "It is draft" in page.messages[1]


@pytest.mark.feature("P1")
def test_a_developer_does_not_change_a_status(world: World, browse: Any) -> None:
    developer = browse(world.users["developer"])
    assert "pause_chosen" not in developer.get(LIST).html
    page = developer.post(
        "workflows_task_operate", "pause", data={"ids": world.place.up.pk, "confirmed": "1"}
    )
    assert "does not allow" in page.messages[0]
    assert Task.objects.get(pk=world.place.up.pk).status == TaskStatus.SCHEDULING


@pytest.mark.feature("T13")
def test_the_preview_shows_the_parameters_on_a_date(world: World, operator: Browser) -> None:
    page = operator.get("workflows_task_preview", world.place.down.pk, date="2026-03-01")
    assert page.context["preview"].parameters == {"day": "20260301"}
    assert "2026-03-02 00:00:00" in page.text
    assert "Next planned times" in page.text
    wrong = operator.get("workflows_task_preview", world.place.down.pk, date="soon")
    assert "“soon” is not a date." in wrong.text


@pytest.mark.feature("T8")
def test_the_page_draws_what_is_around_the_task(world: World, operator: Browser) -> None:
    page = operator.get("workflows_task_change", world.place.up.pk)
    assert 'class="tm-dag"' in page.html
    assert f"/admin/workflows/task/{world.place.down.pk}/change/" in page.html


@pytest.mark.feature("B2")
@pytest.mark.item("0.2", "2.18", "3.36")
def test_chosen_tasks_go_to_the_backfill_wizard(world: World, operator: Browser) -> None:
    page = operator.act(LIST, "backfill_chosen", world.place.up.pk)
    wanted = page.context["wanted"]
    assert (wanted.kind, wanted.ids) == ("tasks", [world.place.up.pk])
    assert wanted.project_id == world.place.project.pk


def test_only_a_draft_is_deleted(world: World, operator: Browser) -> None:
    kept, gone = world.place.up.pk, world.place.draft.pk
    page = operator.post("workflows_task_delete", kept, data={"post": "yes"})
    assert "has been submitted" in page.messages[0]
    operator.post("workflows_task_delete", gone, data={"post": "yes"})
    assert set(Task.objects.filter(pk__in=[kept, gone]).values_list("pk", flat=True)) == {kept}
