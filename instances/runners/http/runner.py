"""HTTP tasks: one request to a host that is allowed."""

from __future__ import annotations

import json
from collections.abc import Iterable

from instances.runners.base import BadConfig, Launch, Mode, Runner, TaskContext
from instances.runners.environment import build_environment
from instances.runners.http.task_type import url_problem


class HttpRunner(Runner):
    """Sends `config.method` to `config.url`, with `config.headers` and `config.body`.

    Without a body the code is sent. A body that is an object or a list is sent as JSON.
    `config.timeout` holds for each step of the request. The address and every redirect must be on
    the context's list of allowed hosts.
    """

    def prepare(self, context: TaskContext) -> Launch:
        config = context.config
        if problem := url_problem(config["url"]):
            raise BadConfig("config.url", problem)
        headers = dict(config["headers"] or {})
        body = context.code if config["body"] is None else config["body"]
        if not isinstance(body, str):
            body = json.dumps(body)
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = "application/json"
        payload = {
            "method": config["method"],
            "url": config["url"],
            "headers": headers,
            "body": body,
            "expected": _statuses(config["expected_status"] or ["200-299"]),
            "timeout": config["timeout"],
            "allowed_hosts": context.allowed_hosts,
        }
        return Launch(
            mode=Mode.CALL,
            target="instances.runners.http.child:main",
            payload=json.dumps(payload).encode(),
            environment=build_environment(context),
            working_directory=context.scratch,
            limits=context.limits,
        )


def _statuses(expected: Iterable[str | int]) -> list[tuple[int, int]]:
    """Ranges of statuses, both ends included."""
    parts = (str(item).partition("-") for item in expected)
    return [(int(first), int(last or first)) for first, _, last in parts]
