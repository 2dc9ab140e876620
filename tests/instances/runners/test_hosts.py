"""Which hosts a request may go to."""

from __future__ import annotations

import pytest

from instances.runners.hosts import check_pattern, host_allowed


@pytest.mark.parametrize(
    ("pattern", "scheme", "host", "port", "allowed"),
    [
        ("api.example.com", "https", "api.example.com", None, True),
        ("api.example.com", "http", "API.example.com.", 80, True),
        ("api.example.com", "https", "api.example.com", 8443, False),
        ("api.example.com", "https", "xapi.example.com", None, False),
        ("api.example.com", "https", "api.example.com.evil.org", None, False),
        ("api.example.com:8443", "https", "api.example.com", 8443, True),
        ("api.example.com:8443", "https", "api.example.com", None, False),
        ("api.example.com:*", "http", "api.example.com", 1234, True),
        ("*.example.com", "https", "a.b.example.com", None, True),
        ("*.example.com", "https", "example.com", None, False),
        ("*.example.com", "https", "notexample.com", None, False),
        ("*", "https", "anything.org", None, True),
        ("*", "ftp", "anything.org", None, False),
        ("[::1]:8000", "http", "::1", 8000, True),
        ("bücher.example", "https", "xn--bcher-kva.example", None, True),
        ("127.0.0.1:9", "http", "127.0.0.1", 9, True),
        ("a*.example.com", "https", "ab.example.com", None, False),
    ],
)
def test_a_pattern_allows_what_it_names(
    pattern: str, scheme: str, host: str, port: int | None, allowed: bool
) -> None:
    assert host_allowed([pattern], scheme, host, port) is allowed


def test_an_empty_list_allows_nothing() -> None:
    assert not host_allowed([], "https", "example.com", None)


@pytest.mark.parametrize("pattern", ["", "a b", "http://x", "x/y", "u@x", "a.*.com", "*a", "x:y"])
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    assert check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["x", "*.x.org", "*", "x:80", "[::1]", "x:*", "*:8080"])
def test_patterns_are_accepted(pattern: str) -> None:
    assert check_pattern(pattern) is None
