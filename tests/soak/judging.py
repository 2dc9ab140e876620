"""Tells what is wrong after a soak, and its figures: `python -m tests.soak.judging FOLDER`.

Prints JSON: `violations`, sentences, and `figures` by name. Call it when nothing goes on any more.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import django


def judge(folder: Path) -> dict[str, Any]:
    """Return what the rows and the journal of the runs tell."""
    # Django must be set up first.
    from backfill.models import Plan
    from instances.models import Execution, Instance
    from instances.states import LIVE
    from tests.faults.judging import judge_neighbours, read_journal
    from tests.support.invariants import violations

    found = violations()
    live = Execution.objects.filter(state__in=LIVE).values_list("pk", "state")
    found += [f"execution {pk} is still {state}" for pk, state in live]
    lines = read_journal(folder / "journal")
    found += judge_neighbours(lines, folder / "locks")
    notes = Counter((line.execution_id, line.what) for line in lines)
    found += [f"execution {pk} noted {what} {n} times" for (pk, what), n in notes.items() if n > 1]
    for plan in Plan.objects.filter(state="completed"):
        instances = plan.batch.instances.count() if plan.batch is not None else 0
        if plan.planned_count != instances + plan.skips.count():
            found.append(f"plan {plan.pk} has other cells than it planned")

    ends = Counter(Execution.objects.values_list("state", flat=True))
    causes = Counter(Execution.objects.values_list("cause", flat=True))
    return {
        "violations": found,
        "figures": {
            "plans": Plan.objects.exclude(state="draft").count(),
            "instances": Instance.objects.count(),
            "executions": sum(ends.values()),
            "lost executions": ends["LOST"],
            "retries": causes["RETRY"],
            "reruns": causes["RERUN"],
        },
    }


if __name__ == "__main__":
    django.setup()
    print(json.dumps(judge(Path(sys.argv[1]))))
