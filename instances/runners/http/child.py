"""Sends the request of an HTTP task inside its process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx

from instances.error_codes import ErrorCode
from instances.runners.hosts import host_allowed
from instances.runners.spawner.child import Report

MAX_REDIRECTS: Final = 10
MAX_BODY_BYTES: Final = 64 * 1024
_HIDDEN_HEADERS: Final = frozenset({"set-cookie", "authorization", "proxy-authorization", "cookie"})


class _RequestFailed(Exception):
    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def main(payload: bytes, report: Report) -> int:
    """Send the request, follow its redirects, write the answer to the log."""
    task = json.loads(payload)
    try:
        status = _send(task)
    except _RequestFailed as error:
        sys.stdout.write(f"{error}\n")
        report({"error_code": error.code, "message": str(error)})
        return 1
    report({"status": status})
    return 0


def _send(task: Mapping[str, Any]) -> int:
    with httpx.Client(timeout=task["timeout"], trust_env=False) as client:
        try:
            request: httpx.Request | None = client.build_request(
                task["method"], task["url"], headers=task["headers"], content=task["body"] or None
            )
        except (httpx.InvalidURL, UnicodeError, ValueError, TypeError) as error:
            raise _RequestFailed(
                ErrorCode.BAD_CONFIG, f"The request is not valid: {error}"
            ) from error
        for _ in range(MAX_REDIRECTS + 1):
            assert request is not None
            _check_host(request.url, task["allowed_hosts"])
            started = time.monotonic()
            try:
                response = client.send(request, stream=True)
                body = _read(response)
            except httpx.InvalidURL as error:
                raise _RequestFailed(
                    ErrorCode.HTTP_ERROR, f"{_where(request.url)} redirects to no address: {error}"
                ) from error
            except httpx.HTTPError as error:
                raise _RequestFailed(
                    ErrorCode.HTTP_ERROR,
                    f"No answer from {_where(request.url)}: {type(error).__name__}: {error}",
                ) from error
            _log(request, response, body, time.monotonic() - started)
            following = response.next_request
            if following is None or _expected(task, response.status_code):
                return _judge(task, response)
            request = following
    raise _RequestFailed(ErrorCode.HTTP_ERROR, f"More than {MAX_REDIRECTS} redirects.")


def _check_host(url: httpx.URL, allowed: list[str]) -> None:
    if not host_allowed(allowed, url.scheme, url.host, url.port):
        raise _RequestFailed(
            ErrorCode.HOST_NOT_ALLOWED,
            f"The host {_where(url)} is not on the list of allowed hosts. Nothing was sent to it.",
        )


def _where(url: httpx.URL) -> str:
    """The host, with the port when it is not the usual one."""
    return url.netloc.decode("ascii")


def _read(response: httpx.Response) -> bytes:
    """The answer's body up to one byte above the limit; the rest is never fetched."""
    parts: list[bytes] = []
    size = 0
    try:
        for part in response.iter_bytes(16 * 1024):
            parts.append(part)
            size += len(part)
            if size > MAX_BODY_BYTES:
                break
    finally:
        response.close()
    return b"".join(parts)[: MAX_BODY_BYTES + 1]


def _log(request: httpx.Request, response: httpx.Response, body: bytes, seconds: float) -> None:
    address = request.url.copy_with(userinfo=b"")
    lines = [
        f"{request.method} {address}",
        f"{response.http_version} {response.status_code} {response.reason_phrase}"
        f" after {seconds:.3f} s",
    ]
    for name, value in response.headers.multi_items():
        lines.append(f"{name}: {'***' if name.lower() in _HIDDEN_HEADERS else value}")
    text = body[:MAX_BODY_BYTES].decode(response.encoding or "utf-8", "replace")
    sys.stdout.write("\n".join([*lines, "", text]))
    if not text.endswith("\n"):
        sys.stdout.write("\n")
    if len(body) > MAX_BODY_BYTES:
        sys.stdout.write(f"[the body is longer than {MAX_BODY_BYTES} bytes; the rest was left]\n")


def _expected(task: Mapping[str, Any], status: int) -> bool:
    return any(first <= status <= last for first, last in task["expected"])


def _judge(task: Mapping[str, Any], response: httpx.Response) -> int:
    if not _expected(task, response.status_code):
        ranges = (f"{a}" if a == b else f"{a}-{b}" for a, b in task["expected"])
        raise _RequestFailed(
            ErrorCode.HTTP_ERROR,
            f"{_where(response.request.url)} answered {response.status_code} "
            f"{response.reason_phrase}; expected was {', '.join(ranges)}.",
        )
    return response.status_code
