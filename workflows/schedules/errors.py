"""What is wrong with a schedule."""

from __future__ import annotations

from collections.abc import Sequence

FieldError = tuple[str, str]


class ScheduleError(ValueError):
    """The schedule cannot be used: the field at fault and why.

    `field` and `message` are those of the first fault, `errors` has all of them in the order of
    the mapping's own logic. Fields are paths such as "schedule.hours".
    """

    def __init__(self, field: str, message: str, errors: Sequence[FieldError] = ()) -> None:
        self.field = field
        self.message = message
        self.errors: list[FieldError] = list(errors) or [(field, message)]
        super().__init__("; ".join(f"{where}: {what}" for where, what in self.errors))

    @classmethod
    def collect(cls, errors: Sequence[FieldError]) -> ScheduleError:
        """One error out of several faults; `errors` must not be empty."""
        field, message = errors[0]
        return cls(field, message, errors)
