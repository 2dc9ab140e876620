"""HTTP tasks against a server of our own (T10)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from instances.error_codes import ErrorCode
from instances.runners.base import BadConfig, TaskContext
from instances.runners.registry import get_runner
from tests.instances.runners.conftest import Run

pytestmark = pytest.mark.feature("T10")


class _Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, str], bytes]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        status, headers, answer = 200, {}, b"hello"
        if self.path.startswith("/to/"):
            status, headers = 302, {"Location": self.path.removeprefix("/to/")}
        elif self.path == "/loop":
            status, headers = 302, {"Location": "/loop"}
        elif self.path.startswith("/status/"):
            status = int(self.path.rpartition("/")[2])
        elif self.path == "/big":
            answer = b"x" * 300_000
        elif self.path == "/cookie":
            headers = {"Set-Cookie": "session=hidden-value", "X-Kind": "plain"}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.path != "/status/204":
            self.wfile.write(answer)

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def _server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def host(_server: ThreadingHTTPServer) -> str:
    _Handler.seen.clear()
    return f"127.0.0.1:{_server.server_port}"


def test_an_answer_is_in_the_log(run: Run, host: str) -> None:
    config = {"url": f"http://user:pass@{host}/cookie"}
    outcome, log = run("http", "", config=config, allowed_hosts=(host,))
    assert outcome.ok
    assert outcome.report == {"status": 200}
    assert log.startswith(f"GET http://{host}/cookie\nHTTP/1.0 200 OK after ")
    assert "\nx-kind: plain\n" in log.lower()
    assert log.endswith("\n\nhello\n")
    assert "hidden-value" not in log
    assert "pass" not in log


def test_method_headers_and_body_are_sent(run: Run, host: str) -> None:
    config = {
        "url": f"http://{host}/x",
        "method": "POST",
        "headers": {"X-Token": "t"},
        "body": {"a": [1]},
    }
    assert run("http", "", config=config, allowed_hosts=(host,))[0].ok
    method, path, headers, body = _Handler.seen[0]
    assert (method, path, body) == ("POST", "/x", b'{"a": [1]}')
    assert (headers["X-Token"], headers["Content-Type"]) == ("t", "application/json")


def test_the_code_is_the_body_when_the_settings_have_none(run: Run, host: str) -> None:
    config = {"url": f"http://{host}/x", "method": "PUT"}
    assert run("http", "text ü", config=config, allowed_hosts=(host,))[0].ok
    assert _Handler.seen[0][3] == "text ü".encode()


def test_a_status_that_is_not_expected_fails(run: Run, host: str) -> None:
    config = {"url": f"http://{host}/status/503"}
    outcome, log = run("http", "", config=config, allowed_hosts=(host,))
    assert outcome.error_code == ErrorCode.HTTP_ERROR
    assert outcome.message == (f"{host} answered 503 Service Unavailable; expected was 200-299.")
    assert log.count("Service Unavailable; expected") == 1


@pytest.mark.parametrize("expected", [503, [204, "500-599"], "503"])
def test_an_expected_status_succeeds_whatever_it_is(run: Run, host: str, expected: Any) -> None:
    config = {"url": f"http://{host}/status/503", "expected_status": expected}
    assert run("http", "", config=config, allowed_hosts=(host,))[0].ok


def test_a_host_that_is_not_listed_gets_nothing(run: Run, host: str) -> None:
    outcome, _ = run("http", "", config={"url": f"http://{host}/"}, allowed_hosts=("127.0.0.1",))
    assert outcome.error_code == ErrorCode.HOST_NOT_ALLOWED
    assert host in outcome.message
    assert _Handler.seen == []


def test_every_redirect_is_checked(run: Run, host: str) -> None:
    other = host.replace("127.0.0.1", "localhost")
    config = {"url": f"http://{host}/to//to/http://{other}/there"}
    outcome, _ = run("http", "", config=config, allowed_hosts=(host,))
    assert outcome.error_code == ErrorCode.HOST_NOT_ALLOWED
    assert other in outcome.message
    assert len(_Handler.seen) == 2

    outcome, _ = run("http", "", config=config, allowed_hosts=(host, other))
    assert outcome.ok
    assert _Handler.seen[-1][1] == "/there"


def test_redirects_without_end_are_an_error(run: Run, host: str) -> None:
    config = {"url": f"http://{host}/loop"}
    outcome, _ = run("http", "", config=config, allowed_hosts=(host,))
    assert (outcome.error_code, outcome.message) == (
        ErrorCode.HTTP_ERROR,
        "More than 10 redirects.",
    )


@pytest.mark.parametrize("target", ["ftp://x/", "http://", "http://[::1", "//"])
def test_a_redirect_to_no_usable_address_is_an_error(run: Run, host: str, target: str) -> None:
    config = {"url": f"http://{host}/to/{target}"}
    outcome, _ = run("http", "", config=config, allowed_hosts=(host,))
    assert outcome.error_code in (ErrorCode.HTTP_ERROR, ErrorCode.HOST_NOT_ALLOWED)


def test_a_long_answer_is_cut(run: Run, host: str) -> None:
    outcome, log = run("http", "", config={"url": f"http://{host}/big"}, allowed_hosts=(host,))
    assert outcome.ok
    assert len(log) < 70_000
    assert log.endswith("[the body is longer than 65536 bytes; the rest was left]\n")


def test_no_answer_is_an_error(run: Run) -> None:
    config = {"url": "http://127.0.0.1:1/"}
    outcome, _ = run("http", "", config=config, allowed_hosts=("127.0.0.1:1",))
    assert outcome.error_code == ErrorCode.HTTP_ERROR
    assert outcome.message.startswith("No answer from 127.0.0.1:1: ConnectError")


@pytest.mark.parametrize("url", ["${base}/x", "ftp://x/", "http://x:99999/"])
def test_an_address_is_judged_again_when_its_parameters_are_filled_in(
    tmp_path: Path, url: str
) -> None:
    context = TaskContext(
        execution_id=1, task_name="t", task_type="http", work_dir=tmp_path, config={"url": url}
    )
    with pytest.raises(BadConfig) as caught:
        get_runner("http").launch(context)
    assert caught.value.field == "config.url"
