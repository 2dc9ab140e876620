"""Tells whether the plan came through: `python -m tests.faults.judging FOLDER` prints breaches.

It reads the rows and the journal that the runs wrote, when nothing is going on any more. A breach
is a sentence in a JSON list; with an empty list the exit code is 0. What operators acted on may
have been run more often than once, or not at all: of that less is asked.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import django


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the journal: what run of which instance did what, as the `position`-th.

    beside: the inodes of the locks that were held.
    """

    position: int
    what: str
    instance_id: int
    execution_id: int
    beside: frozenset[int] = frozenset()


def read_journal(path: Path) -> list[Line]:
    """Return the journal's lines in their order."""
    lines = []
    for position, text in enumerate(path.read_text().splitlines()):
        what, instance_id, execution_id, *beside = text.split()
        held = frozenset(int(one) for one in "".join(beside).split(",") if one)
        lines.append(Line(position, what, int(instance_id), int(execution_id), held))
    return lines


def judge(folder: Path) -> list[str]:
    """Return every breach as a sentence."""
    # Django must be set up first.
    from backfill.models import Plan
    from instances.models import Edge, Execution, Instance
    from instances.states import LIVE
    from projects.models import OperationObject
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

    operated = set(
        OperationObject.objects.filter(
            ok=True, object_type="instance", operation__verb__startswith="instances."
        ).values_list("object_id", flat=True)
    )
    last: dict[int, int] = {}
    for pk, instance_id, state in Execution.objects.order_by("number").values_list(
        "pk", "instance_id", "state"
    ):
        again = instance_id in last and state == "SUCCESS" and last[instance_id] < 0
        if again and instance_id not in operated:
            found.append(f"instance {instance_id} succeeded twice")
        # Negative: it succeeded.
        last[instance_id] = -pk if state == "SUCCESS" else pk
    lines = read_journal(folder / "journal")
    edges = list(Edge.objects.values_list("instance_id", "upstream_id"))
    found += judge_neighbours(lines, folder / "locks")
    return found + judge_journal(lines, last, edges, operated)


def judge_neighbours(lines: list[Line], locks: Path) -> list[str]:
    """Return which runs started beside a run of their upstream, or of their own instance.

    locks: the folder of the instances' locks. An upstream that was run again after a run had been
    claimed is nobody's fault; nor is one whose dependency was removed.
    """
    from instances.models import Edge, Execution

    owners = {path.stat().st_ino: int(path.name) for path in locks.iterdir()}
    upstreams: dict[int, set[int]] = defaultdict(set)
    for instance_id, upstream_id in Edge.objects.filter(
        upstream__isnull=False, removed_at__isnull=True
    ).values_list("instance_id", "upstream_id"):
        upstreams[instance_id].add(upstream_id)
    spans: dict[int, tuple[datetime, datetime]] = {}
    claims: dict[int, list[datetime]] = defaultdict(list)
    for pk, instance_id, started_at, ended_at in Execution.objects.filter(
        started_at__isnull=False
    ).values_list("pk", "instance_id", "started_at", "ended_at"):
        spans[pk] = started_at, ended_at
        claims[instance_id].append(started_at)
    found = [f"two runs of {at.instance_id} at a time" for at in lines if at.what == "overlap"]
    for line in lines:
        running = {owners[inode] for inode in line.beside & owners.keys()}
        for upstream_id in running & upstreams[line.instance_id]:
            # Nobody could know at the claim of a run of it that was claimed later.
            claimed, ended = spans[line.execution_id]
            if not any(claimed < at < ended for at in claims[upstream_id]):
                found.append(f"{line.instance_id} started beside a run of {upstream_id}, above it")
    return found


def judge_journal(
    lines: list[Line],
    last: dict[int, int],
    edges: list[tuple[int, int | None]],
    operated: set[int],
) -> list[str]:
    """Return what the journal tells against `last`, {instance: its last execution, negated when it
    succeeded}, and `edges`, (instance, upstream). `operated`: what operators acted on."""
    found: list[str] = []
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
        if instance_id in operated:
            continue
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
        if upstream_id in operated:  # it may have been marked success
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
