"""Diagnosis (I12): what a failure means and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from instances.error_codes.explanations import explain
from instances.models import Instance


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What people read about a failed instance."""

    code: str
    message: str
    title: str
    explanation: str
    likely_cause: str
    what_to_do: str


def diagnose(instance: Instance) -> Diagnosis | None:
    """Return the diagnosis of an instance's last failure, or None when it has none."""
    if not instance.error_code:
        return None
    found = explain(instance.error_code)
    return Diagnosis(
        code=instance.error_code,
        message=instance.error_message,
        title=found.title,
        explanation=found.explanation,
        likely_cause=found.likely_cause,
        what_to_do=found.what_to_do,
    )
