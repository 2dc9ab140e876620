"""Writing the operation record (P3): in bulk, in the transaction of the change, under one id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import (
    Case,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)

from projects.access import Actor, is_unbounded, operations_of, projects_with
from projects.ground import clock
from projects.ground.refusals import Refusal
from projects.models import Operation, OperationObject, OperationPart

_COUNTS = ("total", "succeeded", "refused")


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one object: `code` and `detail` say why when it was refused.

    A `detail` without a refusal says what is still to come. project_id: None for what the actor
    does not see.
    """

    id: int
    ok: bool = True
    code: str = ""
    detail: str = ""
    label: str = ""
    object_type: str = ""  # empty: that of the operation
    project_id: int | None = None
    refusal: Refusal | None = None  # what is raised when it was the only object; not recorded


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What an operation did, object by object, and the id of its record.

    One of `pending` objects runs in the background: there are no outcomes yet.
    """

    operation_id: int
    outcomes: Sequence[ItemOutcome] = field(default_factory=tuple)
    pending: int = 0

    @property
    def succeeded(self) -> list[ItemOutcome]:
        return [outcome for outcome in self.outcomes if outcome.ok]

    @property
    def refused(self) -> list[ItemOutcome]:
        return [outcome for outcome in self.outcomes if not outcome.ok]


def record(
    *,
    actor: Actor,
    verb: str,
    object_type: str,
    outcomes: Iterable[ItemOutcome],
    project_id: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> BatchResult:
    """Write one operation with its objects; call it inside the transaction of the change.

    project_id: that of all objects; without it each outcome says its own. One query for the
    operation, one for the projects when there are several, one for each 5,000 objects.
    """
    listed = tuple(outcomes)
    succeeded = sum(outcome.ok for outcome in listed)
    projects = {one.project_id for one in listed} - {None}
    if project_id is None and len(projects) == 1:
        (project_id,) = projects
    operation = Operation.objects.create(
        actor=actor,
        project_id=project_id,
        verb=verb,
        options=dict(options or {}),
        total=len(listed),
        succeeded=succeeded,
        refused=len(listed) - succeeded,
        ended_at=clock.now(),
    )
    if project_id is None and projects:
        OperationPart.objects.bulk_create(
            OperationPart(
                operation=operation,
                project_id=one,
                total=done + left,
                succeeded=done,
                refused=left,
            )
            for one, (done, left) in counts_by_project(listed).items()
        )
    OperationObject.objects.bulk_create(
        [
            OperationObject(
                operation=operation,
                object_type=outcome.object_type or object_type,
                object_id=outcome.id,
                project_id=outcome.project_id or project_id,
                label=outcome.label[:255],
                ok=outcome.ok,
                code=outcome.code,
                detail=outcome.detail,
            )
            for outcome in listed
        ],
        batch_size=5000,
    )
    return BatchResult(operation.pk, listed)


def seen_operations(actor: Actor) -> QuerySet[Operation]:
    """Return the operations that the actor may read.

    `seen_total`, `seen_succeeded` and `seen_refused` count the objects that the actor sees: those
    of an operation over several projects in some of them only.
    """
    rows = operations_of(actor)
    if is_unbounded(actor):
        return rows.annotate(**{f"seen_{name}": F(name) for name in _COUNTS})
    parts = OperationPart.objects.filter(operation=OuterRef("pk"), project__in=projects_with(actor))
    is_part = Q(project=None) & ~Q(actor=actor.pk)
    return rows.annotate(
        **{
            f"seen_{name}": Case(
                When(is_part, then=_sum_of(parts, name)),
                default=F(name),
                output_field=IntegerField(),
            )
            for name in _COUNTS
        }
    )


def seen_objects(actor: Actor, operation: Operation) -> QuerySet[OperationObject]:
    """Return those objects of an operation that the actor sees: all of them, or their part."""
    rows = OperationObject.objects.filter(operation=operation)
    is_whole = is_unbounded(actor) or operation.project_id is not None
    if is_whole or operation.actor_id == actor.pk:
        return rows
    return rows.filter(project__in=projects_with(actor))


def _sum_of(parts: QuerySet[OperationPart], name: str) -> Subquery:
    sums = parts.order_by().values("operation").annotate(sum=Sum(name)).values("sum")
    return Subquery(sums)


def counts_by_project(outcomes: Iterable[ItemOutcome]) -> dict[int, tuple[int, int]]:
    """Return {project: (succeeded, refused)} of the outcomes in projects that the actor sees."""
    counts = Counter((one.project_id, one.ok) for one in outcomes if one.project_id is not None)
    return {
        project: (counts[project, True], counts[project, False])
        for project in sorted({project for project, _ in counts})
    }
