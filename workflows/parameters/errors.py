"""What is wrong with an expression."""

from __future__ import annotations

from django.utils.translation import gettext as _


class ExpressionError(ValueError):
    """The text cannot be evaluated: why, and at which character (from 0) of it."""

    def __init__(self, message: str, position: int) -> None:
        self.message = message
        self.position = position
        told = _("{message} (at character {number})").format(message=message, number=position + 1)
        super().__init__(told)
