"""A backfill plan: which tasks are run over which dates, under which rules."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import Q

from backfill.states import OVER, STORED, PlanState
from instances.models import Batch
from projects.ground.words import gettext_lazy
from projects.models import Project
from projects.models.project import validate_name


class Plan(models.Model):
    """One plan. `spec` is the mapping of a backfill.spec.PlanSpec, as it was saved.

    Only transitions.py writes its state.
    """

    project = models.ForeignKey(
        Project,
        verbose_name=gettext_lazy("project"),
        on_delete=models.CASCADE,
        related_name="plans",
        db_index=False,
    )
    name = models.CharField(gettext_lazy("name"), max_length=100, validators=[validate_name])
    description = models.TextField(
        gettext_lazy("description"), blank=True, validators=[MaxLengthValidator(256)]
    )
    spec = models.JSONField(default=dict)
    state = models.CharField(
        max_length=24, choices=PlanState.choices, default=PlanState.DRAFT, editable=False
    )
    batch = models.OneToOneField(
        Batch, null=True, editable=False, on_delete=models.PROTECT, related_name="plan"
    )
    # Fixed at submission: planned = instances + skips (design §5.7).
    task_count = models.PositiveIntegerField(default=0, editable=False)
    planned_count = models.PositiveIntegerField(default=0, editable=False)
    # Expansion's progress: cells dealt with so far, in their fixed order.
    expanded_count = models.PositiveIntegerField(default=0, editable=False)
    # When its last chunk was made: whose was longest ago is next.
    expanded_at = models.DateTimeField(null=True, editable=False)
    first_data_date = models.DateField(null=True, editable=False)
    last_data_date = models.DateField(null=True, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    submitted_at = models.DateTimeField(null=True, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)
    # Its instances by end, once it is over and they were counted.
    succeeded_count = models.PositiveIntegerField(null=True, editable=False)
    failed_count = models.PositiveIntegerField(null=True, editable=False)

    class Meta:
        verbose_name = gettext_lazy("plan")
        verbose_name_plural = gettext_lazy("backfill plans")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"],
                name="plan_name_in_project",
                violation_error_message=gettext_lazy(
                    "The project has a plan of this name already."
                ),
            ),
            models.CheckConstraint(
                condition=Q(state__in=sorted(STORED)), name="plan_state_is_stored"
            ),
            models.CheckConstraint(
                condition=Q(state=PlanState.DRAFT, batch__isnull=True, submitted_at__isnull=True)
                | (~Q(state=PlanState.DRAFT) & Q(batch__isnull=False, submitted_at__isnull=False)),
                name="plan_has_a_batch_once_submitted",
            ),
            models.CheckConstraint(
                condition=Q(state__in=sorted(OVER), ended_at__isnull=False)
                | (
                    ~Q(state__in=sorted(OVER))
                    & Q(
                        ended_at__isnull=True,
                        succeeded_count__isnull=True,
                        failed_count__isnull=True,
                    )
                ),
                name="plan_ended_when_over",
            ),
            models.CheckConstraint(
                condition=Q(expanded_count=models.F("planned_count"))
                | (
                    Q(expanded_count__lt=models.F("planned_count"))
                    & ~Q(state__in=[PlanState.COMPLETED, PlanState.RUNNING])
                ),
                name="plan_runs_when_all_is_made",
            ),
        ]
        indexes = [
            # The plans to watch.
            models.Index(
                fields=["id"],
                name="plan_active",
                condition=Q(state__in=["expanding", "running"]),
            ),
            # Expansion: the plans with cells left, the next one first.
            models.Index(
                models.F("expanded_at").asc(nulls_first=True),
                "id",
                name="plan_to_expand",
                condition=Q(state="expanding")
                | Q(state="terminated", expanded_count__lt=models.F("planned_count")),
            ),
        ]

    def __str__(self) -> str:
        return self.name
