"""Tells whether the plan came through: `python -m tests.faults.judging FOLDER` prints breaches.

It reads the rows and the journal that the runs wrote, when nothing is going on any more. A breach
is a sentence in a JSON list; with an empty list the exit code is 0.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import django


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal: what run of which instance did what, as the `position`-th."""

    position: int
    what: str
    instance_id: int
    execution_id: int


def read_journal(path: Path) -> list[Line]:
    """Return the journal's lines in their order."""
    lines = []
    for position, text in enumerate(path.read_text().splitlines()):
        what, instance_id, execution_id = text.split()
        lines.append(Line(position, what, int(instance_id), int(execution_id)))
    return lines


def judge(folder: Path) -> list[str]:
    """Return every breach as a sentence."""
    # Django must be set up first.
    from backfill.models import Plan
    from instances.models import Edge, Execution, Instance
    from instances.states import LIVE
    from tests.support.invariants import violations

    found = violations()
    for plan in Plan.objects.exclude(state="completed"):
        found.append(f"plan {plan.pk} is {plan.state}")
    if Plan.objects.get().planned_count != Instance.objects.filter(batch__isnull=False).count():
        found.append("the plan has another number of instances than it planned")
    for pk, state, error in Instance.objects.exclude(state="SUCCESS").values_list(
        "pk", "state", "error_code"
    ):
        found.append(f"instance {pk} is {state} {error}")
    live = Execution.objects.filter(state__in=LIVE).values_list("pk", "state")
    found += [f"execution {pk} is still {state}" for pk, state in live]

    last: dict[int, int] = {}
    for pk, instance_id, state in Execution.objects.order_by("number").values_list(
        "pk", "instance_id", "state"
    ):
        if instance_id in last and state == "SUCCESS" and last[instance_id] < 0:
            found.append(f"instance {instance_id} succeeded twice")
        # Negative: it succeeded.
        last[instance_id] = -pk if state == "SUCCESS" else pk
    edges = Edge.objects.values_list("instance_id", "upstream_id")
    return found + judge_journal(read_journal(folder / "journal"), last, list(edges))


def judge_journal(
    lines: list[Line], last: dict[int, int], edges: list[tuple[int, int | None]]
) -> list[str]:
    """Return what the journal tells against `last`, {instance: its last execution, negated when it
    succeeded}, and `edges`, (instance, upstream)."""
    found = [f"two runs of {at.instance_id} at a time" for at in lines if at.what == "overlap"]
    starts: dict[int, list[Line]] = defaultdict(list)
    ends: dict[int, Line] = {}
    notes: dict[tuple[int, str], int] = defaultdict(int)
    for line in lines:
        notes[line.execution_id, line.what] += 1
        if line.what == "start":
            starts[line.instance_id].append(line)
        elif line.what == "end":
            ends[line.execution_id] = line
    for (execution_id, what), count in notes.items():
        if count > 1:
            found.append(f"execution {execution_id} noted {what} {count} times")
    for instance_id, execution_id in last.items():
        if execution_id > 0:
            found.append(f"the last execution of {instance_id} is no success")
        elif -execution_id not in ends:
            found.append(f"{instance_id} is SUCCESS, but its last run did not come to its end")
        elif starts[instance_id][-1].execution_id != -execution_id:
            found.append(f"{instance_id} was run again after its success")
    for instance_id, upstream_id in edges:
        if upstream_id is None:
            found.append(f"{instance_id} has an edge without an instance")
            continue
        end = ends.get(-last[upstream_id])
        for start in starts[instance_id]:
            if end is None or start.position < end.position:
                found.append(f"{instance_id} started before its upstream {upstream_id} had ended")
    return found


if __name__ == "__main__":
    django.setup()
    breaches = judge(Path(sys.argv[1]))
    print(json.dumps(breaches))
    sys.exit(bool(breaches))
