"""Start, pause and take offline: what of a task's schedule is in force (T2, T3)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from django.db import connection
from django.db.models import DateTimeField, Value
from django.db.models.functions import Least

from projects.ground import clock
from projects.ground.words import gettext_lazy, pgettext_lazy
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection
from workflows.choices import TaskStatus
from workflows.definitions.version_loading import load_definitions
from workflows.models import Task
from workflows.schedules import next_fire
from workflows.verbs.noun import TASKS

_OUT = gettext_lazy("makes no more instances, and only a new submission brings it back")


@declare(
    TASKS,
    "start",
    title=pgettext_lazy("verb", "Start"),
    done=gettext_lazy("started"),
    icon="play_arrow",
    place=2,
    alternate=True,
    warning=gettext_lazy(
        "What the pause left out is not made up for: it is for a backfill to fill."
    ),
    effects={
        TaskStatus.PAUSED: gettext_lazy(
            "makes instances from now on; those of the pause are not made up for"
        )
    },
)
def start(selection: Selection) -> list[ItemOutcome]:
    """Start PAUSED tasks: fires after now make instances, those of the pause never do.

    What the pause left out stays owed to whom waits for it (`scheduling_since` is not touched): it
    is for a backfill to fill.
    """
    now = clock.now()
    rows = Task.objects.filter(pk__in=selection.rows, version__isnull=False)
    versions = dict(rows.values_list("pk", "version_id"))
    definitions = load_definitions(versions.values())
    _put_into_force(
        {pk: next_fire(definitions[version].schedule, now) for pk, version in versions.items()},
        now,
    )
    return selection.outcomes(selection.rows)


@declare(
    TASKS,
    "pause",
    title=gettext_lazy("Pause"),
    done=gettext_lazy("paused"),
    icon="pause",
    place=3,
    alternate=True,
    warning=gettext_lazy(
        "Instances that there are go on. What the pause leaves out is owed to whom waits for it."
    ),
    effects={TaskStatus.SCHEDULING: gettext_lazy("makes no new instances; those there are go on")},
)
def pause(selection: Selection) -> list[ItemOutcome]:
    """Pause SCHEDULING tasks: no new instances; those that exist go on."""
    _silence(selection.rows, TaskStatus.PAUSED, clock.now())
    return selection.outcomes(selection.rows)


@declare(
    TASKS,
    "offline",
    title=gettext_lazy("Take offline"),
    done=gettext_lazy("taken offline"),
    icon="power_settings_new",
    place=4,
    danger=True,
    alternate=True,
    warning=gettext_lazy(
        "From now on it owes nothing: whatever waits for its later slots goes on without."
    ),
    effects={
        TaskStatus.SCHEDULING: _OUT,
        TaskStatus.PAUSED: _OUT,
        TaskStatus.INVALID: _OUT,
    },
)
def take_offline(selection: Selection) -> list[ItemOutcome]:
    """Take SCHEDULING, PAUSED and INVALID tasks out; only a new submission brings them back."""
    now = clock.now()
    # From now on they owe nothing, and nobody waits for what will not come.
    _silence(
        selection.rows,
        TaskStatus.OFFLINE,
        now,
        scheduling_until=now,
        owing_changed_since=Least("owing_changed_since", Value(now, DateTimeField())),
    )
    return selection.outcomes(selection.rows)


def _silence(ids: Iterable[int], status: TaskStatus, now: datetime, **columns: object) -> None:
    Task.objects.filter(pk__in=list(ids)).update(
        status=status, next_fire_at=None, updated_at=now, **columns
    )


def _put_into_force(next_fires: dict[int, datetime | None], now: datetime) -> None:
    """Put the tasks into force from `now` on, each with its next fire; one statement."""
    rows = [{"id": pk, "next_fire_at": fire} for pk, fire in next_fires.items()]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task
            SET status = %(status)s, generated_until = %(now)s,
                next_fire_at = row.next_fire_at, updated_at = %(now)s
            FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (id bigint, next_fire_at timestamptz)
            WHERE task.id = row.id
            """,
            {
                "status": TaskStatus.SCHEDULING.value,
                "now": now,
                "rows": json.dumps(rows, default=datetime.isoformat),
            },
        )
