"""CI looks the packages up where an advisory service answers, says where none does, never hangs."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def ci_audit() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("ci_audit", ROOT / ".ci" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ci_audit"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ci_audit"]


@contextmanager
def answers(status: int, body: Any) -> Iterator[str]:
    """A service that answers everything in the same way; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@contextmanager
def silent() -> Iterator[str]:
    """A service that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_service_is_asked_that_answers_and_knows_something(ci_audit: Any) -> None:
    osv = ci_audit.SERVICES[0]
    with (
        silent() as hangs,
        answers(404, {"message": "not found"}) as missing,
        answers(200, {}) as ignorant,
        answers(200, b"<html>") as page,
        answers(200, [1]) as other,
        answers(200, {"vulns": [{"id": "one"}]}) as good,
    ):
        services = [replace(osv, url=url) for url in (hangs, missing, ignorant, page, other)]
        services.append(replace(osv, url="http://127.0.0.1:1/"))  # nobody listens
        began = time.monotonic()
        assert ci_audit.answering(services, seconds=0.5) is None
        assert time.monotonic() - began < 60
        last = replace(osv, url=good)
        assert ci_audit.answering([*services[1:], last], seconds=60) is last


def test_without_a_service_the_build_goes_on_and_says_so(
    ci_audit: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ci_audit, "SERVICES", ())
    assert ci_audit.main() == 0
    assert capsys.readouterr().out == "Not audited: no advisory service answers from here.\n"


def test_an_audit_that_finds_something_or_fails_stops_the_build(
    ci_audit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ci_audit, "answering", lambda services: services[0])
    for outcome in (0, 1):
        monkeypatch.setattr(ci_audit, "audit", lambda *_, code=outcome: code)
        assert ci_audit.main() == outcome

    def fails(*_: Any) -> int:
        raise OSError("no room")

    monkeypatch.setattr(ci_audit, "audit", fails)
    assert ci_audit.main() == 1


def test_the_build_audits() -> None:
    assert "step .venv/bin/python .ci/audit.py" in (ROOT / ".ci" / "run").read_text()
