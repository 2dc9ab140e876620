"""Looks for known faults in the locked packages, where an advisory service answers.

Without one (no network, or a mirror that knows packages but no advisories) it says so, and the
build goes on: nothing was found out. Exit code 1: a fault was found, or the audit itself failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements-dev.lock"  # the longer one: it has all of the other
AUDITOR = "pip-audit>=2.9,<3"
# A release with well-known faults: a service that knows none of them knows nothing.
KNOWN = ("jinja2", "2.4.1")
PROBE_SECONDS = 10.0
INSTALL_SECONDS = 180.0
AUDIT_SECONDS = 300.0


@dataclass(frozen=True)
class Service:
    """An advisory service, by pip-audit's name for it, and how to ask whether it knows KNOWN."""

    name: str
    url: str
    body: dict[str, Any] | None
    faults: Callable[[Any], Sequence[Any]]


SERVICES = (
    Service(
        "osv",
        "https://api.osv.dev/v1/query",
        {"version": KNOWN[1], "package": {"name": KNOWN[0], "ecosystem": "PyPI"}},
        lambda answer: answer.get("vulns", ()),
    ),
    Service(
        "pypi",
        f"https://pypi.org/pypi/{KNOWN[0]}/{KNOWN[1]}/json",
        None,
        lambda answer: answer.get("vulnerabilities", ()),
    ),
)


def answering(services: Sequence[Service], seconds: float = PROBE_SECONDS) -> Service | None:
    """Return the first service that answers sensibly; each has so many seconds."""
    for service in services:
        data = None if service.body is None else json.dumps(service.body).encode()
        request = urllib.request.Request(service.url, data, {"Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                if service.faults(json.load(answer)):
                    return service
        except (OSError, ValueError, AttributeError):
            continue
    return None


def audit(service: Service, folder: Path) -> int:
    """Audit the lock file with a pip-audit of our own; return its exit code."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", AUDITOR]
    subprocess.run(install, check=True, timeout=INSTALL_SECONDS)
    command = [python, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--timeout", "15"]
    command += ["--vulnerability-service", service.name, "--requirement", str(LOCK)]
    return subprocess.run(command, check=False, timeout=AUDIT_SECONDS).returncode


def main() -> int:
    service = answering(SERVICES)
    if service is None:
        print("Not audited: no advisory service answers from here.")
        return 0
    try:
        with tempfile.TemporaryDirectory() as folder:
            return audit(service, Path(folder))
    except (subprocess.SubprocessError, OSError) as error:
        print(f"The audit failed: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
