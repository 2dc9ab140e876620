"""Instances, as what verbs act on."""

from __future__ import annotations

from django.utils.translation import ngettext

from instances.ground.locking import lock_instances
from instances.models import Instance
from instances.states import State
from projects.ground.showing import slot_name
from projects.ground.words import gettext_lazy, thousands
from projects.verbs.verb import Noun


def _instances(number: int) -> str:
    return ngettext("{count} instance", "{count} instances", number).format(count=thousands(number))


INSTANCES = Noun(
    key="instance",
    plural="instances",
    model=Instance,
    states=State,
    missing=gettext_lazy("There is no such instance."),
    filterset="instances.filters.InstanceFilter",
    counted=_instances,
    label=("task__name", "data_date", "local_time"),
    spell=slot_name,
    lock=lock_instances,
)
