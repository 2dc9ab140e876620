"""A soak's figures as tables: for people in docs/benchmarks.md, for programs in var/soak.json."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from config.embedded.data_directory import PROJECT_DIRECTORY

PAGE = PROJECT_DIRECTORY / "docs" / "benchmarks.md"
DATA = PROJECT_DIRECTORY / "var" / "soak.json"
# Where the section begins; it goes on to the end of the page.
HEADING = "## Soak"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a soak was like. memory: MiB of each part's largest process, first, most and last;
    longest_gap: seconds between two sweeps while things broke; ended_within: seconds from the last
    fault to the last end.
    """

    seed: int
    seconds: float
    broker: str
    answers: Counter[tuple[str, str]]  # by verb and answer
    faults: Counter[str]
    counts: Mapping[str, int]
    longest_gap: float
    ended_within: float
    memory: Mapping[str, tuple[float, float, float]]
    fell: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def show(figures: Figures) -> str:
    """The section of the page."""
    verbs: dict[str, list[str]] = defaultdict(list)
    totals: Counter[str] = Counter()
    for (verb, answer), number in sorted(figures.answers.items()):
        verbs[verb].append(f"{answer}: {number}")
        totals[verb] += number
    faults = sum(figures.faults.values())
    facts = {
        "length": f"{figures.seconds / 60:.1f} minutes, from the first start to the last end",
        "calls of the API": f"{totals.total():,}",
        "faults": f"{faults}",
        **{name: f"{number:,}" for name, number in figures.counts.items()},
        "longest gap between sweeps, while things broke": f"{figures.longest_gap:.0f} s",
        "from the last fault until everything had ended": f"{figures.ended_within:.0f} s",
        "processes that ended by themselves": f"{len(figures.fell)}",
        "findings": f"{len(figures.findings)}",
    }
    parts = [
        f"{HEADING}\n\nWritten by `make soak`: people use the REST API at random while plans and"
        " schedules run, processes\nare killed and networks cut or silenced. "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {figures.broker}, SEED={figures.seed}.",
        _table(("measure", "figure"), facts.items()),
        _table(
            ("part", "memory at the start, MiB", "most", "at the end"),
            [(name, *(f"{one:.0f}" for one in sizes)) for name, sizes in figures.memory.items()],
        ),
        _table(("fault", "times"), sorted(figures.faults.items())),
        _table(
            ("call", "times", "answers"),
            [(verb, totals[verb], ", ".join(answers)) for verb, answers in verbs.items()],
        ),
    ]
    if figures.findings:
        most = Counter(figures.findings).most_common(40)
        listed = "\n".join(f"- {number} × {text}" for text, number in most)
        parts.append(f"What was found:\n\n{listed}")
    return "\n\n".join(parts)


def write(figures: Figures, text: str, *, page: bool) -> None:
    """Write the data, and with `page` the section of the document as well."""
    DATA.parent.mkdir(exist_ok=True)
    data = {
        "seed": figures.seed,
        "broker": figures.broker,
        "seconds": figures.seconds,
        "answers": [[*key, number] for key, number in sorted(figures.answers.items())],
        "faults": figures.faults,
        "counts": dict(figures.counts),
        "longest_gap": figures.longest_gap,
        "ended_within": figures.ended_within,
        "memory": dict(figures.memory),
        "fell": figures.fell,
        "findings": figures.findings,
    }
    DATA.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if page:
        before = PAGE.read_text(encoding="utf-8").partition(HEADING)[0].rstrip("\n")
        PAGE.write_text(f"{before}\n\n{text}\n", encoding="utf-8")


def _table(head: tuple[str, ...], rows: object) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    assert hasattr(rows, "__iter__")
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
