"""What submission refuses: everything about drafts that takes more than the drafts to know.

`check_candidates` looks at many tasks at once with a fixed number of queries and returns what is
wrong, all of it, and what it found on the way: the dependencies by id, the resource groups by id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from django.conf import settings
from django.utils.translation import gettext as _

from projects.access import Actor, sight
from projects.ground import clock
from projects.ground.words import thousands
from projects.models import DataSource, ResourceGroup
from workflows.choices import TaskStatus
from workflows.definitions.closed_references import Cover, cover_for
from workflows.definitions.definition import DependencyReference, TaskDefinition
from workflows.definitions.references import FoundTask, Place, find_tasks
from workflows.definitions.version_loading import load_definitions, read_definitions
from workflows.models import Task
from workflows.network.cycle_check import blocking_cycle
from workflows.network.edge_counts import most_upstreams
from workflows.network.graph_loading import Direction, load_graph
from workflows.network.links import Link
from workflows.schedules import Cycle, Schedule, next_fire, previous_fire
from workflows.schedules.matching import Scope
from workflows.schedules.rules import all_days

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
            report(candidate, "schedule", _("This schedule never fires."), "never_fires")
    findings.group_ids = _check_groups(candidates, report)
    _check_data_sources(candidates, report)
    cover = cover_for(actor, [candidate.task.pk for candidate in candidates])
    findings.links = _check_dependencies(candidates, actor, cover, report)
    if not findings.problems:
        _check_edge_counts(candidates, findings.links, cover, report)
    if not findings.problems:
        _check_cycles(candidates, findings.links, actor, report)
    return findings


def check_names(candidate: Candidate, *, actor: Actor) -> list[Problem]:
    """Return which names of a draft mean nothing yet: what submission would refuse as things are.

    A draft that it waits for is no problem: both may be submitted together.
    """
    problems: list[Problem] = []

    def report(one: Candidate, path: str, message: str, code: str) -> None:
        if code != "draft_upstream":
            problems.append(Problem(one.task.pk, one.label, path, message, code))

    _check_groups([candidate], report)
    _check_data_sources([candidate], report)
    cover = cover_for(actor, [candidate.task.pk])
    _check_dependencies([candidate], actor, cover, report)
    return problems


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
                _("There is no resource group “{name}”.").format(name=name),
                "unknown_resource_group",
            )
        elif (
            group.kind != ResourceGroup.Kind.SHARED
            and (group.pk, candidate.task.project_id) not in attached
        ):
            report(
                candidate,
                "resource_group",
                _("The resource group “{name}” is not attached to this project.").format(name=name),
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
                _("This project has no data source “{name}”.").format(name=name),
                "unknown_data_source",
            )


def _check_dependencies(
    candidates: Sequence[Candidate], actor: Actor, cover: Cover, report: Report
) -> dict[int, list[Link]]:
    batch = {candidate.task.pk for candidate in candidates}
    found = find_tasks(
        (
            (candidate.place, reference.task)
            for candidate in candidates
            for reference in candidate.definition.depends_on
        ),
        actor=actor,
        in_force=set(cover.in_force.values()),
    )
    links: dict[int, list[Link]] = {}
    for candidate in candidates:
        own = links.setdefault(candidate.task.pk, [])
        for index, reference in enumerate(candidate.definition.depends_on):
            upstream = found.get((candidate.place, reference.task))
            name = cover.shown(candidate.task.pk, reference.task)
            fault = _dependency_fault(candidate, reference, upstream, batch, name)
            if fault is not None or upstream is None:
                message, code = fault or ("", "")
                report(candidate, f"depends_on.{index}", message, code)
                continue
            link = Link(upstream.id, candidate.task.pk, reference.offset, reference.scope)
            if any((one.upstream, one.offset) == (link.upstream, link.offset) for one in own):
                report(
                    candidate,
                    f"depends_on.{index}",
                    _("“{name}” is named twice.").format(name=name),
                    "duplicate_dependency",
                )
                continue
            own.append(link)
    return links


def _check_edge_counts(
    candidates: Sequence[Candidate],
    links: Mapping[int, Sequence[Link]],
    cover: Cover,
    report: Report,
) -> None:
    """Refuse tasks of which one instance would wait for more than can be looked after."""
    definitions = {candidate.task.pk: candidate.definition for candidate in candidates}
    others = {link.upstream for own in links.values() for link in own} - definitions.keys()
    versions = dict(
        Task.objects.filter(pk__in=others, version__isnull=False).values_list("pk", "version_id")
    )
    known = read_definitions(versions.values())[0]
    definitions |= {pk: known[version] for pk, version in versions.items() if version in known}
    most = settings.MOST_EDGES_PER_INSTANCE
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for candidate in candidates:
        counts = [
            most_upstreams(
                candidate.definition.schedule,
                upstream.schedule,
                link.offset,
                link.scope,
                upstream.self_dependent,
                day=today,
                limit=most + 1,
            )
            if (upstream := definitions.get(link.upstream)) is not None
            else 0
            for link in links.get(candidate.task.pk, ())
        ]
        if sum(counts) > most:
            index = counts.index(max(counts))
            name = candidate.definition.depends_on[index].task
            message = _(
                "One instance would wait for more than {most} upstream instances, most of them of "
                "“{name}”: take a narrower scope, or a task between them that sums them up."
            )
            told = message.format(most=thousands(most), name=cover.shown(candidate.task.pk, name))
            report(candidate, f"depends_on.{index}", told, "too_many_upstreams")


def _dependency_fault(
    candidate: Candidate,
    reference: DependencyReference,
    upstream: FoundTask | None,
    batch: set[int],
    name: str,
) -> tuple[str, str] | None:
    """name: the upstream task's, as the user may see it."""
    if upstream is None:
        return _("There is no task “{name}”.").format(name=name), "unknown_task"
    if upstream.id == candidate.task.pk:
        return _("A task that waits for itself says self_dependent: true."), "self_reference"
    if upstream.status == TaskStatus.DRAFT and upstream.id not in batch:
        message = _("“{name}” is a draft: submit it first, or together with this.")
        return message.format(name=name), "draft_upstream"
    if reference.scope is Scope.WHOLE_PERIOD and not _has_period(candidate.definition.schedule):
        message = _(
            "A crontab that does not fire every day has no period, so whole_period means nothing:"
            " give the task the cycle week, month or year."
        )
        return message, "no_period"
    return None


def _has_period(schedule: Schedule) -> bool:
    """True when it is known which period an instance stands for: a crontab's is its day, if any."""
    return schedule.cycle is not Cycle.CRONTAB or all(
        schedule.rule.days(2000, month) == all_days(2000, month) for month in range(1, 13)
    )


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
    path = " → ".join(_spell([*turned, turned[0]], candidate.place, actor))
    message = _("This closes a cycle: {path}.").format(path=path)
    report(candidate, f"depends_on.{index}", message, "cycle")


def _spell(path: Sequence[int], place: Place, actor: Actor) -> list[str]:
    """Return the names of a way through the graph, as short as they are clear at `place`.

    A task of another project is its id where the actor does not see it, and no more than "…" where
    nothing before and after it is seen either.
    """
    eyes = sight(actor)
    columns = ("pk", "project_id", "project__name", "workflow__name", "name")
    rows = {row[0]: row for row in Task.objects.filter(pk__in=path).values_list(*columns)}
    closed = [rows[pk][1] != place.project_id and not eyes.sees(rows[pk][1]) for pk in path]
    spelled: list[str] = []
    for position, pk in enumerate(path):
        project_id, project, workflow, name = rows[pk][1:]
        if all(closed[max(0, position - 1) : position + 2]):
            text = "…"
        elif closed[position]:
            text = _("task {id} of another project").format(id=pk)
        elif project_id != place.project_id:
            text = f"{project}/{workflow}/{name}"
        else:
            text = name if workflow == place.workflow else f"{workflow}/{name}"
        if spelled[-1:] != ["…"] or text != "…":
            spelled.append(text)
    return spelled
