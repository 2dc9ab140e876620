"""People who use the REST API at random, each in a thread of its own."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import httpx

# More instances than this that are not finished: nobody submits another plan.
MOST_UNFINISHED = 600
MOST_IN_A_PLAN = 200
_FIRST_DAY = date(2024, 1, 1)
# Seconds between two acts, at most.
_REST = 0.6
_ANSWER_SECONDS = 60.0

Json = dict[str, Any]


class Tally:
    """What was asked and answered, and what should not have been. Safe for threads."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str]] = Counter()  # by verb and answer
        self.findings: list[str] = []
        self._lock = threading.Lock()

    def count(self, verb: str, answer: str) -> None:
        with self._lock:
            self.answers[verb, answer] += 1

    def found(self, what: str) -> None:
        with self._lock:
            self.findings.append(what)


class Api:
    """Calls below /api/v1/. An answer below 500 is honest, and so is 503; all else is noted."""

    def __init__(self, port: int, tally: Tally, token: str = "") -> None:
        self._tally = tally
        headers = {"Host": "localhost"} | ({"Authorization": f"Token {token}"} if token else {})
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/api/v1/", headers=headers, timeout=_ANSWER_SECONDS
        )

    def call(self, verb: str, method: str, path: str, body: Json | None = None) -> Json | None:
        """Return the answer of a call that did what it was asked; None for any other."""
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.TimeoutException:
            self._tally.found(f"{verb}: no answer within {_ANSWER_SECONDS:.0f} s")
            self._tally.count(verb, "no answer in time")
            return None
        except httpx.HTTPError:
            self._tally.count(verb, "cut off")
            return None
        told = answer.json() if answer.headers.get("content-type") == "application/json" else {}
        code = told.get("code", "") if isinstance(told, dict) and answer.is_error else ""
        self._tally.count(verb, f"{answer.status_code} {code}".strip())
        if answer.status_code >= 500 and answer.status_code != 503:
            self._tally.found(f"{verb}: {answer.status_code} {answer.text[:500]}")
        return told if answer.is_success and isinstance(told, dict) else None


class User(threading.Thread):
    """Acts at random until `stop` is set. `tasks`: the definition of each task that is there."""

    def __init__(
        self, api: Api, project: int, tasks: dict[int, Json], seed: str, stop: threading.Event
    ) -> None:
        super().__init__(name=f"user {seed}", daemon=True)
        self.error: Exception | None = None
        self._api, self._project, self._tasks = api, project, tasks
        self._chance = random.Random(seed)
        self._stop_asked = stop

    def run(self) -> None:
        acts: list[Callable[[], None]] = [
            *[self._operate] * 12,
            *[self._look] * 4,
            *[self._run_a_plan] * 3,
            *[self._steer_a_plan] * 2,
            *[self._change_a_task] * 2,
            *[self._steer_a_task] * 2,
            self._change_slots,
        ]
        try:
            while not self._stop_asked.is_set():
                self._chance.choice(acts)()
                time.sleep(self._chance.uniform(0, _REST))
        except Exception as error:  # noqa: BLE001  # told by whoever waits for the thread
            self.error = error

    def _operate(self) -> None:
        verb, states = self._chance.choice(
            [
                *[("mark-success", "RUNNING")] * 3,
                ("mark-success", "WAITING_UPSTREAM,WAITING_EXECUTION,FAILED"),
                *[("rerun", "SUCCESS")] * 2,
                *[("rerun", "FAILED")] * 2,
                ("rerun", "WAITING_EXECUTION,RETRYING,TERMINATING,RUNNING"),
                *[("terminate", "RUNNING")] * 2,
                ("terminate", "WAITING_EXECUTION,WAITING_UPSTREAM,TERMINATING"),
                *[("freeze", "WAITING_UPSTREAM,RETRYING,SUCCESS,FAILED")] * 2,
                *[("unfreeze", "FROZEN")] * 3,
                ("remove-dependencies", "WAITING_UPSTREAM"),
            ]
        )
        found = self._list("instances", f"state={states}&page_size=100")
        chosen = self._chance.sample(found, min(len(found), self._chance.randint(1, 3)))
        if len(chosen) == 1:
            body = {"all": True} if verb == "remove-dependencies" else {}
            self._api.call(verb, "POST", f"instances/{chosen[0]}/{verb}/", body)
        elif chosen:
            path = f"instances/batch/{verb}/"
            self._api.call(f"{verb}, many", "POST", path, {"ids": chosen})

    def _look(self) -> None:
        self._api.call("count", "GET", "instances/counts/")
        for pk in self._list("instances", "page_size=20")[:1]:
            what = self._chance.choice(["", "waiting/", "edges/", "executions/", "log/"])
            self._api.call(
                f"look at an instance {what}".strip(" /"), "GET", f"instances/{pk}/{what}"
            )

    def _run_a_plan(self) -> None:
        counts = self._api.call("count", "GET", "instances/counts/")
        if counts is None:
            return
        states = counts["states"]
        if counts["total"] - states["SUCCESS"] - states["FAILED"] > MOST_UNFINISHED:
            return
        body = {"project": self._project, "spec": self._spec()}
        preview = self._api.call("preview", "POST", "backfills/preview/", body)
        if preview is None or not 0 < preview["instance_count"] <= MOST_IN_A_PLAN:
            return
        if any(warning["code"] == "later_day" for warning in preview["warnings"]):
            return  # it would wait for itself, as it says
        plan = self._api.call("make a plan", "POST", "backfills/", body)
        if plan is not None:
            self._api.call("submit a plan", "POST", f"backfills/{plan['id']}/submit/", {})

    def _spec(self) -> Json:
        pick = self._chance.choice
        first = _FIRST_DAY + timedelta(days=self._chance.randrange(300))
        days = self._chance.randint(1, 6)
        ids = self._chance.sample(sorted(self._tasks), self._chance.randint(1, 3))
        spec: Json = {
            "entry": pick([{"kind": "tasks", "ids": ids}, {"kind": "project"}]),
            "scope": pick(["selected", "selected_and_downstream"]),
            "periods": [{"first": f"{first}", "last": f"{first + timedelta(days=days)}"}],
            "order": pick(["ascending", "descending"]),
            "dependency_check": pick(["all", "selected", "selected", "none"]),
            "time_until": pick(["23:59", "00:30"]),
        }
        if self._chance.random() < 0.4:
            spec |= {"run_mode": "day_by_day", "groups": pick([None, 2, 3])}
        return spec

    def _steer_a_plan(self) -> None:
        verb, states = self._chance.choice(
            [("pause", "expanding,running"), ("pause", "running"), ("terminate", "running")]
        )
        for pk in self._list("backfills", f"state={states}")[:1]:
            self._api.call(f"{verb} a plan", "POST", f"backfills/{pk}/{verb}/", {})
            if verb == "pause":
                time.sleep(self._chance.uniform(0, 3))
                self._api.call("resume a plan", "POST", f"backfills/{pk}/resume/", {})

    def _change_a_task(self) -> None:
        """Submit another schedule, and perhaps other upstream tasks."""
        pk = self._chance.choice(sorted(self._tasks))
        definition = self._tasks[pk] | {"schedule": random_schedule(self._chance)}
        if self._chance.random() < 0.3:
            above = definition["depends_on"]
            definition["depends_on"] = self._chance.sample(
                above, self._chance.randint(0, len(above))
            )
        body = {"definition": definition}
        if self._api.call("change a draft", "PATCH", f"tasks/{pk}/", body) is not None:
            self._api.call("submit a task", "POST", f"tasks/{pk}/submit/", {})

    def _steer_a_task(self) -> None:
        pk = self._chance.choice(sorted(self._tasks))
        verb = self._chance.choice(["pause", "pause", "offline"])
        self._api.call(f"{verb} a task", "POST", f"tasks/{pk}/{verb}/", {})
        time.sleep(self._chance.uniform(0, 2))
        if verb == "offline":
            self._api.call("submit a task", "POST", f"tasks/{pk}/submit/", {})
        self._api.call("start a task", "POST", f"tasks/{pk}/start/", {})

    def _change_slots(self) -> None:
        for pk in self._list("resource-groups", "")[:1]:
            body = {"slots": self._chance.randint(6, 24)}
            self._api.call("change slots", "PATCH", f"resource-groups/{pk}/", body)

    def _list(self, nouns: str, query: str) -> list[int]:
        """Return ids of a list's first page, in any order."""
        found = self._api.call(f"list {nouns}", "GET", f"{nouns}/?{query}")
        ids = [row["id"] for row in found["results"]] if found else []
        return self._chance.sample(ids, len(ids))


def random_schedule(chance: random.Random) -> Json:
    """Return a schedule that fires a few times a day, an hour, or a few times an hour."""
    at = f"{chance.randrange(24):02}:{chance.randrange(60):02}"
    return chance.choice(
        [
            {"cycle": "day", "at": at},
            {"cycle": "day", "at": "00:00"},
            {"cycle": "hour", "every": chance.choice([1, 4, 6])},
            {"cycle": "hour", "hours": sorted(chance.sample(range(24), 3)), "minute": 30},
            {"cycle": "minute", "every": chance.choice([1, 2, 5])},
            {"cycle": "crontab", "expression": f"*/{chance.choice([1, 3, 10])} * * * *"},
            {"cycle": "week", "weekdays": [chance.randint(1, 7)], "at": at},
        ]
    )
