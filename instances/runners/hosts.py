"""Which hosts a request may go to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_PATTERN: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(?::(?P<port>\d+|\*))?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def host_allowed(patterns: Iterable[str], scheme: str, host: str, port: int | None) -> bool:
    """Whether a request may go there.

    A pattern is a host (`api.example.com`), all hosts below a domain (`*.example.com`, not the
    domain itself) or `*`, with a port if it has one: `host:8080`, `host:*`. Without a port it
    allows the usual one of the scheme only. An empty list allows nothing.
    """
    usual = _DEFAULT_PORTS.get(scheme.lower())
    if usual is None:
        return False
    wanted = _plain(host)
    return any(_matches(pattern, wanted, port or usual, usual) for pattern in patterns)


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    match = _PATTERN.fullmatch(pattern.strip())
    if match is None:
        return "is not a host, optionally with a port"
    host = match["host"]
    if "*" in host and host != "*" and (not host.startswith("*.") or "*" in host[1:]):
        return "may have a star only in front, as in *.example.com"
    return None


def _matches(pattern: str, host: str, port: int, usual_port: int) -> bool:
    match = _PATTERN.fullmatch(pattern.strip())
    if match is None or check_pattern(pattern) is not None:
        return False
    if match["port"] != "*" and port != int(match["port"] or usual_port):
        return False
    name = _plain(match["host"])
    if name == "*":
        return True
    if name.startswith("*."):
        return host.endswith(name[1:]) and len(host) > len(name) - 1
    return host == name


def _plain(host: str) -> str:
    """Lower case, no brackets, no final dot, and in the ASCII form of international names."""
    host = host.strip("[]").rstrip(".").lower()
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        return host
