"""What the rivals of a race do: each one call, each its own transaction."""

from __future__ import annotations

from django.db import transaction

from instances import transitions
from instances.engine.completion import Result, complete
from instances.engine.creation import NewInstance, create_instances
from instances.engine.settling import set_going
from instances.models import Execution, Instance
from instances.states import LIVE
from projects.ground import clock
from projects.models import ResourceGroup
from tests.support.engine import LEASE


def claim(execution_id: int, worker: str = "worker") -> list[int]:
    """Claim an execution as a worker does."""
    with transaction.atomic():
        now = clock.now()
        groups = list(ResourceGroup.objects.values_list("name", flat=True))
        return transitions.claim_executions(
            groups, room=1, only=[execution_id], worker=worker, lease_until=now + LEASE, now=now
        )


def claim_instance(instance: Instance, worker: str = "worker") -> list[int]:
    """Claim whatever execution of the instance is live."""
    execution = live_execution(instance)
    return claim(execution, worker) if execution else []


def live_execution(instance: Instance) -> int | None:
    """Return the instance's live execution."""
    live = Execution.objects.filter(instance=instance, state__in=LIVE)
    return live.values_list("pk", flat=True).first()


def finish(execution_id: int, error_code: str = "") -> list[int]:
    """Report an execution's end as a worker does."""
    return complete([Result(execution_id, error_code)], now=clock.now())


def create(*rows: NewInstance) -> list[int]:
    """Make periodic instances and set them going, as generation does."""
    with transaction.atomic():
        ids = create_instances(rows, now=clock.now(), batch_id=None)
    set_going(ids)
    return ids
