"""Who asks, as the embedded web server tells: the client behind the proxies that are spoken of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.request import Request, urlopen

import pytest
from django.core.handlers.wsgi import WSGIRequest

from config.embedded.web_server import WebServer, listen
from projects.administration.logins import address_of

pytestmark = pytest.mark.feature("P4")


def who_asks(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [str(address_of(WSGIRequest(environ))).encode()]


@pytest.mark.parametrize(
    ("proxies", "found"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.1")]
)
def test_the_address_is_the_clients_behind_so_many_proxies(
    settings: Any, proxies: int, found: str
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server = WebServer(who_asks, listener)
    server.start()
    try:
        said = {"X-Forwarded-For": "192.0.2.1, 198.51.100.1, 203.0.113.9"}
        with urlopen(Request(address, headers=said), timeout=10) as answer:
            assert answer.read().decode() == found
    finally:
        server.stop()
