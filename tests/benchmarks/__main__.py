"""Measure the product beside what the machine allows; a complete run writes docs/benchmarks.md."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

import django
from django.conf import settings
from django.core.management import call_command

from tests.benchmarks.environment import of_its_own
from tests.benchmarks.figures import Figure

MEASURES = {
    "P1": "p01_shell",
    "P2": "p02_virtual",
    "P3": "p03_chain",
    "P4": "p04_planning",
    "P5": "p05_preview",
    "P6": "p06_history",
    "P7": "p07_sweep",
    "P8": "p08_list",
    "P9": "p09_terminating",
    "P10": "p10_retention",
    "P11": "p11_memory",
    "P16": "p16_edges",
    "P20": "p20_ticks",
    "P21": "p21_old_snapshot",
    "P22": "p22_limited_tasks",
    "P23": "p23_generation",
    "P24": "p24_outage",
    "P25": "p25_lists",
}


def main(arguments: Sequence[str]) -> int:
    """Measure, write the results, return 1 when --check is given and a target was missed."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    with of_its_own():
        django.setup()
        for bound in ("STATEMENT", "TRANSACTION", "IDLE"):  # of this process, which fills tables
            setattr(settings, f"DATABASE_{bound}_SECONDS", 0.0)
        call_command("migrate", verbosity=0)
        reporting = import_module("tests.benchmarks.reporting")
        around = reporting.surroundings()
        figures = _measure(options.only, options.repeats, small=options.small)
        complete = set(options.only) == set(MEASURES) and not options.small
        reporting.write(figures, around, page=complete)
        print(reporting.table(figures))
    return int(options.check and not all(figure.ok for figure in figures))


def _measure(ids: Sequence[str], repeats: int, *, small: bool) -> list[Figure]:
    # They import models, for which Django has to be set up.
    world = import_module("tests.benchmarks.world").World.make(small=small)
    figures: list[Figure] = []
    for id_ in ids:
        found = import_module(f"tests.benchmarks.{MEASURES[id_]}").measure(world, repeats=repeats)
        for one in found:
            ratio = f", {one.ratio:.3g} × the limit {one.limit:.4g}" if one.ratio else ""
            print(
                f"{one.id}: {one.value:.4g} {one.unit}{ratio} — {'ok' if one.ok else 'missed'}",
                flush=True,
            )
        figures += found
    return figures


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda text: text.upper().split(","),
        default=list(MEASURES),
        metavar="P1,P4",
        help="measure these alone",
    )
    parser.add_argument("--repeats", type=int, default=5, help="of each figure and each limit")
    parser.add_argument(
        "--small", action="store_true", help="with a tenth of the rows: to try it, not to judge by"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
