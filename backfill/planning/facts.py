"""What a plan needs to know of tasks: their rows and the definitions that are to run (B2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from backfill.models import Plan, PlanLink
from backfill.planning.grid import Grid, GridTask, Upstream
from backfill.planning.lanes import days_in_order
from backfill.spec import PlanSpec
from instances.ground.owing import is_owed
from projects.ground import clock
from workflows.choices import CatchUp, TaskStatus
from workflows.definitions.definition import TaskDefinition
from workflows.definitions.version_loading import load_definitions
from workflows.models import Dependency, Task
from workflows.network.links import Link
from workflows.schedules.matching import Offset, Scope


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task's row, and the definition of the version that counts for the plan.

    `label` is "workflow/task". `status` is the stored one; `status_at` adds the clock to it.
    """

    id: int
    label: str
    project_id: int
    status: str
    cycle: str
    version_id: int | None
    resource_group_id: int | None
    effective_until: datetime | None
    scheduling_since: datetime | None
    generated_until: datetime | None
    scheduling_until: datetime | None
    # Periodic instances that ended before may have been deleted.
    kept_since: datetime
    definition: TaskDefinition | None = None

    @property
    def priority(self) -> int:
        """The priority that the definition gives the task's instances."""
        assert self.definition is not None
        return self.definition.priority

    def owes(self, scheduled_at: datetime) -> bool:
        """True when the slot is waited for even where it has no instance yet.

        As generation has it.
        """
        return is_owed(
            scheduled_at,
            scheduling_since=self.scheduling_since,
            scheduling_until=self.scheduling_until,
            generated_until=self.generated_until,
            latest_only=(
                self.definition is not None and self.definition.catch_up == CatchUp.LATEST
            ),
            kept_since=self.kept_since,
        )

    def will_generate(self, scheduled_at: datetime) -> bool:
        """True when generation is going to make the slot's instance, as things stand."""
        passed = self.generated_until is not None and scheduled_at <= self.generated_until
        return self.status == TaskStatus.SCHEDULING and not passed


def load_rows(task_ids: Collection[int]) -> dict[int, TaskFacts]:
    """Return the facts of the tasks without their definitions; one query. Unknown ids are absent.

    Of no project in particular: the caller keeps what its reader may not see to itself.
    """
    rows = Task.objects.filter(pk__in=list(task_ids)).values_list(
        "pk",
        "workflow__name",
        "name",
        "project_id",
        "status",
        "cycle",
        "version_id",
        "resource_group_id",
        "effective_until",
        "scheduling_since",
        "generated_until",
        "scheduling_until",
        "project__periodic_retention_days",
    )
    now = clock.now()
    return {
        row[0]: TaskFacts(
            row[0], f"{row[1]}/{row[2]}", *row[3:12], kept_since=now - timedelta(days=row[12])
        )
        for row in rows.order_by()
    }


def with_definitions(
    rows: Iterable[TaskFacts], *, versions: Mapping[int, int] | None = None
) -> dict[int, TaskFacts]:
    """Return the facts with the definitions of their versions; at most one query.

    versions: of each task in it that version counts, instead of the one submitted last. Tasks
    without a version are left out: they are not in operations and owe nobody anything.
    """
    chosen = {row.id: (versions or {}).get(row.id, row.version_id) for row in rows}
    definitions = load_definitions(pk for pk in chosen.values() if pk is not None)
    return {
        row.id: replace(row, version_id=version_id, definition=definitions[version_id])
        for row in rows
        if (version_id := chosen[row.id]) is not None
    }


def load_links(task_ids: Collection[int]) -> list[Link]:
    """Return what the tasks wait for, tasks that are not among them included; one query."""
    rows = Dependency.objects.filter(downstream__in=list(task_ids)).values_list(
        "upstream_id", "downstream_id", "offset", "scope"
    )
    return [
        Link(upstream, downstream, Offset(offset), Scope(scope))
        for upstream, downstream, offset, scope in rows.order_by("downstream_id", "pk")
    ]


def load_plan_links(plan: Plan) -> tuple[list[Link], dict[int, int]]:
    """Return what the tasks of a submitted plan wait for, as it was then; one query.

    With it {upstream task: its version}, as it was then.
    """
    rows = PlanLink.objects.filter(plan=plan).order_by("pk")
    links: list[Link] = []
    versions: dict[int, int] = {}
    for upstream, version, downstream, offset, scope in rows.values_list(
        "upstream_id", "upstream_version_id", "downstream_id", "offset", "scope"
    ):
        links.append(Link(upstream, downstream, Offset(offset), Scope(scope)))
        versions[upstream] = version
    return links, versions


def make_grid(
    spec: PlanSpec,
    task_ids: Iterable[int],
    facts: Mapping[int, TaskFacts],
    links: Iterable[Link],
) -> Grid:
    """Make the grid of the tasks, in their order, over the days of the spec.

    facts: with definitions, of the tasks and of all that they wait for.
    """
    upstreams: dict[int, list[Upstream]] = {}
    for link in links:
        upstream = facts.get(link.upstream)
        if upstream is None or upstream.definition is None:
            continue
        upstreams.setdefault(link.downstream, []).append(
            Upstream(
                task_id=link.upstream,
                schedule=upstream.definition.schedule,
                self_dependent=upstream.definition.self_dependent,
                offset=link.offset,
                scope=link.scope,
            )
        )
    return Grid(
        tasks=tuple(_grid_task(facts[pk], upstreams.get(pk, [])) for pk in task_ids),
        days=days_in_order(spec),
        time_from=spec.time_from,
        time_until=spec.time_until,
        check=spec.dependency_check,
    )


def _grid_task(facts: TaskFacts, upstreams: list[Upstream]) -> GridTask:
    assert facts.definition is not None
    return GridTask(
        facts.id, facts.definition.schedule, facts.definition.self_dependent, tuple(upstreams)
    )
