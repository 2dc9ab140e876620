"""What a reader may know of a neighbour in a project that they do not see: its id alone (P2).

A neighbour is a task, an instance or a plan that something of one's own project is joined with.
Whatever shows one asks here, answers and pages, graphs and sentences alike; who sees which
projects is `projects.access.sight` to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from projects.ground.words import thing


@dataclass(frozen=True, slots=True)
class Sight:
    """The projects that a reader sees; None: all of them."""

    projects: frozenset[int] | None = None

    def sees(self, project_id: int | None) -> bool:
        """Return whether the reader sees the project."""
        return self.projects is None or project_id in self.projects

    def name(self, noun: str, pk: int, project_id: int, name: str) -> str:
        """Return the object's name; of a closed box the id in words, such as "task 7"."""
        return name if self.sees(project_id) else f"{thing(noun)} {pk}"

    def facts(self, project_id: int, **facts: Any) -> dict[str, Any]:
        """Return the facts, and whether they are `visible`.

        In a closed box a text is "", a list is [], anything else is None: what kind a fact is must
        not depend on its value.
        """
        visible = self.sees(project_id)
        shown = facts if visible else {name: _blank(fact) for name, fact in facts.items()}
        return {"visible": visible, **shown}


def _blank(fact: Any) -> Any:
    if isinstance(fact, str):
        return ""
    return [] if isinstance(fact, list) else None
