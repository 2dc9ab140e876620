"""From the parameters that a task defines to the values of one instance (T13)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from django.utils.translation import gettext as _

from projects.ground.words import listed
from workflows.parameters.built_ins import BUILT_INS, built_in_values
from workflows.parameters.context import Context
from workflows.parameters.errors import ExpressionError
from workflows.parameters.expressions import parse_expression

MAX_PARAMETERS = 200
MAX_NAME_LENGTH = 64
MAX_VALUE_LENGTH = 4096

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

# A parsed value: text, and what makes text out of a context.
Piece = str | Callable[[Context], str]


def resolve(
    parameters: Mapping[str, str],
    context: Context,
    overrides: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The value of each parameter for one instance.

    `overrides` replace the definitions of parameters that the task has, and are written as these
    are; those of other names belong to other tasks of a plan and are passed over. Raises
    ExpressionError.
    """
    overrides = overrides or {}
    return {
        name: evaluate(overrides.get(name, value), context) for name, value in parameters.items()
    }


def code_values(
    parameters: Mapping[str, str],
    context: Context,
    overrides: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What code may name as `${name}`: the parameters, and built-ins that no parameter hides."""
    return {**built_in_values(context), **resolve(parameters, context, overrides)}


def evaluate(value: str, context: Context) -> str:
    """The text of one parameter value; raises ExpressionError.

    `$name` and `${name}` of a built-in, `${format}` on the data time, `$[format]` on the planned
    time, `$$` for a dollar sign; everything else stands for itself.
    """
    return "".join(piece if isinstance(piece, str) else piece(context) for piece in _pieces(value))


def validate(parameters: object) -> list[tuple[str, str]]:
    """What is wrong with a task's parameters: (field, message) pairs, "parameters.NAME"."""
    if not isinstance(parameters, Mapping):
        return [("parameters", _("must be a mapping from names to values"))]
    errors: list[tuple[str, str]] = []
    if len(parameters) > MAX_PARAMETERS:
        message = _("may be at most {most}, not {count}")
        told = message.format(most=MAX_PARAMETERS, count=len(parameters))
        errors.append(("parameters", told))
    for name, value in parameters.items():
        field = f"parameters.{name}"
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            message = _("a name has letters, digits and _, and does not begin with one")
            errors.append((field, message))
        elif len(name) > MAX_NAME_LENGTH:
            message = _("a name may have at most {most} characters")
            errors.append((field, message.format(most=MAX_NAME_LENGTH)))
        if not isinstance(value, str):
            message = _("must be text, not {value}; in YAML, put it in quotes")
            errors.append((field, message.format(value=repr(value))))
        elif len(value) > MAX_VALUE_LENGTH:
            message = _("may have at most {most} characters")
            errors.append((field, message.format(most=MAX_VALUE_LENGTH)))
        else:
            try:
                _pieces(value)
            except ExpressionError as error:
                errors.append((field, str(error)))
    return errors


@lru_cache(maxsize=4096)
def _pieces(value: str) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    index = 0
    while (dollar := value.find("$", index)) >= 0:
        pieces.append(value[index:dollar])
        piece, index = _piece_at(value, dollar)
        pieces.append(piece)
    pieces.append(value[index:])
    return tuple(pieces)


def _piece_at(value: str, dollar: int) -> tuple[Piece, int]:
    """What the dollar sign at an index begins, and the index after it."""
    following = value[dollar + 1 : dollar + 2]
    if following == "$":
        return "$", dollar + 2
    if following == "{":
        end = _closing(value, dollar, "}")
        text = value[dollar + 2 : end]
        if text in BUILT_INS:
            return BUILT_INS[text].value, end + 1
        on_data = parse_expression(text, by_smallest_unit=True, position=dollar + 2)
        return lambda context: on_data.evaluate(context.data_time), end + 1
    if following == "[":
        end = _closing(value, dollar, "]")
        text = value[dollar + 2 : end]
        on_plan = parse_expression(text, by_smallest_unit=False, position=dollar + 2)
        return lambda context: on_plan.evaluate(context.planned), end + 1
    name = _NAME.match(value, dollar + 1)
    if name is None:
        return "$", dollar + 1
    if name[0] not in BUILT_INS:
        known = listed(f"${built_in}" for built_in in BUILT_INS)
        message = _("there is no built-in {name}; there are {known}, and $$ is a dollar sign")
        raise ExpressionError(message.format(name=f"${name[0]}", known=known), dollar)
    return BUILT_INS[name[0]].value, name.end()


def _closing(value: str, dollar: int, bracket: str) -> int:
    end = value.find(bracket, dollar)
    if end < 0:
        message = _('"{opening}" has no closing "{closing}"')
        told = message.format(opening=value[dollar : dollar + 2], closing=bracket)
        raise ExpressionError(told, dollar)
    return end
