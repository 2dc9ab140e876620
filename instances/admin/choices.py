"""The plan of an instance as its pages show it, and what the filter by plan offers.

Plans are an upper app's: here they are the counterparts of batches.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from instances.models import Batch
from projects.access import scope
from projects.console.rights import sight_of
from projects.ground.counterparts import counterpart_of
from projects.ground.showing import NOTHING, link

MOST_PLANS = 100


def plan_choices(request: HttpRequest) -> list[tuple[int, str]]:
    """Return the newest plans that the user sees."""
    plans = counterpart_of(Batch)
    if plans is None:
        return []
    rows = scope(plans.model._default_manager.all(), request.user)
    return list(rows.order_by("-pk").values_list("pk", "name")[:MOST_PLANS])


def plan_name(request: HttpRequest, instance: Any) -> str:
    """Return the name of the plan that made the instance, which is annotated with `plan_id`.

    Of a plan in a project that the user does not see it is the id alone.
    """
    plans, batch = counterpart_of(Batch), instance.batch
    if batch is None:
        return ""
    noun, pk = "batch", batch.pk
    if plans and instance.plan_id:
        noun, pk = plans.noun, instance.plan_id
    return sight_of(request).name(noun, pk, batch.project_id, batch.name)


def plan_shown(request: HttpRequest, instance: Any) -> SafeString:
    """Return a link to the plan that made the instance, or its id where the user sees no more."""
    plans, name = counterpart_of(Batch), plan_name(request, instance)
    if plans is None or instance.plan_id is None:
        return NOTHING
    if not sight_of(request).sees(instance.batch.project_id):
        return format_html('<span class="tm-none">{}</span>', name)
    return link(plans.url(instance.plan_id), name)
