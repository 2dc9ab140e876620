"""A TCP proxy that breaks connections as networks do: it refuses, or it says nothing any more."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto
from urllib.parse import quote, urlsplit

from psycopg.conninfo import conninfo_to_dict

_TURN_SECONDS = 0.05
_BACKLOG = 100
_BIND_SECONDS = 5.0


class Mood(Enum):
    """What becomes of connections."""

    OPEN = auto()
    REFUSING = auto()  # nobody listens; what was open is cut
    SILENT = auto()  # nothing is forwarded and nothing closed; new ones are taken, and say nothing


class Proxy:
    """Forwards one port of 127.0.0.1 to a server. Close it in the end."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        """connect: makes a connection to the server behind."""
        self._connect = connect
        self._mood = Mood.OPEN
        self._ended = threading.Event()
        self._pairs: dict[socket.socket, socket.socket | None] = {}
        self._lock = threading.Lock()
        self._reserved = self._bind(0)
        self._reserved.listen(_BACKLOG)
        self._listener: socket.socket | None = self._reserved
        self.port: int = self._reserved.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def set(self, mood: Mood) -> None:
        """From now on. What was open when it fell silent is cut when it opens again."""
        with self._lock:
            if mood is self._mood:
                return
            if mood is not Mood.SILENT:
                self._cut_all()
            if mood is Mood.REFUSING and self._listener is not None:
                self._listener.close()
                # Nobody listens, and nobody else gets the port.
                self._listener, self._reserved = None, self._bind(self.port)
            elif self._listener is None:
                self._reserved.listen(_BACKLOG)
                self._listener = self._reserved
            self._mood = mood

    def forget_all(self) -> None:
        """Open again for new connections; those that were there stay silent for ever."""
        with self._lock:
            self._silenced = self._pairs
            self._pairs = {}
            self._mood = Mood.OPEN

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        with self._lock:
            self._cut_all()
            self._reserved.close()

    _silenced: dict[socket.socket, socket.socket | None]

    def _run(self) -> None:
        while not self._ended.is_set():
            with self._lock:
                listener = [self._listener] if self._listener is not None else []
                talking = list(self._pairs) if self._mood is Mood.OPEN else []
                readable, _, _ = select.select([*listener, *talking], [], [], 0)
                for one in readable:
                    self._accept(one) if one in listener else self._forward(one)
            if not readable:
                self._rest(listener, talking)

    def _rest(self, listener: list[socket.socket], talking: list[socket.socket]) -> None:
        """Until something is to be done, or the mood may have changed."""
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile
            select.select([*listener, *talking], [], [], _TURN_SECONDS)

    def _accept(self, listener: socket.socket) -> None:
        client, _ = listener.accept()
        if self._mood is Mood.SILENT:
            self._pairs[client] = None
            return
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        self._pairs |= {client: server, server: client}

    def _forward(self, one: socket.socket) -> None:
        other = self._pairs.get(one)
        try:
            data = one.recv(65536) if other is not None else b""
            if data and other is not None:
                other.sendall(data)
                return
        except OSError:
            pass
        for end in (one, other):
            if end is not None and end in self._pairs:
                del self._pairs[end]
                end.close()

    def _cut_all(self) -> None:
        for end in [*self._pairs, *getattr(self, "_silenced", {})]:
            end.close()
        self._pairs, self._silenced = {}, {}

    @staticmethod
    def _bind(port: int) -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deadline = time.monotonic() + _BIND_SECONDS
        while True:
            try:
                made.bind(("127.0.0.1", port))
                return made
            except OSError:  # the proxy's thread has still the closed one in its hands
                if time.monotonic() > deadline:
                    made.close()
                    raise
                time.sleep(0.01)


@contextlib.contextmanager
def database_proxy(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of the database of `url`, and the URL of the database behind it."""
    known = conninfo_to_dict(url)
    host, port = str(known.get("host") or "127.0.0.1"), int(known.get("port") or 5432)

    def connect() -> socket.socket:
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        made = socket.socket(socket.AF_UNIX)
        made.connect(f"{host}/.s.PGSQL.{port}")
        return made

    proxy = Proxy(connect)
    login = quote(str(known.get("user") or ""))
    if known.get("password"):
        login += f":{quote(str(known['password']))}"
    try:
        yield proxy, f"postgresql://{login}@127.0.0.1:{proxy.port}/{known['dbname']}"
    finally:
        proxy.close()


@contextlib.contextmanager
def broker_proxy(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy in front of the broker of `url`, and the URL of the broker behind it."""
    parts = urlsplit(url)
    address = parts.hostname or "127.0.0.1", parts.port or 0
    proxy = Proxy(lambda: socket.create_connection(address))
    login, at, _ = parts.netloc.rpartition("@")
    try:
        yield proxy, parts._replace(netloc=f"{login}{at}127.0.0.1:{proxy.port}").geturl()
    finally:
        proxy.close()
