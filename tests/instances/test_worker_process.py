"""The beginning of a worker process."""

from __future__ import annotations

from pathlib import Path

from django.conf import LazySettings

from instances.worker_process import remove_old_scratch
from tests.factories import make_submitted_task
from tests.support.engine import Engine, new_instance


def test_folders_of_executions_that_nobody_holds_are_removed(
    engine: Engine, tmp_path: Path, settings: LazySettings
) -> None:
    settings.DATA_DIRECTORY = tmp_path
    (instance,) = engine.make(new_instance(make_submitted_task()))
    held = engine.start(instance)
    for name in (f"execution-{held}", "execution-999999999", "something-else"):
        (tmp_path / "work" / name).mkdir(parents=True)
    remove_old_scratch()
    assert sorted(entry.name for entry in (tmp_path / "work").iterdir()) == [
        f"execution-{held}",
        "something-else",
    ]
