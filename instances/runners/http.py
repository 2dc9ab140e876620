"""HTTP tasks: one request to a host that is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from instances.runners.base import BadConfig, Launch, Mode, Runner, TaskContext, unknown_settings
from instances.runners.environment import build_environment

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_STATUS: Final = re.compile(r"[1-5]\d\d(-[1-5]\d\d)?")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DEFAULT_TIMEOUT: Final = 60.0


class HttpRunner(Runner):
    """Sends `config.method` (default GET) to `config.url`, with `config.headers`.

    The body is `config.body`, or the code when there is none: a text, or an object or list that
    is sent as JSON. `config.expected_status` lists statuses (204) and ranges ("200-299", the
    default). `config.timeout` is in seconds and holds for each step of the request. The address
    and every redirect must be on the context's list of allowed hosts.
    """

    type: ClassVar[str] = "http"
    title: ClassVar[str] = "HTTP request"

    def check(
        self, config: Mapping[str, Any], code: str, *, has_data_source: bool = False
    ) -> list[tuple[str, str]]:
        known = ("method", "url", "headers", "body", "expected_status", "timeout")
        errors = unknown_settings(config, known)
        url = config.get("url")
        if not isinstance(url, str) or not url:
            errors.append(("config.url", "is required"))
        # With a parameter still in it, it is judged when it runs.
        elif "${" not in url and (problem := _url_problem(url)):
            errors.append(("config.url", problem))
        if str(config.get("method", "GET")).upper() not in METHODS:
            errors.append(("config.method", f"must be one of {', '.join(METHODS)}"))
        errors.extend(_header_errors(config.get("headers", {})))
        try:
            _statuses(config.get("expected_status"))
        except BadConfig as error:
            errors.append((error.field, error.message))
        if not isinstance(config.get("body", ""), str | dict | list):
            errors.append(("config.body", "must be a text, an object or a list"))
        timeout = config.get("timeout", _DEFAULT_TIMEOUT)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
            errors.append(("config.timeout", "must be a number of seconds above 0"))
        return errors

    def prepare(self, context: TaskContext) -> Launch:
        config = context.config
        self._require(config, context.code)
        if problem := _url_problem(config["url"]):
            raise BadConfig("config.url", problem)
        headers = dict(config.get("headers", {}))
        body = config.get("body", context.code)
        if not isinstance(body, str):
            body = json.dumps(body)
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = "application/json"
        payload = {
            "method": str(config.get("method", "GET")).upper(),
            "url": config["url"],
            "headers": headers,
            "body": body,
            "expected": _statuses(config.get("expected_status")),
            "timeout": config.get("timeout", _DEFAULT_TIMEOUT),
            "allowed_hosts": context.allowed_hosts,
        }
        return Launch(
            mode=Mode.CALL,
            target="instances.runners.http_child:main",
            payload=json.dumps(payload).encode(),
            environment=build_environment(context),
            working_directory=context.scratch,
            limits=context.limits,
        )


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError as error:
        return str(error)
    return None if usable else "must be an address that begins with http:// or https://"


def _header_errors(headers: object) -> list[tuple[str, str]]:
    if not isinstance(headers, Mapping):
        return [("config.headers", "must be an object of names and texts")]
    return [
        (f"config.headers.{name}", "is not a header: a name and a text on one line")
        for name, value in headers.items()
        if not isinstance(value, str) or not _HEADER.fullmatch(name) or "\n" in value
    ]


def _statuses(expected: object) -> list[tuple[int, int]]:
    """Ranges of statuses, both ends included."""
    if expected is None:
        return [(200, 299)]
    ranges: list[tuple[int, int]] = []
    for item in expected if isinstance(expected, list) else [expected]:
        text = str(item)
        if isinstance(item, bool) or not _STATUS.fullmatch(text):
            raise BadConfig("config.expected_status", f"{text!r} is neither 204 nor 200-299")
        first, _, last = text.partition("-")
        ranges.append((int(first), int(last or first)))
    return ranges
