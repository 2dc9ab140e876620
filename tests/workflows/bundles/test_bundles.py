"""Importing and exporting workflow files: there and back, or nothing at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projects.ground.refusals import Forbidden, NotFound
from projects.models import OperationObject, Project
from projects.roles import Role
from tests.factories import (
    make_member,
    make_project,
    make_submitted_task,
    make_task,
    make_user,
    make_workflow,
)
from tests.workflows.bundle_texts import SEATTLE
from tests.workflows.definition_strategies import any_text, definitions, names
from workflows.bundles.exporting import export_workflow, export_workflows, write_bundle
from workflows.bundles.importing import ImportResult, import_bundles
from workflows.bundles.problems import BundleError
from workflows.bundles.schema import TaskBundle, WorkflowBundle, parse_bundle
from workflows.choices import TaskStatus
from workflows.definitions.definition import TaskDefinition
from workflows.editing.drafts import save_draft
from workflows.models import Dependency, Folder, Task, TaskVersion, Workflow

pytestmark = [pytest.mark.django_db, pytest.mark.feature("T9")]

TASK = "  - {{name: {}, type: virtual, depends_on: [{}], schedule: {{cycle: day, at: 02:30}}}}\n"


def file_of(*tasks: tuple[str, str], name: str = "flow") -> str:
    head = f"tidemill: 1\nworkflow: {name}\ntasks:\n"
    return head + "".join(TASK.format(task, upstream) for task, upstream in tasks)


def bring_in(project: Project, *texts: str, **options: Any) -> ImportResult:
    bundles = [
        bundle
        for number, text in enumerate(texts)
        for bundle in parse_bundle(text, f"{number}.yaml")
    ]
    return import_bundles(actor=None, project_id=project.pk, bundles=bundles, **options)


def refusal(project: Project, *texts: str, **options: Any) -> list[str]:
    with pytest.raises(BundleError) as caught:
        bring_in(project, *texts, **options)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def project() -> Project:
    project = make_project("seattle")
    make_member(project, Role.DEVELOPER, user=make_user("ada"))
    return project


def test_a_file_makes_folders_workflow_and_tasks(project: Project) -> None:
    result = bring_in(project, SEATTLE)

    workflow = Workflow.objects.get(project=project)
    assert (workflow.name, workflow.description, workflow.time_zone) == (
        "seattle_temperatures",
        "Hourly temperatures.",
        "America/Los_Angeles",
    )
    assert workflow.folder is not None
    assert set(Folder.objects.values_list("path", flat=True)) == {"weather", "weather/seattle"}
    assert workflow.folder.parent == Folder.objects.get(path="weather")
    assert [user.username for user in workflow.owners.all()] == ["ada"]
    rows = list(workflow.tasks.values_list("name", "type", "position", "status"))
    assert rows == [
        ("start", "virtual", 0, TaskStatus.DRAFT),
        ("hourly_temps", "sql", 1, TaskStatus.DRAFT),
        ("hourly_temps_2", "shell", 2, TaskStatus.DRAFT),
    ]
    assert [user.username for user in workflow.tasks.first().owners.all()] == ["ada"]
    [report] = result.workflows
    assert report.created
    assert report.tasks_created == ["start", "hourly_temps", "hourly_temps_2"]
    objects = OperationObject.objects.filter(operation=result.operation_id)
    assert set(objects.values_list("object_type", "label")) == {
        ("workflow", "seattle_temperatures"),
        ("task", "seattle_temperatures/start"),
        ("task", "seattle_temperatures/hourly_temps"),
        ("task", "seattle_temperatures/hourly_temps_2"),
    }


def test_what_is_exported_is_the_file(project: Project) -> None:
    bring_in(project, SEATTLE)
    assert export_workflow(Workflow.objects.get(), actor=None) == SEATTLE


def test_importing_what_was_exported_changes_nothing(project: Project) -> None:
    bring_in(project, SEATTLE)
    tables = (Workflow, Task, Folder, Workflow.owners.through, Task.owners.through)
    before = [list(table.objects.order_by("pk").values()) for table in tables]

    result = bring_in(project, export_workflow(Workflow.objects.get(), actor=None))

    assert [list(table.objects.order_by("pk").values()) for table in tables] == before
    [report] = result.workflows
    assert not report.created
    assert not report.changed
    assert report.tasks_unchanged == ["start", "hourly_temps", "hourly_temps_2"]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    tasks=st.lists(st.tuples(names, definitions), max_size=4, unique_by=lambda pair: pair[0]),
    name=names,
    description=any_text,
)
def test_every_workflow_comes_back_from_the_database_byte_for_byte(
    project: Project, tasks: list[tuple[str, dict]], name: str, description: str
) -> None:
    bundle = WorkflowBundle(
        name=name,
        description=description,
        owners=("ada",),
        tasks=tuple(
            TaskBundle(task, TaskDefinition.from_mapping(one, time_zone="UTC").to_mapping())
            for task, one in tasks
        ),
    )
    text = write_bundle(bundle)
    result = bring_in(project, text, prune=True)
    assert export_workflows([result.workflows[0].id], actor=None) == {result.workflows[0].id: text}


def test_a_changed_file_changes_what_differs_and_leaves_strangers_alone(project: Project) -> None:
    bring_in(project, file_of(("a", ""), ("b", "a"), ("c", "")))
    make_task("by_hand", workflow=Workflow.objects.get())
    untouched = Task.objects.get(name="a").updated_at

    result = bring_in(project, file_of(("a", ""), ("b", ""), ("d", "")))

    [report] = result.workflows
    assert (report.tasks_created, report.tasks_changed) == (["d"], ["b"])
    assert (report.tasks_unchanged, report.tasks_left) == (["a"], ["c", "by_hand"])
    assert Task.objects.get(name="a").updated_at == untouched
    assert "depends_on" not in Task.objects.get(name="b").draft
    assert Task.objects.filter(name="c").exists()


def test_prune_deletes_what_was_never_submitted(project: Project) -> None:
    bring_in(project, file_of(("kept", "")))
    workflow = Workflow.objects.get()
    make_task("draft", workflow=workflow)
    make_submitted_task("running", workflow=workflow)

    [report] = bring_in(project, file_of(("kept", "")), prune=True).workflows

    assert (report.tasks_deleted, report.tasks_left) == (["draft"], ["running"])
    assert set(Task.objects.values_list("name", flat=True)) == {"kept", "running"}


@pytest.mark.feature("T12")
def test_submit_takes_all_files_as_one_batch(project: Project) -> None:
    bring_in(
        project,
        file_of(("a", "other/b")),
        file_of(("b", ""), name="other"),
        submit=True,
        comment="From files",
    )

    [link] = Dependency.objects.values_list("upstream__name", "downstream__name")
    assert link == ("b", "a")
    assert set(TaskVersion.objects.values_list("task__name", "comment")) == {
        ("a", "From files"),
        ("b", "From files"),
    }


@pytest.mark.feature("T12")
def test_a_problem_of_submission_is_told_at_its_line_and_nothing_is_saved(
    project: Project,
) -> None:
    assert refusal(project, file_of(("a", "b"), ("b", "a"), ("c", "")), submit=True) == [
        "0.yaml:5: tasks.b.depends_on.0: This closes a cycle: b → a → b."
    ]
    assert refusal(project, file_of(("a", "ghost")), submit=True) == [
        "0.yaml:4: tasks.a.depends_on.0: There is no task “ghost”."
    ]
    assert not Workflow.objects.exists()
    assert not Task.objects.exists()


def test_an_owner_has_to_be_a_member(project: Project) -> None:
    make_user("eve")
    text = file_of(("a", "")) + "owners:\n  - ada\n  - eve\n"
    assert refusal(project, text) == ["0.yaml:5: owners: “eve” is not a member of this project."]
    assert not Workflow.objects.exists()


def test_owners_that_a_file_does_not_name_stay(project: Project) -> None:
    bring_in(project, SEATTLE)
    bring_in(project, SEATTLE.replace("owners: [ada]\n", ""))
    assert [user.username for user in Workflow.objects.get().owners.all()] == ["ada"]
    bring_in(project, SEATTLE.replace("owners: [ada]\n", "owners: []\n"))
    assert not Workflow.objects.get().owners.exists()


def test_one_workflow_in_two_files_is_refused(project: Project) -> None:
    assert refusal(project, file_of(("a", "")), file_of(("b", ""))) == [
        "1.yaml:2: workflow: “flow” is in 0.yaml already."
    ]


def test_who_imports_owns_what_nobody_else_does(project: Project) -> None:
    developer = make_member(project, Role.DEVELOPER)
    bundles = parse_bundle(file_of(("a", "")), "f.yaml")
    import_bundles(actor=developer, project_id=project.pk, bundles=bundles)
    workflow = Workflow.objects.get()
    assert (workflow.created_by, list(workflow.owners.all())) == (developer, [developer])
    assert list(Task.objects.get().owners.all()) == [developer]


@pytest.mark.feature("P1", "P2")
def test_importing_takes_the_right_to_develop(project: Project) -> None:
    bundles = parse_bundle(file_of(("a", "")), "f.yaml")
    with pytest.raises(Forbidden):
        import_bundles(
            actor=make_member(project, Role.VIEWER), project_id=project.pk, bundles=bundles
        )
    with pytest.raises(NotFound):
        import_bundles(actor=make_user(), project_id=project.pk, bundles=bundles)
    assert not Workflow.objects.exists()


def test_the_number_of_queries_does_not_depend_on_the_number_of_tasks(project: Project) -> None:
    counts = []
    for size in (2, 20):
        texts = [
            file_of(*((f"t{number}", "") for number in range(size)), name=f"{size}_{flow}")
            for flow in range(size)
        ]
        with CaptureQueriesContext(connection) as first:
            bring_in(project, *texts, submit=True)
        task = Task.objects.filter(workflow__name=f"{size}_0").first()
        save_draft(actor=None, task_id=task.pk, draft={**task.draft, "priority": 8})
        with CaptureQueriesContext(connection) as again:
            bring_in(project, *texts, submit=True)
        with CaptureQueriesContext(connection) as export:
            export_workflows(Workflow.objects.values_list("pk", flat=True), actor=None)
        counts.append((len(first), len(again), len(export)))
    assert counts[0] == counts[1]


class TestCommands:
    """The two commands, as they are typed."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "seattle.yaml"
        path.write_text(SEATTLE, encoding="utf-8")
        return path

    def run(self, *arguments: object, name: str = "import_workflows") -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command(name, *map(str, arguments), stdout=out, stderr=err, no_color=True)
        except SystemExit as end:
            code = int(end.code or 0)
        return code, out.getvalue(), err.getvalue()

    def test_import_submit_and_export(self, project: Project, file: Path, tmp_path: Path) -> None:
        code, out, err = self.run(file, "--project", "seattle", "--submit")
        assert (code, err) == (0, "")
        assert out == ("seattle_temperatures: created; 3 tasks created\nSubmission: 3 submitted\n")
        code, out, err = self.run(name="export_workflows")
        assert (code, out, err) == (0, SEATTLE, "")
        code, out, err = self.run(
            "--project", "seattle", "--output", tmp_path / "out", name="export_workflows"
        )
        written = tmp_path / "out" / "seattle" / "seattle_temperatures.yaml"
        assert (code, out) == (0, f"{written}\n")
        assert written.read_text(encoding="utf-8") == SEATTLE

    def test_names_that_make_one_file_name_make_two_files(self, tmp_path: Path) -> None:
        project = make_project("p")
        first = make_workflow("a b", project=project)
        second = make_workflow("a:b", project=project)
        assert self.run("--output", tmp_path, name="export_workflows")[0] == 0
        texts = {path.read_text(encoding="utf-8") for path in (tmp_path / "p").iterdir()}
        assert texts == {export_workflow(one, actor=None) for one in (first, second)}

    def test_a_dry_run_saves_nothing(self, project: Project, file: Path) -> None:
        code, out, _ = self.run(file, "--project", "seattle", "--submit", "--dry-run")
        assert code == 0
        assert out.endswith("This was a dry run: nothing has been saved.\n")
        assert not Workflow.objects.exists()

    def test_a_project_is_made_when_asked(self, file: Path) -> None:
        file.write_text(file_of(("a", "")), encoding="utf-8")
        code, _, err = self.run(file, "--project", "new")
        assert (code, err) == (2, "There is no project “new”: --create-project makes it.\n")
        assert self.run(file, "--project", "new", "--create-project")[0] == 0
        assert Workflow.objects.get().project.name == "new"

    def test_a_refused_import_makes_no_project(self, file: Path) -> None:
        file.write_text(file_of(("a", "ghost")), encoding="utf-8")
        arguments = (file, "--project", "new", "--create-project", "--submit")
        code, _, err = self.run(*arguments)
        assert (code, err) == (
            2,
            f"{file}:4: tasks.a.depends_on.0: There is no task “ghost”.\n",
        )
        assert not Project.objects.exists()

    def test_all_files_are_read_before_anything_is_told(
        self, project: Project, file: Path, tmp_path: Path
    ) -> None:
        broken, latin = tmp_path / "broken.yaml", tmp_path / "latin.yaml"
        broken.write_text("tidemill: 1\nworkflow: [", encoding="utf-8")
        latin.write_bytes(b"tidemill: 1\nworkflow: caf\xe9\n")
        missing = tmp_path / "missing.yaml"
        code, out, err = self.run(file, broken, latin, missing, "--project", "seattle")
        assert (code, out) == (2, "")
        assert err.splitlines() == [
            f"{broken}:3: This is not YAML: did not find expected node content.",
            f"{latin}:2: This is not UTF-8.",
            f"{missing}:0: No such file or directory",
        ]
        assert not Workflow.objects.exists()

    @pytest.mark.feature("P2")
    def test_a_user_has_their_rights_and_no_more(self, project: Project, file: Path) -> None:
        make_user("eve")
        make_member(project, Role.VIEWER, user=make_user("vic"))
        assert self.run(file, "--project", "seattle", "--user", "eve")[0] == 2
        assert self.run(file, "--project", "seattle", "--user", "vic")[0] == 2
        assert self.run(file, "--project", "seattle", "--user", "nobody")[2] == (
            "There is no active user “nobody”.\n"
        )
        assert self.run(file, "--project", "new", "--user", "ada", "--create-project")[0] == 2
        assert not Workflow.objects.exists()
        assert self.run(file, "--project", "seattle", "--user", "ada")[0] == 0

    def test_an_unknown_workflow_is_not_exported(self) -> None:
        make_workflow("a")
        code, out, err = self.run("--workflow", "a", "--workflow", "b", name="export_workflows")
        assert (code, out, err) == (2, "", "There is no workflow b.\n")
