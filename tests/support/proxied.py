"""This process's database through a proxy, with the pool and the bounds of production."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from config.settings.database import bounded
from tests.distributed.workers import database_url
from tests.support.proxy import Proxy, database_proxy

_ALIAS = "through-the-proxy"


class Proxied:
    """A database behind a proxy, and whose threads go that way."""

    def __init__(self, proxy: Proxy, port: int) -> None:
        self.proxy = proxy
        here = connections[DEFAULT_DB_ALIAS]
        self._kind = type(here)
        options = dict(here.settings_dict["OPTIONS"])
        options.pop("host", None)  # the folder of a socket
        self._settings: dict[str, Any] = bounded(
            {**here.settings_dict, "HOST": "127.0.0.1", "PORT": port, "OPTIONS": options},
            connections=4,
        )

    def wrapper(self) -> Any:
        """One more of Django's connections, through the proxy."""
        return self._kind(self._settings, _ALIAS)

    def take_this_thread(self) -> None:
        """Send the connections of this thread through the proxy from now on."""
        connections[DEFAULT_DB_ALIAS].close()
        connections[DEFAULT_DB_ALIAS] = self.wrapper()

    @contextmanager
    def here(self) -> Iterator[None]:
        """In the block, send the connections of this thread through the proxy."""
        before = connections[DEFAULT_DB_ALIAS]
        self.take_this_thread()
        try:
            yield
        finally:
            connections[DEFAULT_DB_ALIAS].close()
            connections[DEFAULT_DB_ALIAS] = before

    def close(self) -> None:
        self.wrapper().close_pool()


@contextmanager
def proxied_database() -> Iterator[Proxied]:
    """The test database behind a proxy, for the length of the block."""
    with database_proxy(database_url()) as (proxy, _):
        proxied = Proxied(proxy, proxy.port)
        try:
            yield proxied
        finally:
            proxied.close()
