"""A task: the draft people edit, and what of it is in operations."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from projects.ground.words import gettext_lazy
from projects.models import Project, ResourceGroup
from projects.models.project import validate_name
from workflows.choices import CYCLE_CHOICES, Priority, TaskStatus
from workflows.models.workflow import Workflow


class Task(models.Model):
    """A unit of work. `draft` is a definition's mapping; `version` is the submitted one.

    The columns from `type` to `max_parallel` repeat the submitted version's fields, so that lists
    filter and sort and the engine reads limits without opening JSON. Submission alone writes them;
    a task that was never submitted has its draft's type.
    """

    project = models.ForeignKey(
        Project,
        verbose_name=gettext_lazy("project"),
        on_delete=models.CASCADE,
        related_name="tasks",
        db_index=False,
    )
    workflow = models.ForeignKey(
        Workflow, on_delete=models.CASCADE, related_name="tasks", db_index=False
    )
    name = models.CharField(gettext_lazy("name"), max_length=100, validators=[validate_name])
    draft = models.JSONField(default=dict)
    position = models.PositiveIntegerField(default=0, help_text="Its place in the workflow's file.")
    status = models.CharField(
        max_length=16, choices=TaskStatus.choices, default=TaskStatus.DRAFT, editable=False
    )
    version = models.ForeignKey(
        "workflows.TaskVersion",
        null=True,
        blank=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="+",
    )
    owners = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="owned_tasks"
    )

    type = models.CharField(gettext_lazy("type"), max_length=64, editable=False, default="")
    cycle = models.CharField(max_length=16, choices=CYCLE_CHOICES, blank=True, editable=False)
    priority = models.PositiveSmallIntegerField(
        choices=Priority.choices, default=Priority.NORMAL, editable=False
    )
    resource_group = models.ForeignKey(
        ResourceGroup,
        verbose_name=gettext_lazy("resource group"),
        null=True,
        editable=False,
        on_delete=models.PROTECT,
        related_name="tasks",
    )
    effective_from = models.DateTimeField(null=True, editable=False)
    effective_until = models.DateTimeField(null=True, editable=False)
    self_dependent = models.BooleanField(default=False, editable=False)
    max_parallel = models.PositiveIntegerField(
        null=True, editable=False, help_text="Executions of the task at a time; empty: no limit."
    )

    # Since when the schedule counts: slots before it were never owed, so nobody waits for them.
    scheduling_since = models.DateTimeField(null=True, editable=False)
    # When it was taken offline, while it is: slots after it are not owed either.
    scheduling_until = models.DateTimeField(null=True, editable=False)
    # Left by whoever makes the task owe less: who waits for one of its slots after this instant
    # may wait in vain. Generation looks, releases them, and takes the mark away.
    owing_changed_since = models.DateTimeField(null=True, editable=False)
    # Generation's watermark: every fire up to here has been dealt with; the next one is due then.
    generated_until = models.DateTimeField(null=True, editable=False)
    next_fire_at = models.DateTimeField(null=True, editable=False)
    # Why generation leaves the task out, although it is due; empty while all is well.
    generation_error = models.TextField(blank=True, db_default="", editable=False)

    first_submitted_at = models.DateTimeField(null=True, editable=False)
    last_submitted_at = models.DateTimeField(null=True, editable=False)
    first_run_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = gettext_lazy("task")
        verbose_name_plural = gettext_lazy("tasks")
        ordering = ["workflow_id", "position", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["workflow", "name"],
                name="task_name_in_workflow",
                violation_error_message=gettext_lazy(
                    "The workflow has a task of this name already."
                ),
            ),
            models.CheckConstraint(
                condition=~Q(status="INVALID"), name="task_invalid_is_never_stored"
            ),
            models.CheckConstraint(
                condition=Q(status="DRAFT") | Q(version__isnull=False),
                name="task_in_operations_has_a_version",
            ),
        ]
        indexes = [
            # Generation: the tasks that are due.
            models.Index(
                fields=["next_fire_at"], name="task_due", condition=Q(status="SCHEDULING")
            ),
            # Dispatch: the tasks that have a limit of their own.
            models.Index(
                fields=["id"], name="task_limited", condition=Q(max_parallel__isnull=False)
            ),
            # Generation: the tasks that owe less than they did, and those that it has to leave out.
            models.Index(
                fields=["id"], name="task_owes_less", condition=Q(owing_changed_since__isnull=False)
            ),
            models.Index(fields=["id"], name="task_left_out", condition=~Q(generation_error="")),
            # Task list of a project by status.
            models.Index(fields=["project", "status", "name"], name="task_of_project"),
        ]

    def __str__(self) -> str:
        return self.name
