"""How folders, workflows, tasks, versions and dependencies are shown over the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows.choices import CYCLE_CHOICES, OFFSET_CHOICES, SCOPE_CHOICES, TaskStatus
from workflows.definitions.closed_references import Cover
from workflows.editing.revisions import revision_of
from workflows.models import Dependency, Folder, Task, TaskVersion, Workflow


class NamedObject(serializers.Serializer):
    """An object by id and name."""

    id = serializers.IntegerField()
    name = serializers.CharField()


REVISION_HELP = "Send it with a change: 409 when somebody else was faster."


class FolderAnswer(serializers.ModelSerializer):
    """A folder."""

    revision = serializers.SerializerMethodField(help_text=REVISION_HELP)

    class Meta:
        model = Folder
        fields = ["id", "project", "parent", "name", "path", "revision"]

    def get_revision(self, folder: Folder) -> str:
        return revision_of(folder)


class WorkflowAnswer(serializers.ModelSerializer):
    """A workflow, and how its tasks stand."""

    project = NamedObject()
    revision = serializers.SerializerMethodField(help_text=REVISION_HELP)
    folder_path = serializers.CharField(source="folder.path", default="")
    owners = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    tasks = serializers.SerializerMethodField(help_text="Tasks by status.")
    first_submitted_at = serializers.SerializerMethodField()
    last_submitted_at = serializers.SerializerMethodField()

    class Meta:
        model = Workflow
        fields = [
            "id",
            "project",
            "folder",
            "folder_path",
            "name",
            "description",
            "time_zone",
            "owners",
            "tasks",
            "first_submitted_at",
            "last_submitted_at",
            "created_by",
            "created_at",
            "updated_at",
            "revision",
        ]

    def get_revision(self, workflow: Workflow) -> str:
        return revision_of(workflow)

    def get_owners(self, workflow: Workflow) -> list[str]:
        return [user.get_username() for user in workflow.owners.all()]

    @extend_schema_field(serializers.DictField(child=serializers.IntegerField()))
    def get_tasks(self, workflow: Workflow) -> dict[str, int]:
        counts = self._facts(workflow).get("tasks", {})
        return {status.value: counts.get(status.value, 0) for status in TaskStatus}

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_first_submitted_at(self, workflow: Workflow) -> Any:
        return self._facts(workflow).get("first_submitted_at")

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_last_submitted_at(self, workflow: Workflow) -> Any:
        return self._facts(workflow).get("last_submitted_at")

    def _facts(self, workflow: Workflow) -> dict[str, Any]:
        found: dict[str, Any] = self.context.get("workflows", {}).get(workflow.pk, {})
        return found


class TaskAnswer(serializers.ModelSerializer):
    """A task, and what of it is in operations."""

    workflow = NamedObject()
    project = NamedObject()
    folder = serializers.CharField(source="workflow.folder.path", default="")
    status = serializers.ChoiceField(
        choices=TaskStatus.choices, source="effective_status", help_text="INVALID included."
    )
    version = serializers.IntegerField(
        source="version.number", default=None, allow_null=True, help_text="Null: never submitted."
    )
    cycle = serializers.ChoiceField(choices=CYCLE_CHOICES, allow_blank=True)
    resource_group = serializers.CharField(
        source="resource_group.name", default=None, allow_null=True
    )
    owners = serializers.SerializerMethodField()
    first_run_at = serializers.DateTimeField(
        allow_null=True, help_text="The start of its first scheduled instance; plans do not count."
    )
    created_at = serializers.DateTimeField(
        source="first_submitted_at", allow_null=True, help_text="Its first submission."
    )
    drafted_at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = Task
        fields = [
            "id",
            "name",
            "workflow",
            "project",
            "folder",
            "position",
            "status",
            "version",
            "type",
            "cycle",
            "priority",
            "resource_group",
            "effective_from",
            "effective_until",
            "self_dependent",
            "max_parallel",
            "next_fire_at",
            "generated_until",
            "generation_error",
            "last_submitted_at",
            "first_run_at",
            "owners",
            "created_at",
            "drafted_at",
            "updated_at",
        ]

    def get_owners(self, task: Task) -> list[str]:
        return [user.get_username() for user in task.owners.all()]


class TaskDetail(TaskAnswer):
    """A task with its draft."""

    draft = serializers.SerializerMethodField(help_text="The definition as it is being edited.")
    revision = serializers.SerializerMethodField(help_text=REVISION_HELP)

    class Meta(TaskAnswer.Meta):
        fields = [*TaskAnswer.Meta.fields, "draft", "revision"]

    def get_revision(self, task: Task) -> str:
        return revision_of(task)

    @extend_schema_field(serializers.DictField())
    def get_draft(self, task: Task) -> dict[str, Any]:
        cover: Cover = self.context["cover"]
        return cover.covered(task.pk, task.draft)


class VersionAnswer(serializers.ModelSerializer):
    """A submitted version."""

    submitted_by = serializers.CharField(
        source="submitted_by.username", default=None, allow_null=True
    )

    class Meta:
        model = TaskVersion
        fields = [
            "id",
            "task",
            "number",
            "type",
            "cycle",
            "time_zone",
            "comment",
            "submitted_by",
            "submitted_at",
        ]


class VersionDetail(VersionAnswer):
    """A version with its definition."""

    definition = serializers.SerializerMethodField()

    class Meta(VersionAnswer.Meta):
        fields = [*VersionAnswer.Meta.fields, "definition"]

    @extend_schema_field(serializers.DictField())
    def get_definition(self, version: TaskVersion) -> dict[str, Any]:
        cover: Cover = self.context["cover"]
        return cover.covered(version.task_id, version.definition)


class FieldDifferenceAnswer(serializers.Serializer):
    """A field that differs between two definitions."""

    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True, help_text="Null: the default.")
    after = serializers.JSONField(allow_null=True, help_text="Null: the default.")
    lines = serializers.ListField(child=serializers.CharField(), help_text="A unified diff.")


class DiffAnswer(serializers.Serializer):
    """What differs between two versions."""

    before = serializers.IntegerField(allow_null=True, help_text="Null: nothing came before.")
    after = serializers.IntegerField()
    differences = FieldDifferenceAnswer(many=True)


class FireAnswer(serializers.Serializer):
    """A planned time."""

    scheduled_at = serializers.DateTimeField(help_text="With the task's offset.")
    data_time = serializers.CharField(help_text="Local: YYYY-MM-DD HH:MM:SS.")


class FiresAnswer(serializers.Serializer):
    """The next planned times of a schedule."""

    schedule = serializers.CharField(help_text="In words.")
    fires = FireAnswer(many=True)


class ParametersAnswer(serializers.Serializer):
    """What the parameters of a task are on a date."""

    scheduled_at = serializers.DateTimeField()
    data_date = serializers.DateField()
    is_planned = serializers.BooleanField(help_text="Whether the schedule has this time.")
    parameters = serializers.DictField(child=serializers.CharField())
    built_ins = serializers.DictField(child=serializers.CharField())


class EndAnswer(serializers.Serializer):
    """One end of a dependency. Of a project that you do not see there is the id alone."""

    visible = serializers.BooleanField()
    id = serializers.IntegerField()
    name = serializers.CharField()
    workflow = serializers.CharField()
    project = serializers.IntegerField(allow_null=True)


class DependencyAnswer(serializers.ModelSerializer):
    """`downstream` waits for `upstream`."""

    upstream = serializers.SerializerMethodField()
    downstream = serializers.SerializerMethodField()
    offset = serializers.ChoiceField(choices=OFFSET_CHOICES)
    scope = serializers.ChoiceField(choices=SCOPE_CHOICES)

    class Meta:
        model = Dependency
        fields = ["id", "upstream", "downstream", "offset", "scope"]

    @extend_schema_field(EndAnswer)
    def get_upstream(self, dependency: Dependency) -> dict[str, Any]:
        return self._end(dependency.upstream)

    @extend_schema_field(EndAnswer)
    def get_downstream(self, dependency: Dependency) -> dict[str, Any]:
        return self._end(dependency.downstream)

    def _end(self, task: Task) -> dict[str, Any]:
        shown = self.context["sight"].facts(
            task.project_id,
            name=task.name,
            workflow=task.workflow.name,
            project=task.project_id,
        )
        return {"id": task.pk, **shown}


class ImportedAnswer(serializers.Serializer):
    """What an import did to one workflow: tasks by name."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    created = serializers.BooleanField()
    changed = serializers.BooleanField()
    tasks_created = serializers.ListField(child=serializers.CharField())
    tasks_changed = serializers.ListField(child=serializers.CharField())
    tasks_unchanged = serializers.ListField(child=serializers.CharField())
    tasks_left = serializers.ListField(child=serializers.CharField())
    tasks_deleted = serializers.ListField(child=serializers.CharField())


class ImportAnswer(serializers.Serializer):
    """What an import did."""

    operation = serializers.IntegerField(source="operation_id")
    workflows = ImportedAnswer(many=True)
    submitted = serializers.IntegerField(help_text="Tasks that were submitted along.")
