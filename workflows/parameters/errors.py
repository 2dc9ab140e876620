"""What is wrong with an expression."""

from __future__ import annotations


class ExpressionError(ValueError):
    """The text cannot be evaluated: why, and at which character (from 0) of it."""

    def __init__(self, message: str, position: int) -> None:
        self.message = message
        self.position = position
        super().__init__(f"{message} (at character {position + 1})")
