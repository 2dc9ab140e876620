"""Everything that a preview or a submission looks at, in a constant number of queries (design §7).

Checks on the way: that the user may operate what they ask for, that it exists, and the limits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from backfill.options.entry import Entry, EntryKind
from backfill.options.selection import Scope
from backfill.planning.facts import TaskFacts, load_links, load_rows, make_grid, with_definitions
from backfill.planning.grid import Grid
from backfill.planning.selection import Candidate, Selection, select_tasks
from backfill.spec import PlanSpec
from projects.access import Actor, projects_lacking, scope, sight
from projects.ground.closed_box import Sight
from projects.ground.refusals import Invalid
from projects.ground.words import thing
from projects.models import Project
from projects.roles import Right
from workflows.models import Folder, Task, Workflow
from workflows.network.graph_loading import Direction, load_graph
from workflows.network.links import Link

_NOUNS = {
    EntryKind.TASKS: "task",
    EntryKind.WORKFLOWS: "workflow",
    EntryKind.FOLDERS: "folder",
}


@dataclass(frozen=True, slots=True)
class PlanContext:
    """A spec, the tasks that it selects, and the grid that it plans.

    facts: with definitions, of the selected tasks and of all that they wait for, also outside the
    plan and in projects that the user does not see. links: what the selected tasks wait for.
    choices: labels of the downstream tasks.
    """

    project: Project
    spec: PlanSpec
    selection: Selection
    facts: Mapping[int, TaskFacts]
    links: tuple[Link, ...]
    grid: Grid
    choices: Mapping[int, str]
    sight: Sight

    def label(self, task_id: int) -> str:
        """The task's name as the user may see it."""
        facts = self.facts[task_id]
        return self.sight.name("task", task_id, facts.project_id, facts.label)

    def sees(self, task_id: int) -> bool:
        """Return whether the user sees the task's project."""
        return self.sight.sees(self.facts[task_id].project_id)


def today_in(project: Project, now: datetime) -> date:
    """The present date in the project's time zone."""
    return now.astimezone(ZoneInfo(project.time_zone)).date()


def read_spec(data: object, *, project: Project, now: datetime) -> PlanSpec:
    """Read a spec as a user gave it: without periods it is for yesterday in the project (B6)."""
    return PlanSpec.from_mapping(data, today=today_in(project, now))


def load_context(*, actor: Actor, project: Project, spec: PlanSpec) -> PlanContext:
    """Select the tasks of `spec` for `actor` and load what there is to know of them.

    The caller has checked the right on `project`. Raises Invalid at the field at fault.
    """
    entry_ids = _entry_tasks(spec.entry, actor=actor, project=project)
    reached = set(entry_ids)
    if spec.scope is not Scope.SELECTED:
        reached |= load_graph(entry_ids, Direction.DOWNSTREAM).project_of.keys()
    rows = load_rows(reached)
    eyes = sight(actor)
    candidates = _candidates(rows, actor, eyes)
    links = load_links(reached)
    selection = select_tasks(
        spec,
        entry_ids=entry_ids,
        candidates=candidates,
        links=[link for link in links if link.upstream in rows],
    )
    selection = _without_far(selection, rows, links, eyes)
    chosen = set(selection.task_ids)
    links = [link for link in links if link.downstream in chosen]
    outside = load_rows({link.upstream for link in links} - rows.keys())
    rows |= outside
    needed = chosen | {link.upstream for link in links}
    facts = with_definitions([row for row in rows.values() if row.id in needed])
    return PlanContext(
        project=project,
        spec=spec,
        selection=selection,
        facts=facts,
        links=tuple(links),
        grid=make_grid(spec, selection.task_ids, facts, links),
        choices={pk: candidates[pk].label for pk in selection.downstream_ids},
        sight=eyes,
    )


def _candidates(rows: Mapping[int, TaskFacts], actor: Actor, eyes: Sight) -> dict[int, Candidate]:
    projects = {row.project_id for row in rows.values()}
    closed = projects_lacking(actor, projects, Right.OPERATE)
    return {
        row.id: Candidate(
            id=row.id,
            label=eyes.name("task", row.id, row.project_id, row.label),
            status=row.status,
            cycle=row.cycle,
            operable=row.project_id not in closed,
        )
        for row in rows.values()
    }


def _without_far(
    selection: Selection, rows: Mapping[int, TaskFacts], links: Iterable[Link], eyes: Sight
) -> Selection:
    """Keep to itself what lies behind a closed box: of such tasks only neighbours are named."""
    near = {
        link.downstream
        for link in links
        if link.upstream in rows and eyes.sees(rows[link.upstream].project_id)
    }
    named = [
        one for one in selection.left_out if one.id in near or eyes.sees(rows[one.id].project_id)
    ]
    return replace(selection, left_out=tuple(named))


def _entry_tasks(entry: Entry, *, actor: Actor, project: Project) -> list[int]:
    """The ids of the tasks that the entry stands for (B2)."""
    tasks = Task.objects.order_by("pk").values_list("pk", flat=True)
    match entry.kind:
        case EntryKind.TASKS:
            _require_all(entry, scope(Task.objects.all(), actor))
            return list(entry.ids)
        case EntryKind.WORKFLOWS:
            _require_all(entry, scope(Workflow.objects.all(), actor))
            _require_operable(entry, Workflow.objects.all(), actor)
            return list(tasks.filter(workflow__in=entry.ids))
        case EntryKind.FOLDERS:
            _require_all(entry, scope(Folder.objects.all(), actor))
            _require_operable(entry, Folder.objects.all(), actor)
            return list(tasks.filter(_in_folders(entry)))
        case EntryKind.PROJECT:
            return list(tasks.filter(project=project))


def _in_folders(entry: Entry) -> Q:
    condition = Q(workflow__folder__in=entry.ids)
    if entry.subfolders:
        folders = Folder.objects.filter(pk__in=entry.ids).values_list("project_id", "path")
        for project_id, path in folders:
            condition |= Q(
                workflow__folder__project=project_id, workflow__folder__path__startswith=f"{path}/"
            )
    return condition


def _require_all(
    entry: Entry, visible: QuerySet[Task] | QuerySet[Workflow] | QuerySet[Folder]
) -> None:
    """Refuse ids that do not exist for the user: no answer tells a hidden one from a missing."""
    found = set(visible.filter(pk__in=entry.ids).values_list("pk", flat=True))
    _refuse(entry, set(entry.ids) - found, _("There is no {noun} {id} in your projects."))


def _require_operable(
    entry: Entry, rows: QuerySet[Workflow] | QuerySet[Folder], actor: Actor
) -> None:
    """Refuse what lies in a project that the user sees and may not operate (B5)."""
    project_of = dict(rows.filter(pk__in=entry.ids).values_list("pk", "project_id"))
    closed = projects_lacking(actor, project_of.values(), Right.OPERATE)
    refused = {pk for pk, project_id in project_of.items() if project_id in closed}
    _refuse(entry, refused, _("You may not operate the project of {noun} {id}."))


def _refuse(entry: Entry, refused: Collection[int], sentence: str) -> None:
    pairs = [
        (f"entry.ids.{index}", sentence.format(noun=thing(_NOUNS[entry.kind]), id=pk))
        for index, pk in enumerate(entry.ids)
        if pk in refused
    ]
    if pairs:
        raise Invalid.from_pairs(pairs)
