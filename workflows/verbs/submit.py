"""Submission: drafts become immutable versions, and go into operations (T9).

A submission is one batch, all or nothing: dependencies within it resolve to each other, and one
field at fault refuses all of it. Concurrent submissions wait for each other (`lock_graph`), so
that no two can close a cycle together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max
from django.utils.translation import gettext as _

from projects.access import Actor
from projects.ground import clock
from projects.ground.refusals import Invalid, NotFound
from projects.ground.words import gettext_lazy
from projects.roles import Right
from projects.verbs.catalogue import declare
from projects.verbs.recording import ItemOutcome
from projects.verbs.selecting import Selection
from projects.verbs.verb import Option, refusal_of
from workflows.choices import TaskStatus
from workflows.definitions.definition import DefinitionError, TaskDefinition
from workflows.definitions.validation import (
    Candidate,
    Findings,
    Problem,
    check_candidates,
    time_zone_of,
)
from workflows.models import Dependency, Task, TaskVersion
from workflows.network.links import Link
from workflows.schedules import Schedule, ScheduleError, next_fire
from workflows.verbs.noun import TASKS

# Any number that no other advisory lock of Tidemill uses.
_GRAPH_LOCK = 7_021_001
_MICROSECOND = timedelta(microseconds=1)
_RETURNING = frozenset({TaskStatus.DRAFT, TaskStatus.OFFLINE})


class SubmissionRefused(Invalid):
    """Nothing was submitted. `problems` says what is wrong, field by field of each task."""

    code = "invalid_definition"

    def __init__(self, problems: Sequence[Problem]) -> None:
        fields: dict[str, list[str]] = {}
        for problem in problems:
            fields.setdefault(f"{problem.label}.{problem.field}", []).append(problem.message)
        first = problems[0]
        codes = {problem.code for problem in problems}
        super().__init__(
            f"{first.label}: {first.field}: {first.message}",
            fields=fields,
            code=codes.pop() if codes == {"cycle"} else None,
        )
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class _Change:
    """What submission does to one task."""

    candidate: Candidate
    version_id: int | None  # the present version, when the definition has not changed
    returns: bool  # from DRAFT or OFFLINE to SCHEDULING
    rescheduled: bool

    @property
    def is_idle(self) -> bool:
        """Nothing of the task changes; its dependencies may, when names mean others now."""
        return self.version_id is not None and not self.returns

    @property
    def code(self) -> str:
        """What is said to have become of the task."""
        if self.version_id is None:
            return "submitted"
        return "reactivated" if self.returns else "unchanged"


def lock_graph() -> None:
    """Hold everybody else's changes of the submitted graph off until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_GRAPH_LOCK])


_REPLACED = gettext_lazy("its draft, where it differs, becomes the version in force")


@declare(
    TASKS,
    "submit",
    title=gettext_lazy("Submit"),
    done=gettext_lazy("submitted"),
    icon="publish",
    place=1,
    right=Right.DEVELOP,
    warning=gettext_lazy("Together or not at all: what is wrong with one of them refuses all."),
    effects={
        TaskStatus.DRAFT: gettext_lazy("goes into operations"),
        TaskStatus.SCHEDULING: _REPLACED,
        TaskStatus.PAUSED: _REPLACED,
        TaskStatus.OFFLINE: gettext_lazy("comes back into operations"),
        TaskStatus.INVALID: _REPLACED,
    },
    options=(
        Option(
            "comment",
            "text",
            gettext_lazy("A comment on these versions."),
            title=gettext_lazy("Comment"),
            limit=256,
        ),
    ),
    # The graph first, then the rows in id order: the same for everybody, so no deadlock.
    hold=lock_graph,
    whole=True,
)
def submit_tasks(selection: Selection, comment: str = "") -> list[ItemOutcome]:
    """Submit the drafts of the tasks as one batch, all or nothing.

    Outcome codes: "submitted" (a new version), "reactivated" (the same version is back from
    OFFLINE), "unchanged" (nothing was done). Raises NotFound, Forbidden, Invalid, or
    SubmissionRefused with every problem. The number of queries does not depend on the number of
    tasks.
    """
    for pk, refusal in selection.refused.items():
        if refusal.code == "not_found":
            raise NotFound(_("There is no task {id} in your projects.").format(id=pk))
        raise refusal_of(refusal)
    actor = selection.actor
    tasks = (
        Task.objects.filter(pk__in=selection.rows)
        .select_related("workflow__project", "version")
        .order_by("pk")
    )
    # 1 Check everything.
    candidates = _read_candidates(tasks)
    findings = check_candidates(candidates, actor=actor)
    if findings.problems:
        raise SubmissionRefused(findings.problems)
    # 2 Write.
    now = clock.now()
    changes = [_decide(candidate) for candidate in candidates]
    version_ids = _create_versions(changes, actor, comment, now)
    _update_tasks(changes, version_ids, findings, now)
    _replace_links(findings.links)
    return [selection.done(change.candidate.task.pk, code=change.code) for change in changes]


def watermark_after_change(
    generated_until: datetime | None, next_fire_at: datetime | None, now: datetime
) -> datetime:
    """Return the watermark of a task whose schedule changes at `now`.

    The old schedule rules up to now, the new one after it: nothing twice, nothing lost. Where
    generation is behind, and owes a fire of the old schedule, the new schedule begins with that
    fire instead.
    """
    owed_from = now if next_fire_at is None else min(now, next_fire_at - _MICROSECOND)
    return owed_from if generated_until is None else max(generated_until, owed_from)


def _read_candidates(tasks: Iterable[Task]) -> list[Candidate]:
    candidates: list[Candidate] = []
    problems: list[Problem] = []
    for task in tasks:
        try:
            definition = TaskDefinition.from_mapping(task.draft, time_zone=time_zone_of(task))
        except DefinitionError as error:
            label = f"{task.workflow.name}/{task.name}"
            problems += [Problem(task.pk, label, path, text) for path, text in error.errors]
        else:
            candidates.append(Candidate(task, definition))
    if problems:
        raise SubmissionRefused(problems)
    return candidates


def _decide(candidate: Candidate) -> _Change:
    task, version = candidate.task, candidate.task.version
    same, rescheduled = False, False
    if version is not None:
        zone = candidate.definition.schedule.time_zone
        same = version.definition == candidate.definition.to_mapping() and (
            version.time_zone == zone
        )
        rescheduled = not same and candidate.definition.schedule != _schedule_of(version)
    return _Change(
        candidate,
        version_id=task.version_id if same else None,
        returns=task.status in _RETURNING,
        rescheduled=rescheduled,
    )


def _schedule_of(version: TaskVersion) -> Schedule | None:
    """Return the schedule of a version; None when it cannot be read on this machine any more."""
    try:
        return Schedule.from_mapping(version.definition["schedule"], version.time_zone)
    except (ScheduleError, KeyError, TypeError):
        return None


def _create_versions(
    changes: Sequence[_Change], actor: Actor, comment: str, now: datetime
) -> dict[int, int]:
    """Create the versions that are new; return the version of every task."""
    new = [change.candidate for change in changes if change.version_id is None]
    numbers = dict(
        TaskVersion.objects.filter(task__in=[candidate.task.pk for candidate in new])
        .order_by()
        .values("task_id")
        .annotate(last=Max("number"))
        .values_list("task_id", "last")
    )
    created = TaskVersion.objects.bulk_create(
        [
            TaskVersion(
                task=candidate.task,
                number=numbers.get(candidate.task.pk, 0) + 1,
                definition=candidate.definition.to_mapping(),
                type=candidate.definition.type,
                cycle=candidate.definition.schedule.cycle.value,
                time_zone=candidate.definition.schedule.time_zone,
                comment=comment,
                submitted_by=actor,
                submitted_at=now,
            )
            for candidate in new
        ]
    )
    version_ids = {version.task_id: version.pk for version in created}
    return version_ids | {
        change.candidate.task.pk: change.version_id
        for change in changes
        if change.version_id is not None
    }


def _update_tasks(
    changes: Sequence[_Change], version_ids: Mapping[int, int], findings: Findings, now: datetime
) -> None:
    """Write the tasks' columns, with one statement for all of them."""
    rows = [
        _columns(change, version_ids[change.candidate.task.pk], findings.group_ids, now)
        for change in changes
        if not change.is_idle
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE workflows_task AS task
            SET status = row.status,
                version_id = row.version_id,
                type = row.type,
                cycle = row.cycle,
                priority = row.priority,
                resource_group_id = row.resource_group_id,
                effective_from = row.effective_from,
                effective_until = row.effective_until,
                self_dependent = row.self_dependent,
                max_parallel = row.max_parallel,
                scheduling_since = row.scheduling_since,
                scheduling_until = NULL,
                owing_changed_since = row.owing_changed_since,
                generation_error = '',
                generated_until = row.generated_until,
                next_fire_at = row.next_fire_at,
                first_submitted_at = COALESCE(task.first_submitted_at, %(now)s),
                last_submitted_at = %(now)s,
                updated_at = %(now)s
            FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
                id bigint, status text, version_id bigint, type text, cycle text,
                priority smallint, resource_group_id bigint, effective_from timestamptz,
                effective_until timestamptz, self_dependent boolean, max_parallel integer,
                scheduling_since timestamptz, generated_until timestamptz,
                next_fire_at timestamptz, owing_changed_since timestamptz
            )
            WHERE task.id = row.id
            """,
            {"rows": json.dumps(rows, default=datetime.isoformat), "now": now},
        )


def _columns(
    change: _Change, version_id: int, group_ids: Mapping[str, int], now: datetime
) -> dict[str, Any]:
    task, definition = change.candidate.task, change.candidate.definition
    since, watermark = task.scheduling_since, task.generated_until
    mark = task.owing_changed_since
    if change.returns or watermark is None:
        since = watermark = now
    elif change.rescheduled:
        # What the new schedule would have fired before was never owed to anybody.
        since = watermark = watermark_after_change(watermark, task.next_fire_at, now)
        # Some may wait for later fires of the old schedule, which will not come.
        mark = watermark if mark is None else min(mark, watermark)
    status = TaskStatus.SCHEDULING if change.returns else TaskStatus(task.status)
    is_live = status == TaskStatus.SCHEDULING
    return {
        "id": task.pk,
        "status": status.value,
        "version_id": version_id,
        "type": definition.type,
        "cycle": definition.schedule.cycle.value,
        "priority": definition.priority,
        "resource_group_id": group_ids[definition.resource_group],
        "effective_from": definition.schedule.effective_start,
        "effective_until": definition.schedule.effective_end,
        "self_dependent": definition.self_dependent,
        "max_parallel": definition.max_parallel,
        "scheduling_since": since,
        "generated_until": watermark,
        "owing_changed_since": mark,
        "next_fire_at": next_fire(definition.schedule, watermark) if is_live else None,
    }


def _replace_links(links: Mapping[int, Sequence[Link]]) -> None:
    """Make the tasks' upstream links those given, touching only what differs."""
    wanted = {
        (one.downstream, one.upstream, one.offset.value, one.scope.value): one
        for own in links.values()
        for one in own
    }
    present = {
        tuple(row[1:]): row[0]
        for row in Dependency.objects.filter(downstream__in=links).values_list(
            "pk", "downstream_id", "upstream_id", "offset", "scope"
        )
    }
    gone = [pk for key, pk in present.items() if key not in wanted]
    if gone:
        Dependency.objects.filter(pk__in=gone).delete()
    Dependency.objects.bulk_create(
        [
            Dependency(
                downstream_id=one.downstream,
                upstream_id=one.upstream,
                offset=one.offset.value,
                scope=one.scope.value,
            )
            for key, one in wanted.items()
            if key not in present
        ]
    )
