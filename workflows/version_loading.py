"""Reading the definitions of versions: immutable, so each process parses one only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

from workflows.definition import TaskDefinition
from workflows.models import TaskVersion

_CACHE_SIZE = 10_000
_cache: OrderedDict[int, TaskDefinition] = OrderedDict()
_lock = Lock()


def load_definitions(version_ids: Iterable[int]) -> dict[int, TaskDefinition]:
    """Return {version id: its definition}; one query for those not met before."""
    wanted = set(version_ids)
    with _lock:
        found = {pk: _cache[pk] for pk in wanted & _cache.keys()}
    missing = wanted - found.keys()
    if missing:
        rows = TaskVersion.objects.filter(pk__in=missing).values_list(
            "pk", "definition", "time_zone"
        )
        loaded = {
            pk: TaskDefinition.from_stored(definition, time_zone=time_zone)
            for pk, definition, time_zone in rows
        }
        found |= loaded
        with _lock:
            _cache.update(loaded)
            while len(_cache) > _CACHE_SIZE:
                _cache.popitem(last=False)
    return found


def forget() -> None:
    """Empty the cache: for tests, whose databases use the same ids again."""
    with _lock:
        _cache.clear()
