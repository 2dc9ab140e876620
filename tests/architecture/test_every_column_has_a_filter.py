"""Every column of a model can be filtered by, or somebody said why not (W8, I3, B21)."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.db.models import Model
from django_filters import FilterSet

from backfill.filters import PlanFilter
from instances.filters import ExecutionFilter, InstanceFilter
from projects.filters import (
    DataSourceFilter,
    MemberFilter,
    OperationFilter,
    ProjectFilter,
    ResourceGroupFilter,
)
from projects.ground.filter_fields import SearchFilter
from workflows.filters import (
    DependencyFilter,
    FolderFilter,
    TaskFilter,
    TaskVersionFilter,
    WorkflowFilter,
)

APPS = ("projects", "workflows", "events", "instances", "backfill", "config")
FILTERS: tuple[type[FilterSet], ...] = (
    DataSourceFilter,
    DependencyFilter,
    ExecutionFilter,
    FolderFilter,
    InstanceFilter,
    MemberFilter,
    OperationFilter,
    PlanFilter,
    ProjectFilter,
    ResourceGroupFilter,
    TaskFilter,
    TaskVersionFilter,
    WorkflowFilter,
)

# What filters with a method of their own look at, where it is not the column of their name.
LOOK_AT = {
    (InstanceFilter, "data_time_from"): ("data_date", "local_time"),
    (InstanceFilter, "plan"): ("batch",),
    (InstanceFilter, "settled"): ("settled_at",),
    (TaskFilter, "owner"): ("owners",),
    (WorkflowFilter, "owner"): ("owners",),
    (ResourceGroupFilter, "project"): ("projects",),
    (OperationFilter, "object_type"): (),
    (OperationFilter, "object_id"): (),
}

PROSE = "prose: nobody looks for it by its words"
CONTENT = "what it says, not what it is: read one by one"
ENGINE = "the engine's own, and shown to nobody"
FIGURE = "a figure that pages show"
SETTING = "a setting that its page shows"
MOMENT = "a moment that the list shows and is ordered by its id"

# Columns without a filter, and why.
NONE_FOR = {
    "projects.Project": {
        "description": PROSE,
        "time_zone": SETTING,
        "periodic_retention_days": SETTING,
        "backfill_retention_days": SETTING,
        "allowed_hosts": SETTING,
        "created_at": MOMENT,
    },
    "projects.Member": {"created_at": MOMENT},
    "projects.ResourceGroup": {
        "description": PROSE,
        "slots": SETTING,
        "log_retention_days": SETTING,
        "created_at": MOMENT,
    },
    "projects.DataSource": {
        "url": SETTING,
        "password": "a secret: no answer may depend on it",
        "description": PROSE,
        "created_at": MOMENT,
    },
    "projects.Operation": {
        "id": "an address: operations are looked for by who, when and what",
        "options": CONTENT,
        "succeeded": FIGURE,
        "refused": FIGURE,
        "total": FIGURE,
        "failures": ENGINE,
        "served_at": ENGINE,
        "cancelled_at": "what is under way is seen at its page",
        "cancelled_by": "what is under way is seen at its page",
        "ended_at": "what is under way is seen at its page",
    },
    "workflows.Workflow": {
        "description": PROSE,
        "time_zone": SETTING,
        "created_by": "whose it is say the owners",
        "created_at": MOMENT,
        "updated_at": MOMENT,
    },
    "workflows.Folder": {"name": "the end of the path, which search looks at"},
    "workflows.Task": {
        "draft": CONTENT,
        "position": "an order within the workflow",
        "version": "its versions are a list of their own",
        "effective_from": "the status INVALID says who is outside",
        "effective_until": "the status INVALID says who is outside",
        "self_dependent": SETTING,
        "max_parallel": SETTING,
        "scheduling_since": ENGINE,
        "scheduling_until": ENGINE,
        "owing_changed_since": ENGINE,
        "generated_until": ENGINE,
        "next_fire_at": "a moment that the list is ordered by",
        "generation_error": PROSE,
        "first_submitted_at": "a moment that the list shows",
        "first_run_at": "a moment that the list is ordered by",
        "created_at": MOMENT,
        "updated_at": MOMENT,
    },
    "workflows.TaskVersion": {
        "definition": CONTENT,
        "cycle": "the task's list and the instances' are filtered by it",
        "time_zone": SETTING,
        "comment": PROSE,
    },
    "workflows.Dependency": {"id": "a dependency is found by its ends"},
    "instances.Instance": {
        "day": "the plan's page has its days",
        "awaits_day": ENGINE,
        "frozen_from": ENGINE,
        "marked": "TERMINATING is the state to look for",
        "error_message": PROSE,
        "inline": ENGINE,
        "sort_key": ENGINE,
        "limited": ENGINE,
        "ready_xid": ENGINE,
        "retry_limit": FIGURE,
        "retry_count": FIGURE,
        "lost_count": ENGINE,
        "settled_because": PROSE,
        "total_runs": FIGURE,
        "parameters": CONTENT,
        "not_before": ENGINE,
        "waiting_since": "a phase of one instance",
        "ready_at": "a phase of one instance",
        "dispatched_at": ENGINE,
        "created_at": MOMENT,
    },
    "instances.Execution": {
        "id": "an address: executions are looked for by their instance",
        "task": "the instance's, which there is a filter for",
        "number": "a place among an instance's executions",
        "waiting_since": "a phase of one execution",
        "ready_at": "a phase of one execution",
        "dispatched_at": "a phase of one execution",
        "announced_at": ENGINE,
        "ended_at": "a phase of one execution",
        "lease_until": ENGINE,
        "stop_requested_at": ENGINE,
        "code": CONTENT,
        "parameters": CONTENT,
        "exit_code": FIGURE,
        "error_message": PROSE,
        "log_bytes": FIGURE,
    },
    "backfill.Plan": {
        "description": PROSE,
        "spec": CONTENT,
        "batch": "of a plan there is one: instances are filtered by it",
        "task_count": FIGURE,
        "planned_count": FIGURE,
        "expanded_count": FIGURE,
        "succeeded_count": FIGURE,
        "failed_count": FIGURE,
        "expanded_at": ENGINE,
        "submitted_at": "created and data dates are what plans are looked for by",
        "ended_at": "the state says who has ended",
    },
}

# Models without a list of their own, and why.
NO_LIST = {
    "projects.IdempotencyKey": "read by its user and key",
    "projects.OperationObject": "the list of one operation; operations are filtered by them",
    "projects.OperationPart": "what one project sees of an operation: part of the same list",
    "instances.Batch": "a plan's, which has a list",
    "instances.BatchDay": "the days of one plan",
    "instances.Edge": "the edges of one instance",
    "instances.LogChunk": "read from a place on",
    "instances.Nudge": ENGINE,
    "instances.RemovedDependency": "shown at the edges",
    "instances.BatchNote": ENGINE,
    "config.TallyPosition": ENGINE,
    "config.Tick": ENGINE,
    "config.Total": ENGINE,
    "backfill.PlanLink": ENGINE,
    "backfill.PlanTask": "the tasks of one plan",
    "backfill.Skip": "among the cells of one plan, which have filters",
}


def columns(model: type[Model]) -> set[str]:
    return {field.name for field in (*model._meta.concrete_fields, *model._meta.local_many_to_many)}


def looked_at(filterset: type[FilterSet]) -> Iterator[str]:
    for name, one in filterset.base_filters.items():
        if (filterset, name) in LOOK_AT:
            yield from LOOK_AT[filterset, name]
        elif isinstance(one, SearchFilter):
            yield from (text.split("__")[0] for text in (*one.texts, *one.ids))
        else:
            yield (one.field_name or name).split("__")[0]


def label(model: type[Model]) -> str:
    return f"{model._meta.app_label}.{model._meta.object_name}"


def test_every_column_has_a_filter_or_a_reason() -> None:
    lacking = {}
    for filterset in FILTERS:
        model = filterset._meta.model
        excused = NONE_FOR.get(label(model), {}).keys()
        if left := columns(model) - set(looked_at(filterset)) - excused:
            lacking[label(model)] = sorted(left)
    assert lacking == {}


def test_no_reason_is_left_of_what_has_a_filter_or_is_gone() -> None:
    stale = {}
    for filterset in FILTERS:
        model = filterset._meta.model
        excused = NONE_FOR.get(label(model), {}).keys()
        if over := (excused & set(looked_at(filterset))) | (excused - columns(model)):
            stale[label(model)] = sorted(over)
    assert stale == {}


def test_every_model_has_a_list_with_filters_or_a_reason() -> None:
    models = {label(model) for app in APPS for model in apps.get_app_config(app).get_models()}
    listed = {label(filterset._meta.model) for filterset in FILTERS}
    assert models - listed - NO_LIST.keys() == set()
    assert NO_LIST.keys() - models == set()
    assert NONE_FOR.keys() - listed == set()


def test_no_set_of_filters_is_forgotten_here() -> None:
    def below(kind: type[FilterSet]) -> Iterator[type[FilterSet]]:
        for one in kind.__subclasses__():
            yield one
            yield from below(one)

    mine = {one for one in below(FilterSet) if one.__module__.split(".")[0] in APPS}
    assert {one for one in mine if getattr(one._meta, "model", None) is not None} == set(FILTERS)
