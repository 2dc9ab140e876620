"""A task whose type came with a package that is gone: visible, controllable, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import EntryPoint

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from instances.engine.completion import complete
from instances.engine.generation import generate
from instances.error_codes import ErrorCode
from instances.models import Instance
from instances.states import State
from instances.worker.execution import begin
from projects.ground import clock
from projects.ground.fields.field import Field, Kind
from tests.factories import make_submitted_task
from tests.support.engine import Engine, state_of
from workflows.bundles.exporting import export_workflow
from workflows.bundles.problems import BundleError
from workflows.bundles.schema import parse_bundle
from workflows.definitions import task_types as module
from workflows.definitions.task_types import TaskType, task_types
from workflows.definitions.version_loading import forget
from workflows.models import Task
from workflows.verbs.submit import SubmissionRefused, submit_tasks
from workflows.verbs.task_status import pause, start

pytestmark = pytest.mark.feature("T10")

SPARK = TaskType(
    name="spark",
    label="Spark",
    help="A Spark job.",
    code_language="sql",
    config=(Field(name="cores", help="Cores.", kind=Kind.INTEGER, default=1),),
)


@pytest.fixture
def orphan(engine: Engine) -> Iterator[Task]:
    """A task in operations whose type's package is gone."""
    entry_point = EntryPoint("spark", f"{__name__}:SPARK", module.ENTRY_POINT_GROUP)
    task_types.cache_clear()
    with pytest.MonkeyPatch.context() as installed:
        installed.setattr(module, "entry_points", lambda group: [entry_point])
        task = make_submitted_task("orphan", type="spark", config={"cores": 4}, code="SELECT 1")
    task_types.cache_clear()
    forget()
    yield task
    forget()


def test_it_is_still_shown_exported_and_controlled(orphan: Task, client: Client) -> None:
    assert pause(actor=None, ids=[orphan.pk]).outcomes[0].ok
    assert start(actor=None, ids=[orphan.pk]).outcomes[0].ok
    text = export_workflow(orphan.workflow, actor=None)
    assert "type: spark" in text
    assert "cores: 4" in text
    client.force_login(get_user_model().objects.create_superuser("root"))
    for path in (
        "/admin/workflows/task/",
        f"/admin/workflows/task/{orphan.pk}/change/",
        f"/admin/workflows/task/{orphan.pk}/edit/",
        f"/admin/workflows/workflow/{orphan.workflow_id}/change/",
        "/api/v1/tasks/",
        f"/api/v1/tasks/{orphan.pk}/",
        f"/api/v1/workflows/{orphan.workflow_id}/",
    ):
        assert client.get(path, follow=True).status_code == 200, path


def test_nothing_new_is_made_of_it(orphan: Task) -> None:
    with pytest.raises(SubmissionRefused) as refusal:
        submit_tasks(actor=None, ids=[orphan.pk])
    assert list(refusal.value.fields) == [f"{orphan.workflow.name}/orphan.type"]
    assert "There is no task type “spark”" in str(refusal.value)
    with pytest.raises(BundleError, match=r"orphan\.type: There is no task type “spark”"):
        parse_bundle(export_workflow(orphan.workflow, actor=None), "workflow.yaml")


def test_its_instances_fail_by_a_code_that_says_so_and_hold_up_no_other(
    orphan: Task, engine: Engine
) -> None:
    healthy = make_submitted_task("healthy", workflow=orphan.workflow)
    now = clock.now()
    Task.objects.update(generated_until=now - timedelta(days=2), next_fire_at=now)
    with engine.committing():
        assert generate(now=now) >= 2
    instance = Instance.objects.filter(task=orphan).latest("scheduled_at")
    execution = engine.start(instance)
    assert execution is not None
    (attempt,) = begin([execution], worker="worker")
    assert attempt.refusal is not None
    assert attempt.refusal.error_code == ErrorCode.UNKNOWN_TASK_TYPE
    with engine.committing():
        complete([attempt.refusal], now=clock.now())
    assert state_of(instance) in {State.FAILED, State.RETRYING}
    engine.run(Instance.objects.filter(task=healthy).latest("scheduled_at"))
