"""Writing down what was measured: for people in docs/benchmarks.md, for programs in var/."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import celery
import django
import psutil
from django.db import connection

from tests.benchmarks.figures import Figure
from tests.benchmarks.processes import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
DATA = ROOT / "var" / "bench.json"

_READING = """\
# Benchmarks

Written by `make bench`; what misses its target stands here like the rest.

## How to read it

Absolute figures say more about a machine than about a program, so most of them stand beside a
*limit* that was measured in the same run, turn by turn with them: what the same machine, broker and
database do when nothing of Tidemill is around the work. *Ratio* is figure by limit: for rates more
is better, for times less. Figure and limit are medians; the note has the number of runs with the
lowest and the highest. Every run has a database and queues of its own, freshly made. Plans are
submitted by the verb that the API and the admin call, and done by `celery -A config worker -P
prefork -c 2` as shipped, without beat, so that nothing but wake-ups sets instances going. Between
runs tables are vacuumed and analysed, as autovacuum does in time.

The limits: P1, *bare Celery*, whose task inserts a row and commits, runs `/bin/sh -c true`,
updates the row and commits; P2 and P3, a Celery task that does nothing; P4, COPY of the very rows
that were made, into the same tables, indexes and foreign keys; P5, making what was previewed;
P6 and P10, the same rate with empty tables, and alone; P8, one statement written by hand that
answers what the page shows. P7, P9, P11 and P23 to P25 have no limit.
"""


def surroundings() -> dict[str, str]:
    """Where and on what was measured, by label."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit'), current_setting('shared_buffers')"
        )
        version, fsync, commit, buffers = cursor.fetchone()
    memory = psutil.virtual_memory().total / 2**30
    return {
        "Date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "Commit": _commit(),
        "Machine": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}",
        "Load before": f"{os.getloadavg()[0]:.1f} (one minute)",
        "PostgreSQL": f"{version}, fsync {fsync}, synchronous_commit {commit},"
        f" shared_buffers {buffers}",
        "Broker": {"amqp": "RabbitMQ"}.get(scheme := urlsplit(os.environ["BROKER_URL"]).scheme)
        or scheme.title(),
        "Python": f"{platform.python_version()}, Celery {celery.__version__},"
        f" Django {django.__version__}",
    }


def write(figures: Sequence[Figure], around: dict[str, str], *, page: bool) -> None:
    """Write the data, and with `page` the document as well."""
    DATA.parent.mkdir(exist_ok=True)
    rows = [
        {
            "id": one.id,
            "measure": one.measure,
            "figure": one.value,
            "unit": one.unit,
            "limit": one.limit,
            "ratio": one.ratio,
            "target": one.target.text(one.unit),
            "ok": one.ok,
            "note": one.note,
        }
        for one in figures
    ]
    data = json.dumps({"around": around, "figures": rows}, indent=1, ensure_ascii=False)
    DATA.write_text(data + "\n", encoding="utf-8")
    if page:
        # The soak's section, at the end, is not ours.
        _, heading, soak = PAGE.read_text(encoding="utf-8").partition("\n## Soak")
        PAGE.write_text(_page(figures, around) + heading + soak, encoding="utf-8")


def table(figures: Sequence[Figure]) -> str:
    """The figures as a table in Markdown."""
    lines = [
        "| id | measure | figure | unit | limit | ratio | target | ok | note |",
        "|---|---|---:|---|---:|---:|---|---|---|",
    ]
    lines += [
        f"| {one.id} | {one.measure} | {_short(one.value)} | {one.unit} | {_short(one.limit)}"
        f" | {_short(one.ratio)} | {one.target.text(one.unit)} | {'yes' if one.ok else '**no**'}"
        f" | {one.note} |"
        for one in figures
    ]
    return "\n".join(lines)


def _page(figures: Sequence[Figure], around: dict[str, str]) -> str:
    where = "\n".join(f"- {label}: {text}" for label, text in around.items())
    met = sum(one.ok for one in figures)
    return (
        f"{_READING}\n## Figures\n\n{met} of {len(figures)} targets met.\n\n{table(figures)}\n\n"
        f"## Where and when\n\n{where}\n"
    )


def _short(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
