"""Instances, as what verbs act on."""

from __future__ import annotations

from instances.ground.locking import lock_instances
from instances.models import Instance
from instances.states import State
from projects.ground.showing import slot_name
from projects.verbs.verb import Noun

INSTANCES = Noun(
    key="instance",
    plural="instances",
    model=Instance,
    states=State,
    missing="There is no such instance.",
    filterset="instances.filters.InstanceFilter",
    label=("task__name", "data_date", "local_time"),
    spell=slot_name,
    lock=lock_instances,
)
