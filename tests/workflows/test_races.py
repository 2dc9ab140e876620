"""Two users at the same moment, each on a connection of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from projects.ground import clock
from projects.ground.refusals import Invalid
from tests.factories import make_project, make_submitted_task, make_task, make_workflow, mapping
from tests.support.racing import Racers
from workflows.bundles.importing import import_bundles
from workflows.bundles.schema import parse_bundle
from workflows.choices import TaskStatus
from workflows.editing.drafts import create_task, save_draft
from workflows.editing.folders import create_folder
from workflows.models import Dependency, Folder, Task, TaskVersion, Workflow
from workflows.verbs.submit import SubmissionRefused, submit_tasks
from workflows.verbs.task_status import pause, take_offline

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def racers() -> Iterator[Racers]:
    racers = Racers()
    yield racers
    racers.close()


def submit(task: Task) -> str:
    """Submit a task; return its outcome, or the code of the refusal."""
    try:
        return submit_tasks(actor=None, ids=[task.pk]).outcomes[0].code
    except SubmissionRefused as refusal:
        return refusal.code


@pytest.fixture
def crossed() -> tuple[Task, Task]:
    """Two tasks in operations whose drafts each depend on the other."""
    workflow = make_workflow()
    a = make_submitted_task("a", workflow=workflow)
    b = make_submitted_task("b", workflow=workflow)
    save_draft(actor=None, task_id=a.pk, draft=mapping(depends_on=["b"]))
    save_draft(actor=None, task_id=b.pk, draft=mapping(depends_on=["a"]))
    return a, b


@pytest.mark.feature("T12")
def test_two_submissions_never_close_a_cycle_together(
    racers: Racers, crossed: tuple[Task, Task]
) -> None:
    a, b = crossed
    assert racers.overtake(lambda: submit(a), lambda: submit(b)) == "cycle"
    assert list(Dependency.objects.values_list("upstream_id", "downstream_id")) == [(b.pk, a.pk)]


@pytest.mark.feature("T12")
def test_of_two_submissions_at_once_one_is_refused(
    racers: Racers, crossed: tuple[Task, Task]
) -> None:
    a, b = crossed
    codes = racers.race(lambda: submit(a), lambda: submit(b))
    assert sorted(codes) == ["cycle", "submitted"]
    assert Dependency.objects.count() == 1


@pytest.mark.feature("T9")
def test_one_draft_submitted_twice_at_once_makes_one_version(racers: Racers) -> None:
    task = make_task("a")
    codes = racers.race(*[lambda: submit(task)] * 4)
    assert sorted(codes) == ["submitted", "unchanged", "unchanged", "unchanged"]
    assert list(TaskVersion.objects.values_list("number", flat=True)) == [1]


@pytest.mark.feature("T11")
def test_a_new_schedule_begins_after_what_generation_has_just_made(racers: Racers) -> None:
    task = make_submitted_task("a")
    save_draft(actor=None, task_id=task.pk, draft=mapping(schedule={"cycle": "hour", "every": 1}))
    ahead = clock.now() + timedelta(hours=3)

    def generate() -> None:
        Task.objects.filter(pk=task.pk).update(
            generated_until=ahead, next_fire_at=ahead + timedelta(days=1)
        )

    assert racers.overtake(generate, lambda: submit(task)) == "submitted"
    task.refresh_from_db()
    assert task.generated_until == ahead
    assert task.next_fire_at > ahead


@pytest.mark.feature("T3")
def test_a_task_that_went_offline_meanwhile_is_not_paused(racers: Racers) -> None:
    task = make_submitted_task("a")
    answer = racers.overtake(
        lambda: take_offline(actor=None, ids=[task.pk]),
        lambda: pause(actor=None, ids=[task.pk]),
    )
    assert [one.code for one in answer.outcomes] == ["wrong_state"]
    task.refresh_from_db()
    assert task.status == TaskStatus.OFFLINE


@pytest.mark.feature("T9")
def test_a_name_is_given_once(racers: Racers) -> None:
    project = make_project()
    workflow = make_workflow(project=project)

    def make(number: int) -> str:
        try:
            create_folder(actor=None, project_id=project.pk, name="same")
            create_task(actor=None, workflow_id=workflow.pk, name="same", draft=mapping())
        except Invalid as refusal:
            return ", ".join(refusal.fields)
        return "made"

    results = racers.race(*[lambda number=number: make(number) for number in range(4)])
    assert sorted(results) == ["made", "name", "name", "name"]
    assert (Task.objects.count(), Folder.objects.count()) == (1, 1)


@pytest.mark.feature("T9")
def test_one_file_imported_twice_at_once_makes_one_workflow(racers: Racers) -> None:
    project = make_project()
    text = (
        "tidemill: 1\nworkflow: w\nfolder: a/b\ntasks:\n"
        "  - {name: t, type: virtual, schedule: {cycle: day, at: 02:30}}\n"
    )

    def bring_in() -> bool:
        result = import_bundles(
            actor=None, project_id=project.pk, bundles=parse_bundle(text, "f"), submit=True
        )
        return result.workflows[0].created

    assert sorted(racers.race(*[bring_in] * 4)) == [False, False, False, True]
    assert list(Workflow.objects.values_list("name", "folder__path")) == [("w", "a/b")]
    assert list(TaskVersion.objects.values_list("task__name", "number")) == [("t", 1)]
