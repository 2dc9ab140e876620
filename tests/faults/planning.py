"""Makes the plan that runs while things break: `python -m tests.faults.planning COUNT FOLDER`.

With a number of SECONDS after it, runs take as long as that.

Layers of tasks over many days. A run takes its instance's lock, which its last process gives back:
so the kernel tells whether two runs of an instance overlap. When it starts it notes which locks are
held, by their inodes: so the kernel tells whether it starts beside a run of its upstream. All runs
write to one journal, whose lines are in the order in which things happened.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

import django

LAYERS, WIDTH = 5, 4
FIRST_DAY = date(2024, 1, 1)
SLOTS = 24

RUN = """
exec 9>>"{folder}/locks/$TIDEMILL_INSTANCE_ID"
note() {{ echo "$1 $TIDEMILL_INSTANCE_ID $TIDEMILL_EXECUTION_ID $2" >>"{folder}/journal"; }}
flock --nonblock 9 || note overlap
note beside "$(awk '$2 == "FLOCK" {{split($6, at, ":"); printf "%s,", at[3]}}' /proc/locks)"
note start
{work}
note end
"""
# Most are short; some leave their session and do not listen to SIGTERM.
SHORT = "sleep 0.1"
STUBBORN = "trap '' TERM\nsetsid sleep 1.2 &\nwait"


def main(count: int, folder: Path, seconds: float | None = None) -> None:
    """Make and submit a plan of `count` instances: a multiple of the number of tasks, or less for
    one day of the first tasks."""
    # Django must be set up first.
    from django.core.management import call_command

    from instances.runners.users import give
    from projects.models import ResourceGroup
    from tests.factories.definitions import make_submitted_tasks
    from tests.factories.plans import make_spec, make_submitted_plan

    call_command("migrate", verbosity=0)
    for name in ("locks", "switches"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ResourceGroup.objects.filter(name="default").update(slots=SLOTS)
    definitions = _definitions(folder, None if seconds is None else f"sleep {seconds}")
    tasks = list(make_submitted_tasks(definitions).values())[:count]
    folder.chmod(0o711)
    (folder / "journal").touch()
    for path in (folder / "locks", folder / "journal"):
        give(tasks[0].workflow.project_id, path)
    last = FIRST_DAY + timedelta(days=count // len(tasks) - 1)
    plan = make_submitted_plan(make_spec(tasks, FIRST_DAY, last))
    assert plan.planned_count == count, (plan.planned_count, count)


def _definitions(folder: Path, work_of_all: str | None) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for layer in range(LAYERS):
        for place in range(WIDTH):
            work = work_of_all or (STUBBORN if (layer, place) == (1, 0) else SHORT)
            beside = {place, (place + 1) % WIDTH} if layer else set()
            upstream = [f"task_{layer - 1}_{other}" for other in sorted(beside)]
            found[f"task_{layer}_{place}"] = {
                "code": RUN.format(folder=folder, work=work),
                "depends_on": upstream,
                "retries": {"limit": 100, "interval": 1},
            }
    return found


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]), Path(sys.argv[2]), *map(float, sys.argv[3:]))
