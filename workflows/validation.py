"""What submission refuses: everything about drafts that takes more than the drafts to know.

`check_candidates` looks at many tasks at once with a fixed number of queries and returns what is
wrong, all of it, and what it found on the way: the dependencies by id, the resource groups by id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from django.db.models import Exists, OuterRef, Q

from projects.access import Actor, projects_with
from projects.models import DataSource, ResourceGroup
from workflows.choices import TaskStatus
from workflows.cycle_check import blocking_cycle
from workflows.definition import TaskDefinition
from workflows.graph_loading import Direction, load_graph
from workflows.links import Link
from workflows.models import Task
from workflows.references import FoundTask, Place, find_tasks
from workflows.schedules import Schedule, next_fire, previous_fire
from workflows.version_loading import load_definitions

_MICROSECOND = timedelta(microseconds=1)
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that is to be submitted, and the definition that its draft holds."""

    task: Task  # with its workflow and project loaded
    definition: TaskDefinition

    @property
    def place(self) -> Place:
        return place_of(self.task)

    @property
    def label(self) -> str:
        return f"{self.task.workflow.name}/{self.task.name}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of one task. `label` is workflow/task."""

    task_id: int
    label: str
    field: str
    message: str
    code: str = "definition"


@dataclass(slots=True)
class Findings:
    """The outcome of a check: without problems, everything that submission writes."""

    problems: list[Problem] = field(default_factory=list)
    links: dict[int, list[Link]] = field(default_factory=dict)  # by downstream task id
    group_ids: dict[str, int] = field(default_factory=dict)  # by name


Report = Callable[[Candidate, str, str, str], None]


def place_of(task: Task) -> Place:
    """Return where the task's references are written."""
    return Place(task.project_id, task.workflow.project.name, task.workflow.name)


def time_zone_of(task: Task) -> str:
    """Return the zone of schedules that name none: the workflow's, or the project's."""
    return task.workflow.time_zone or task.workflow.project.time_zone


def fires_ever(schedule: Schedule) -> bool:
    """Return whether the schedule has a fire at all, past or future."""
    if schedule.effective_end is not None:
        return previous_fire(schedule, schedule.effective_end + _MICROSECOND) is not None
    start = schedule.effective_start or _BEGINNING
    return next_fire(schedule, start - _MICROSECOND) is not None


def check_candidates(candidates: Sequence[Candidate], *, actor: Actor) -> Findings:
    """Check tasks that are submitted together; call it under `submission.lock_graph`."""
    findings = Findings()

    def report(candidate: Candidate, path: str, message: str, code: str) -> None:
        findings.problems.append(Problem(candidate.task.pk, candidate.label, path, message, code))

    for candidate in candidates:
        if not fires_ever(candidate.definition.schedule):
            report(candidate, "schedule", "This schedule never fires.", "never_fires")
    findings.group_ids = _check_groups(candidates, report)
    _check_data_sources(candidates, report)
    findings.links = _check_dependencies(candidates, actor, report)
    if not findings.problems:
        _check_cycles(candidates, findings.links, actor, report)
    return findings


def _check_groups(candidates: Sequence[Candidate], report: Report) -> dict[str, int]:
    names = {candidate.definition.resource_group for candidate in candidates}
    projects = {candidate.task.project_id for candidate in candidates}
    groups = {group.name: group for group in ResourceGroup.objects.filter(name__in=names)}
    attached = set(
        ResourceGroup.projects.through.objects.filter(
            resourcegroup__name__in=names, project__in=projects
        ).values_list("resourcegroup_id", "project_id")
    )
    for candidate in candidates:
        name = candidate.definition.resource_group
        group = groups.get(name)
        if group is None:
            report(
                candidate,
                "resource_group",
                f"There is no resource group “{name}”.",
                "unknown_resource_group",
            )
        elif (
            group.kind != ResourceGroup.Kind.SHARED
            and (group.pk, candidate.task.project_id) not in attached
        ):
            report(
                candidate,
                "resource_group",
                f"The resource group “{name}” is not attached to this project.",
                "resource_group_not_attached",
            )
    return {name: group.pk for name, group in groups.items()}


def _check_data_sources(candidates: Sequence[Candidate], report: Report) -> None:
    named = [
        (candidate, setting, candidate.definition.config[setting])
        for candidate in candidates
        for setting in candidate.definition.task_type.data_source_fields()
        if setting in candidate.definition.config
    ]
    if not named:
        return
    known = set(
        DataSource.objects.filter(
            project__in={candidate.task.project_id for candidate, _, _ in named},
            name__in={name for _, _, name in named},
        ).values_list("project_id", "name")
    )
    for candidate, setting, name in named:
        if (candidate.task.project_id, name) not in known:
            report(
                candidate,
                f"config.{setting}",
                f"This project has no data source “{name}”.",
                "unknown_data_source",
            )


def _check_dependencies(
    candidates: Sequence[Candidate], actor: Actor, report: Report
) -> dict[int, list[Link]]:
    batch = {candidate.task.pk for candidate in candidates}
    found = find_tasks(
        (
            (candidate.place, reference.task)
            for candidate in candidates
            for reference in candidate.definition.depends_on
        ),
        actor=actor,
    )
    links: dict[int, list[Link]] = {}
    for candidate in candidates:
        own = links.setdefault(candidate.task.pk, [])
        for index, reference in enumerate(candidate.definition.depends_on):
            upstream = found.get((candidate.place, reference.task))
            fault = _dependency_fault(candidate, reference.task, upstream, batch)
            if fault is not None or upstream is None:
                message, code = fault or ("", "")
                report(candidate, f"depends_on.{index}", message, code)
                continue
            link = Link(upstream.id, candidate.task.pk, reference.offset, reference.scope)
            if any((one.upstream, one.offset) == (link.upstream, link.offset) for one in own):
                report(
                    candidate,
                    f"depends_on.{index}",
                    f"“{reference.task}” is named twice.",
                    "duplicate_dependency",
                )
                continue
            own.append(link)
    return links


def _dependency_fault(
    candidate: Candidate, name: str, upstream: FoundTask | None, batch: set[int]
) -> tuple[str, str] | None:
    if upstream is None:
        return f"There is no task “{name}”.", "unknown_task"
    if upstream.id == candidate.task.pk:
        return "A task that waits for itself says self_dependent: true.", "self_reference"
    if upstream.status == TaskStatus.DRAFT and upstream.id not in batch:
        return f"“{name}” is a draft: submit it first, or together with this.", "draft_upstream"
    return None


def _check_cycles(
    candidates: Sequence[Candidate],
    links: Mapping[int, Sequence[Link]],
    actor: Actor,
    report: Report,
) -> None:
    """Refuse links that close a cycle. One that is new goes through a candidate's new link, so
    what lies upstream of those links is all that has to be looked at.
    """
    by_id = {candidate.task.pk: candidate for candidate in candidates}
    new = [link for own in links.values() for link in own]
    if not new:
        return
    loaded = load_graph({link.upstream for link in new}, Direction.UPSTREAM)
    kept = [link for link in loaded.links if link.downstream not in by_id]

    def load_schedules(ids: set[int]) -> dict[int, Schedule]:
        others = dict(
            Task.objects.filter(pk__in=ids - by_id.keys(), version__isnull=False).values_list(
                "pk", "version_id"
            )
        )
        definitions = load_definitions(others.values())
        schedules = {pk: definitions[version].schedule for pk, version in others.items()}
        return schedules | {pk: by_id[pk].definition.schedule for pk in ids & by_id.keys()}

    cycle = blocking_cycle(kept + new, load_schedules)
    if cycle is None:
        return
    # Turn the path so that it starts at the task whose field is at fault.
    closing = next(
        position
        for position, (upstream, downstream) in enumerate(pairwise(cycle))
        if any(link.upstream == upstream for link in links.get(downstream, ()))
    )
    turned = cycle[closing + 1 : -1] + cycle[: closing + 1]
    candidate = by_id[turned[0]]
    index = next(
        index
        for index, link in enumerate(links[candidate.task.pk])
        if link.upstream == cycle[closing]
    )
    names = _names(turned, candidate.place, actor)
    path = " → ".join(names[pk] for pk in [*turned, turned[0]])
    report(candidate, f"depends_on.{index}", f"This closes a cycle: {path}.", "cycle")


def _names(task_ids: Sequence[int], place: Place, actor: Actor) -> dict[int, str]:
    """Return the tasks' names as short as they are clear at `place`; hidden ones show their id."""
    visible = projects_with(actor).filter(pk=OuterRef("project"))
    rows = Task.objects.filter(pk__in=task_ids).annotate(
        is_visible=Exists(visible) | Q(project=place.project_id)
    )
    names: dict[int, str] = {}
    for pk, project_id, project, workflow, name, is_visible in rows.values_list(
        "pk", "project_id", "project__name", "workflow__name", "name", "is_visible"
    ):
        if not is_visible:
            names[pk] = f"task {pk} of another project"
        elif project_id != place.project_id:
            names[pk] = f"{project}/{workflow}/{name}"
        else:
            names[pk] = name if workflow == place.workflow else f"{workflow}/{name}"
    return names
