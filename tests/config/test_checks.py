"""The checks of `manage.py check --deploy`, each with the setting it is about."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import Any

import psutil
import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings

from config import checks
from config.embedded.data_directory import PROJECT_DIRECTORY

KEY = Fernet.generate_key().decode()


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("memory://tidemill/", ["tidemill.E001"]),
        ("", ["tidemill.E001"]),
        ("amqp://guest:guest@broker:5672//", ["tidemill.W002"]),
        ("redis://:password@broker:6379/0", ["tidemill.W002"]),
        ("amqp://mill:mill@broker:5672//", ["tidemill.W002"]),
        ("amqp://mill:4f9Zr2%40x@broker:5672//", []),
        ("redis://broker:6379/0", []),
    ],
)
def test_a_broker_is_reached_by_others_and_has_no_password_that_all_know(
    settings: LazySettings, url: str, found: list[str]
) -> None:
    settings.CELERY_BROKER_URL = url
    assert ids(checks.check_broker(None)) == found


@pytest.mark.parametrize(
    ("database", "found"),
    [
        ({"ENGINE": "config.embedded.backend"}, ["tidemill.E002"]),
        ({"ENGINE": "django.db.backends.sqlite3"}, ["tidemill.E003"]),
        (
            {"ENGINE": "django.db.backends.postgresql", "USER": "mill", "PASSWORD": "mill"},
            ["tidemill.W001"],
        ),
        (
            {"ENGINE": "django.db.backends.postgresql", "USER": "mill", "PASSWORD": "Postgres"},
            ["tidemill.W001"],
        ),
        ({"ENGINE": "django.db.backends.postgresql", "USER": "mill", "PASSWORD": ""}, []),
        ({"ENGINE": "django.db.backends.postgresql", "USER": "mill", "PASSWORD": "4f9Zr2"}, []),
    ],
)
def test_the_database_is_a_server_whose_password_not_all_know(
    monkeypatch: pytest.MonkeyPatch, database: dict[str, str], found: list[str]
) -> None:
    monkeypatch.setattr(checks.settings, "DATABASES", {"default": database})
    assert ids(checks.check_database(None)) == found


@pytest.mark.feature("P5")
@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ([], ["tidemill.E004"]),
        ([KEY, "unused", "ÄÖÜ"], ["tidemill.E005", "tidemill.E005"]),
        ([KEY], []),
    ],
)
def test_secrets_are_encrypted_with_real_keys(
    settings: LazySettings, keys: list[str], found: list[str]
) -> None:
    settings.TIDEMILL_KEYS = keys
    assert ids(checks.check_keys(None)) == found


def test_the_key_of_secrets_is_not_the_key_of_sessions(settings: LazySettings) -> None:
    settings.TIDEMILL_KEYS = [KEY]
    settings.SECRET_KEY = KEY
    assert ids(checks.check_keys(None)) == ["tidemill.E006"]


@pytest.mark.parametrize(
    ("token", "found"), [("", []), ("short", ["tidemill.W003"]), ("long enough to be kept", [])]
)
def test_a_token_for_metrics_is_long(settings: LazySettings, token: str, found: list[str]) -> None:
    settings.METRICS_TOKEN = token
    assert ids(checks.check_metrics_token(None)) == found


@pytest.mark.parametrize(
    ("lease", "room", "found"),
    [(30, 16, []), (5, 16, ["tidemill.W004"]), (30, 0, ["tidemill.E007"])],
)
def test_the_engine_gets_numbers_it_can_work_with(
    settings: LazySettings, lease: int, room: int, found: list[str]
) -> None:
    settings.EXECUTION_LEASE_SECONDS = lease
    settings.EXECUTIONS_PER_PROCESS = room
    assert ids(checks.check_engine(None)) == found


WORKER = ("celery", "--app", "config", "worker", "--queues", "tidemill.group.default")
SYSTEM = ("celery", "--app", "config", "worker", "--queues", "tidemill.system")
WEB = ("gunicorn", "config.wsgi:application", "--preload")


@pytest.mark.feature("P5")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start processes of other users")
@pytest.mark.parametrize(
    ("running", "found"),
    [
        ([], []),
        ([(WORKER, 4001), (WEB, 4002)], []),
        ([(SYSTEM, 4002), (WEB, 4002), (WORKER, 4001)], []),
        ([(WORKER, 4001), (WORKER, 4002), (WEB, 4002)], ["tidemill.E009"]),
        ([(WORKER, 0), (WEB, 4002)], ["tidemill.E008"]),
        ([(WORKER, 0), (WEB, 0)], ["tidemill.E008", "tidemill.E009"]),
    ],
)
def test_tasks_run_neither_as_root_nor_as_web(
    monkeypatch: pytest.MonkeyPatch, running: list[Any], found: list[str]
) -> None:
    processes = [
        subprocess.Popen(
            ["/bin/sh", "-c", "sleep 600; :", *command], user=user, start_new_session=True
        )
        for command, user in running
    ]
    try:
        ours = {process.pid for process in processes}
        everything = psutil.process_iter
        monkeypatch.setattr(
            "config.checks.psutil.process_iter",
            lambda names: [one for one in everything(names) if one.pid in ours],
        )
        assert ids(checks.check_users(None)) == found
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.feature("P5")
@pytest.mark.parametrize(
    ("user", "trial", "found", "said"),
    [
        (0, None, [], ""),
        (0, "they cannot be used here", ["tidemill.E008", "tidemill.E009"], "they cannot be used"),
        (4001, "only root can", ["tidemill.W005"], "only root can try"),
    ],
)
def test_a_worker_as_root_is_refused_where_its_tasks_have_no_users_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
    settings: LazySettings,
    user: int,
    trial: str | None,
    found: list[str],
    said: str,
) -> None:
    settings.TASK_USERS = True
    monkeypatch.setattr(checks, "_users_of", lambda wanted: {0: 17})
    monkeypatch.setattr(checks, "why_not", lambda: trial)
    monkeypatch.setattr("os.geteuid", lambda: user)
    messages = checks.check_users(None)
    assert ids(messages) == found
    assert said in "".join(message.msg for message in messages[:1])


PRODUCTION = {
    "DJANGO_SETTINGS_MODULE": "config.settings.production",
    "SECRET_KEY": "W6m-3qV8kR2xT9bN4cL7hJ5dF1gS0pZyYuEiOoAaQwXvB-8sHj2",
    "TIDEMILL_KEYS": KEY,
    "ALLOWED_HOSTS": "tidemill.example.org",
    "NUM_PROXIES": "1",
    "DATABASE_URL": "postgresql://mill:4f9Zr2@database/tidemill",
    "BROKER_URL": "amqp://mill:4f9Zr2@broker//",
}


def check_deploy(**changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run `manage.py check --deploy` in production settings, with these variables changed."""
    dropped = {*PRODUCTION, "HTTPS", "HSTS_SECONDS", "METRICS_TOKEN", "LOG_FORMAT"}
    dropped.add("DJANGO_ALLOW_ASYNC_UNSAFE")  # browser tests set it for this process
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {
        name: value for name, value in (PRODUCTION | changes).items() if value is not None
    }
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    if os.geteuid() == 0 and shutil.which("unshare"):
        # It must not see the workers that other tests have running as root.
        command = ["unshare", "--pid", "--fork", "--mount-proc", *command]
    return subprocess.run(
        command,
        cwd=PROJECT_DIRECTORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_production_settings_pass_every_check_with_the_variables_they_need() -> None:
    done = check_deploy()
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_settings_tell_what_is_wrong_with_the_variables() -> None:
    done = check_deploy(
        BROKER_URL="memory://", SECRET_KEY="short", TIDEMILL_KEYS="unused", HTTPS="false"
    )
    assert done.returncode == 1
    for check_id in ("tidemill.E001", "tidemill.E005", "security.W008", "security.W009"):
        assert check_id in done.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "TIDEMILL_KEYS", "ALLOWED_HOSTS", "BROKER_URL"])
def test_production_settings_have_no_default_for_a_secret(name: str) -> None:
    done = check_deploy(**{name: None})
    assert done.returncode == 1
    assert f"Set the {name} environment variable" in done.stderr


def test_the_embedded_default_is_found_unfit_for_production(tmp_path: Any) -> None:
    done = check_deploy(
        DJANGO_SETTINGS_MODULE="config.settings.development",
        BROKER_URL=None,
        DATABASE_URL=None,
        TIDEMILL_DATA=str(tmp_path),
    )
    assert done.returncode == 1
    for check_id in ("tidemill.E001", "tidemill.E002"):
        assert check_id in done.stderr


def test_debug_mode_is_found(tmp_path: Any) -> None:
    done = check_deploy(
        DJANGO_SETTINGS_MODULE="config.settings.development",
        DEBUG="true",
        TIDEMILL_DATA=str(tmp_path),
    )
    assert "security.W018" in done.stderr


@pytest.mark.parametrize(("proxies", "found"), [(0, ["tidemill.W008"]), (1, [])])
def test_who_is_behind_a_proxy_says_so(
    settings: LazySettings, proxies: int, found: list[str]
) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}
    settings.SECURE_PROXY_SSL_HEADER = None
    assert ids(checks.check_proxies(None)) == []
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert ids(checks.check_proxies(None)) == found
