"""What a part of a plan's spec is: some options, declared as fields, and the rule among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from projects.ground.fields.reader import FieldReader


class Part:
    """The base of the dataclasses of this room; `backfill.spec.PlanSpec` is their sum."""

    step: ClassVar[int] = 2  # the wizard's step that asks for them

    @staticmethod
    def check(values: Mapping[str, Any], fields: FieldReader) -> None:
        """Refuse values that are good one by one, and not together."""
