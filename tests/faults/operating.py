"""An operator who acts at random while things break: `python -m tests.faults.operating DIR SEED`.

Until there is a file `closing` in DIR. Then all is put right, so that it can come to its end: what
is frozen is unfrozen, what failed is run again, the plan is resumed. Prints how often each verb did
what it was asked, and how often it refused, as JSON. An error that is not the database's absence
ends it with that error.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from django.db import InterfaceError, OperationalError, connection

_AWAY = (OperationalError, InterfaceError)
# Seconds between two acts, at most.
_REST = 0.5
_MOST = 3  # instances at a time


class Operator:
    """Acts on instances in random states, most of them such in which the verb is allowed."""

    def __init__(self, seed: str) -> None:
        # Django must be set up first.
        from backfill.verbs.control import pause_plans, resume_plans
        from instances.verbs.freezing import freeze, unfreeze
        from instances.verbs.mark_success import mark_success
        from instances.verbs.rerun import rerun
        from instances.verbs.terminate import terminate

        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._verbs: dict[str, Callable[..., Any]] = {
            verb.name: verb for verb in (freeze, unfreeze, mark_success, rerun, terminate)
        } | {"pause": pause_plans, "resume": resume_plans}

    def act_at_random(self) -> None:
        """Do one thing to a few instances, or to the plan."""
        name, states = self._chance.choice(
            [
                *[("mark_success", ["RUNNING"])] * 3,
                ("mark_success", ["WAITING_UPSTREAM", "WAITING_EXECUTION", "FAILED"]),
                *[("rerun", ["SUCCESS"])] * 2,
                ("rerun", ["SUCCESS", "WAITING_EXECUTION", "RETRYING", "TERMINATING"]),
                *[("rerun", ["FAILED"])] * 2,
                *[("terminate", ["RUNNING"])] * 2,
                ("terminate", ["WAITING_EXECUTION", "TERMINATING"]),
                ("freeze", ["WAITING_UPSTREAM", "RETRYING", "SUCCESS", "FAILED"]),
                *[("unfreeze", ["FROZEN"])] * 3,
            ]
        )
        if self._chance.random() < 0.03:
            self._do("pause", ids=self._plans())
            time.sleep(self._chance.random())
            self._do("resume", ids=self._plans())
        elif ids := self._some(states):
            self._do(name, ids=ids)

    def put_right(self) -> bool:
        """Take back what keeps instances from success; True when all of them are one."""
        from instances.models import Instance

        self._do("resume", ids=self._plans())
        for name, states in (("unfreeze", ["FROZEN"]), ("rerun", ["FAILED"])):
            if ids := self._some(states, most=1000):
                self._do(name, ids=ids)
        return not Instance.objects.exclude(state="SUCCESS").exists()

    def _do(self, name: str, **arguments: Any) -> None:
        for outcome in self._verbs[name](actor=None, **arguments).outcomes:
            self.counts[f"{name} {outcome.code or 'ok'}"] += 1

    def _plans(self) -> list[int]:
        from backfill.models import Plan

        return list(Plan.objects.values_list("pk", flat=True))

    def _some(self, states: list[str], most: int = _MOST) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT id FROM instances_instance WHERE state = ANY(%s) ORDER BY started_at, id",
                [states],
            )
            found = [row[0] for row in cursor.fetchall()]
        if states == ["RUNNING"]:  # an operator looks at what runs for long
            found = found[: 2 * most]
        return self._chance.sample(found, min(len(found), most))

    def rest(self) -> None:
        time.sleep(self._chance.uniform(0, _REST))


def main(folder: Path, seed: str) -> None:
    """Act until the end is near, then put everything right."""
    operator = Operator(seed)
    closing = folder / "closing"
    done = False
    while not done:
        try:
            if closing.exists():
                done = operator.put_right()
            else:
                operator.act_at_random()
        except _AWAY:
            operator.counts["database away"] += 1
            connection.close()
        operator.rest()
    print(json.dumps(dict(sorted(operator.counts.items()))))


if __name__ == "__main__":
    django.setup()
    main(Path(sys.argv[1]), sys.argv[2])
