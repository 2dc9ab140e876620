"""The cells of a plan, page by page: instances and skips in one order (B26)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from heapq import merge
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core import signing
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from django_filters.utils import translate_validation
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from backfill.models import Plan, PlanTask, Skip
from backfill.states import SkipReason
from instances.models import Instance
from instances.states import State
from projects.access import sight
from projects.ground.closed_box import Sight
from projects.ground.filter_fields import ISO_DATE, IdsField
from projects.rest.filtering import refuse_blanks
from projects.rest.keyset import CURSOR
from projects.rest.pagination import read_page_size

_SALT = "tidemill.cursor.cells"


class CellForm(forms.Form):
    """Which cells of a plan."""

    task = IdsField(required=False)
    state = forms.MultipleChoiceField(choices=State.choices, required=False)
    skip = forms.MultipleChoiceField(choices=SkipReason.choices, required=False)
    data_date_from = forms.DateField(required=False, input_formats=[ISO_DATE])
    data_date_until = forms.DateField(required=False, input_formats=[ISO_DATE])


def cells_page(plan: Plan, request: Request) -> dict[str, Any]:
    """Return a page of the plan's cells by planned time and task: five queries.

    Those of tasks that the user does not see are not among them: each would tell a planned time.
    """
    form = CellForm(request.query_params)
    unknown = set(request.query_params) - {*form.fields, CURSOR, "page_size"}
    if unknown:
        problem = [_("There is no such filter.")]
        raise ValidationError(dict.fromkeys(unknown, problem))
    refuse_blanks(request.query_params, form.fields)
    if not form.is_valid():
        raise translate_validation(form.errors)
    size = read_page_size(request)
    position = _read_cursor(request.query_params.get(CURSOR))
    eyes = sight(request.user)
    rows = _cells(plan, form.cleaned_data, position, size + 1, eyes)
    page = rows[:size]
    following = None
    if len(rows) > size:
        at, task_id, *_rest = page[-1]
        cursor = signing.dumps([at.isoformat(), task_id], salt=_SALT)
        following = replace_query_param(request.build_absolute_uri(), CURSOR, cursor)
    return {"next": following, "previous": None, "results": _answers(plan, page)}


def _cells(
    plan: Plan,
    wanted: dict[str, Any],
    position: tuple[datetime, int] | None,
    limit: int,
    eyes: Sight,
) -> list[tuple[Any, ...]]:
    """(planned time, task, data date, instance, state, reason) of the first cells after one."""
    condition = Q()
    if eyes.projects is not None:
        tasks = PlanTask.objects.filter(plan=plan).exclude(task__project__in=eyes.projects)
        if closed := list(tasks.values_list("task_id", flat=True)):
            condition &= ~Q(task__in=closed)
    if wanted["task"]:
        condition &= Q(task__in=wanted["task"])
    if wanted["data_date_from"]:
        condition &= Q(data_date__gte=wanted["data_date_from"])
    if wanted["data_date_until"]:
        condition &= Q(data_date__lte=wanted["data_date_until"])
    if position is not None:
        at, task_id = position
        condition &= Q(scheduled_at__gt=at) | Q(scheduled_at=at, task__gt=task_id)
    instances: QuerySet = Instance.objects.filter(condition, batch=plan.batch_id)
    skips: QuerySet = Skip.objects.filter(condition, plan=plan)
    if wanted["state"] or wanted["skip"]:
        instances = instances.filter(state__in=wanted["state"])
        skips = skips.filter(reason__in=wanted["skip"])
    if plan.batch_id is None:
        instances = instances.none()
    order = ("scheduled_at", "task_id")
    made = instances.order_by(*order).values_list(*order, "data_date", "pk", "state")[:limit]
    skipped = skips.order_by(*order).values_list(*order, "data_date", "reason")[:limit]
    return list(
        islice(
            merge(
                ((*row, None) for row in made),
                ((*row[:3], None, None, row[3]) for row in skipped),
                key=lambda row: row[:2],
            ),
            limit,
        )
    )


def _answers(plan: Plan, rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    tasks = {
        task_id: (name, ZoneInfo(zone))
        for task_id, name, zone in PlanTask.objects.filter(
            plan=plan, task__in={row[1] for row in rows}
        ).values_list("task_id", "task__name", "version__time_zone")
    }
    return [
        {
            "task": task_id,
            "name": tasks[task_id][0],
            "scheduled_at": at.astimezone(tasks[task_id][1]),
            "data_date": data_date,
            "instance": instance,
            "state": state,
            "skip": reason,
        }
        for at, task_id, data_date, instance, state, reason in rows
    ]


def _read_cursor(cursor: str | None) -> tuple[datetime, int] | None:
    if cursor is None:
        return None
    try:
        at, task_id = signing.loads(cursor, salt=_SALT)
    except (signing.BadSignature, ValueError) as error:
        problem = _("This is not a cursor of this list.")
        raise ValidationError({CURSOR: [problem]}) from error
    return datetime.fromisoformat(at).astimezone(UTC), task_id
