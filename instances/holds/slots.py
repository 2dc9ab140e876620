"""Who fills a slot, and what a ready instance waits for: its group, its task, a worker.

An execution fills a slot of its group, and of its task when that has a limit of its own, from the
moment it is sent until it has ended. That can be told by its state or by its end (a CHECK ties the
two), and which of them a statement asks by decides which index it may read.
"""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from instances.holds.hold import Asked, Blocker, Hold, Stage
from instances.states import LIVE, listed

# SQL, for an execution `x`: it fills a slot. By the index over what is live.
FILLS = f"x.state IN ({listed(LIVE)})"
# The same by another column: for who must not read that index from its beginning (seen.py).
FILLS_STILL = "x.ended_at IS NULL"
# The same of a task's executions, by their own index.
FILLS_OF_TASK = "x.task_id > 0 AND x.ended_at IS NULL"


def _group(asked: Asked) -> list[Blocker]:
    group = asked.instance.resource_group
    text = ngettext(
        "The {count} slot of the resource group {group} is in use.",
        "All {count} slots of the resource group {group} are in use.",
        group.slots,
    )
    return [Blocker(text.format(count=group.slots, group=group.name))]


def _task(asked: Asked) -> list[Blocker]:
    limit = asked.instance.task.max_parallel
    text = _("Its task runs {limit} at a time at most, and as many are running.")
    return [Blocker(text.format(limit=limit))]


def _worker(asked: Asked) -> list[Blocker]:
    group = asked.instance.resource_group.name
    text = _("It was sent to the workers of {group}; none has started it yet.")
    return [Blocker(text.format(group=group))]


SLOT = Hold(
    "slot",
    Stage.SLOT,
    f"""i.dispatched_at IS NULL AND (
            SELECT count(*) FROM instances_execution x
            WHERE x.resource_group_id = i.resource_group_id AND {FILLS}
        ) >= (SELECT g.slots FROM projects_resourcegroup g WHERE g.id = i.resource_group_id)""",
    _group,
)

TASK_LIMIT = Hold(
    "task_limit",
    Stage.SLOT,
    f"""i.dispatched_at IS NULL AND coalesce((
            SELECT count(*) FROM instances_execution x
            WHERE x.task_id = i.task_id AND {FILLS_OF_TASK}
        ) >= (SELECT t.max_parallel FROM workflows_task t WHERE t.id = i.task_id), false)""",
    _task,
)

# It has its slot, and waits for a worker to start it.
WORKER = Hold("worker", Stage.SLOT, "i.dispatched_at IS NOT NULL", _worker)
