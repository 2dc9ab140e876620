"""`manage.py operate`: the verbs from a shell."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from projects.models import Operation
from projects.roles import Role
from tests.factories import make_member, make_submitted_tasks, make_user, make_workflow
from workflows.choices import TaskStatus
from workflows.models import Task, Workflow

pytestmark = [pytest.mark.django_db, pytest.mark.feature("I10", "1.18", "2.55")]


class Run:
    """One call of the command: its output, error output and exit code."""

    def __init__(self, *arguments: str) -> None:
        out, err = StringIO(), StringIO()
        self.code: object = 0
        try:
            call_command("operate", *arguments, stdout=out, stderr=err)
        except SystemExit as end:
            self.code = end.code
        self.out, self.err = out.getvalue(), err.getvalue()


@pytest.fixture
def flow() -> Workflow:
    workflow = make_workflow()
    make_submitted_tasks({"a": {}, "b": {}, "c": {}}, workflow=workflow)
    return workflow


def statuses(workflow: Workflow) -> list[str]:
    return list(workflow.tasks.order_by("name").values_list("status", flat=True))


def test_a_dry_run_says_what_would_happen_and_does_nothing(flow: Workflow) -> None:
    run = Run("tasks", "pause", "--filter", f"workflow={flow.pk}", "status=SCHEDULING", "--dry-run")
    assert run.code == 0, run.err
    assert "Pause 3 tasks" in run.out
    assert "3  scheduling: makes no new instances" in run.out
    assert set(statuses(flow)) == {TaskStatus.SCHEDULING}
    assert not Operation.objects.filter(verb="tasks.pause").exists()


def test_ids_and_filters_name_objects_and_the_outcome_is_told(flow: Workflow) -> None:
    first = Task.objects.filter(workflow=flow).order_by("name")[0]
    run = Run("tasks", "pause", "--ids", str(first.pk), "--yes")
    assert (run.code, statuses(flow)) == (0, ["PAUSED", "SCHEDULING", "SCHEDULING"])
    run = Run("tasks", "pause", "--filter", f"workflow={flow.pk}", "--yes")
    assert (run.code, set(statuses(flow))) == (1, {"PAUSED"})
    assert "2 tasks paused, 1 left alone" in run.out
    assert "It is paused; pause needs scheduling." in run.out


def test_a_workflow_is_all_its_tasks(flow: Workflow) -> None:
    assert Run("workflows", "pause", "--ids", str(flow.pk), "--yes").code == 0
    assert set(statuses(flow)) == {"PAUSED"}
    run = Run("workflows", "submit", "--ids", str(flow.pk), "--yes", "--option", "comment=by hand")
    assert run.code == 0, run.err
    assert Operation.objects.latest("pk").options == {"comment": "by hand"}


def test_many_are_done_in_chunks_by_the_command_itself(
    flow: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projects.verbs.background.AT_ONCE", 1)
    run = Run("tasks", "pause", "--filter", f"workflow={flow.pk}", "--yes")
    assert run.code == 0, run.err
    assert "3 tasks paused, 0 left alone" in run.out
    assert set(statuses(flow)) == {"PAUSED"}


@pytest.mark.feature("P1", "P2")
def test_it_acts_with_the_rights_of_a_user(flow: Workflow) -> None:
    viewer, stranger = make_member(flow.project, Role.VIEWER), make_user()
    one = str(Task.objects.filter(workflow=flow).latest("pk").pk)
    for user, told in ((viewer, "Your role"), (stranger, "There is no such task")):
        run = Run("tasks", "pause", "--ids", one, "--user", user.username, "--yes")
        assert run.code == 1 and told in run.out
    assert set(statuses(flow)) == {"SCHEDULING"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tasks", "pause"), "--ids: Give either --ids or --filter."),
        (("tasks", "pause", "--ids", "1", "--filter", "id=1"), "--ids: Give either"),
        (("tasks", "fly", "--ids", "1"), "tasks have no verb “fly”."),
        (("birds", "fly", "--ids", "1"), "There is no noun “birds”"),
        (("tasks", "pause", "--filter", "colour=red"), "--filter.colour: There is no such filter."),
        (("tasks", "pause", "--filter", "status=GONE"), "--filter.status: "),
        (("tasks", "pause", "--filter", "status"), "“status” is not of the form NAME=VALUE."),
        (("tasks", "pause", "--filter", "name="), "--filter.name: "),
        (("tasks", "pause", "--filter", "id=999999999", "--yes"), "No object matches."),
        (("tasks", "pause", "--ids", "1", "--option", "x=1"), "pause has no option “x”."),
        (("tasks", "pause", "--ids", "1", "--user", "nobody"), "There is no active user “nobody”."),
        (("tasks", "pause", "--ids", "1"), "Nobody is there to ask: say --yes."),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], told: str) -> None:
    run = Run(*arguments)
    assert run.code == 2
    assert told in run.err


def test_without_a_verb_it_says_what_there_is() -> None:
    out = Run().out
    assert "instances: rerun, mark-success, terminate, freeze, unfreeze, remove-dependencies" in out
    assert "plans: submit, pause, resume, terminate" in out
    assert "workflows: submit, start, pause, offline" in out
    assert Run("tasks").out == "tasks: submit, start, pause, offline\n"
