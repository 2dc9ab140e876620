"""What is wrong with workflow files, by file, line and field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from projects.ground.refusals import Invalid


@dataclass(frozen=True, slots=True)
class BundleProblem:
    """One thing that is wrong. Its text is `FILE:LINE: FIELD: message`."""

    filename: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        middle = f" {self.field}:" if self.field else ""
        return f"{self.filename}:{self.line}:{middle} {self.message}"


class BundleError(Invalid):
    """The files were refused and nothing was saved; `problems` has everything that is wrong."""

    code = "invalid_file"

    def __init__(self, problems: Sequence[BundleProblem]) -> None:
        fields: dict[str, list[str]] = {}
        for problem in problems:
            fields.setdefault(problem.field, []).append(str(problem))
        super().__init__(str(problems[0]), fields=fields)
        self.problems = list(problems)
