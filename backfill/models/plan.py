"""A backfill plan: which tasks are run over which dates, under which rules."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models

from backfill.states import ACTIVE, PlanState
from instances.models import Batch
from projects.models import Project
from projects.models.project import validate_name


class Plan(models.Model):
    """One plan. `spec` is the mapping of a backfill.spec.PlanSpec, as it was saved."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="plans")
    name = models.CharField(max_length=100, validators=[validate_name])
    description = models.TextField(blank=True, validators=[MaxLengthValidator(256)])
    spec = models.JSONField(default=dict)
    state = models.CharField(
        max_length=16, choices=PlanState.choices, default=PlanState.DRAFT, editable=False
    )
    batch = models.OneToOneField(
        Batch, null=True, editable=False, on_delete=models.PROTECT, related_name="plan"
    )
    # Fixed at submission: planned = instances + skips (design §5.7).
    task_count = models.PositiveIntegerField(default=0, editable=False)
    planned_count = models.PositiveIntegerField(default=0, editable=False)
    # Expansion's progress: cells dealt with so far, in their fixed order.
    expanded_count = models.PositiveIntegerField(default=0, editable=False)
    first_data_date = models.DateField(null=True, editable=False)
    last_data_date = models.DateField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="plan_name_in_project",
                violation_error_message="The project has a plan of this name already.",
            ),
        ]
        indexes = [
            # The plans to expand and to watch.
            models.Index(
                fields=["id"],
                name="plan_active",
                condition=models.Q(state__in=["expanding", "running"]),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def shown_state(self) -> PlanState:
        """The stored state, or PAUSED: an active plan's whose batch is paused."""
        paused = self.batch is not None and self.batch.paused_at is not None
        return PlanState.PAUSED if paused and self.state in ACTIVE else PlanState(self.state)
