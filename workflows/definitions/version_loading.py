"""Reading the definitions of versions: immutable, so each process parses one only once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

from workflows.definitions.definition import TaskDefinition
from workflows.models import TaskVersion

_CACHE_SIZE = 10_000
_cache: OrderedDict[int, TaskDefinition] = OrderedDict()
_lock = Lock()


def load_definitions(version_ids: Iterable[int]) -> dict[int, TaskDefinition]:
    """Return {version id: its definition}; one query for those not met before.

    Raises what is wrong with one that cannot be read.
    """
    found, errors = read_definitions(version_ids)
    for error in errors.values():
        raise error
    return found


def read_definitions(
    version_ids: Iterable[int],
) -> tuple[dict[int, TaskDefinition], dict[int, Exception]]:
    """As `load_definitions`; what is wrong with those that cannot be read comes by their ids."""
    wanted = set(version_ids)
    with _lock:
        found = {pk: _cache[pk] for pk in wanted & _cache.keys()}
    errors: dict[int, Exception] = {}
    missing = wanted - found.keys()
    if missing:
        rows = TaskVersion.objects.filter(pk__in=missing).values_list(
            "pk", "definition", "time_zone"
        )
        loaded: dict[int, TaskDefinition] = {}
        for pk, definition, time_zone in rows:
            try:
                loaded[pk] = TaskDefinition.from_stored(definition, time_zone=time_zone)
            except Exception as error:  # noqa: BLE001  # a broken row may fail in any way
                errors[pk] = error
        found |= loaded
        with _lock:
            _cache.update(loaded)
            while len(_cache) > _CACHE_SIZE:
                _cache.popitem(last=False)
    return found, errors


def forget() -> None:
    """Empty the cache: for tests, whose databases use the same ids again."""
    with _lock:
        _cache.clear()
