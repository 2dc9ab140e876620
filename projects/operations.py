"""Writing the operation record (P3): in bulk, in the transaction of the change, under one id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from projects.access import Actor
from projects.models import Operation, OperationObject


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one object: `code` and `detail` say why when it was refused."""

    id: int
    ok: bool = True
    code: str = ""
    detail: str = ""
    label: str = ""
    object_type: str = ""  # empty: that of the operation


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What an operation did, object by object, and the id of its record."""

    operation_id: int
    outcomes: Sequence[ItemOutcome] = field(default_factory=tuple)

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

    One query for the operation and one for each 5,000 objects.
    """
    listed = tuple(outcomes)
    succeeded = sum(outcome.ok for outcome in listed)
    operation = Operation.objects.create(
        actor=actor,
        project_id=project_id,
        verb=verb,
        options=dict(options or {}),
        succeeded=succeeded,
        refused=len(listed) - succeeded,
    )
    OperationObject.objects.bulk_create(
        [
            OperationObject(
                operation=operation,
                object_type=outcome.object_type or object_type,
                object_id=outcome.id,
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
