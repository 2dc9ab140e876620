"""The web server of the embedded default: waitress in a thread."""

from __future__ import annotations

import socket
import threading
from typing import Any

from django.conf import settings
from waitress.server import create_server

THREADS = 8


class PortUnavailable(Exception):
    """The address cannot be listened on; the message names it and says what to do."""


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; port 0 takes a free one. Raises PortUnavailable.

    From now on a browser waits instead of being refused, and no other start can take the port.
    """
    if not 0 <= port <= 65535:
        raise PortUnavailable(f"{host}:{port} cannot be used: ports go from 0 to 65535.")
    try:
        [family, kind, protocol, _, address] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortUnavailable(f"{host}:{port} is not an address of this machine.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise PortUnavailable(
            f"{host}:{port} cannot be used ({error.strerror}); choose another port, "
            f"for example: PORT={port + 1 if 0 < port < 65535 else 8000}"
        ) from error
    return listener


class WebServer:
    """Serves one WSGI application on a socket that listens already."""

    def __init__(self, application: Any, listener: socket.socket) -> None:
        self._server = create_server(
            application,
            sockets=[listener],
            threads=THREADS,
            ident="tidemill",
            # With proxies in front it is theirs to say who asks; else anybody could say anything.
            clear_untrusted_proxy_headers=not settings.REST_FRAMEWORK["NUM_PROXIES"],
            asyncore_use_poll=True,  # select() fails beyond 1,024 descriptors, which workers need
        )
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections and drop waiting requests; answers being made are finished."""
        self._server.close()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=2)
