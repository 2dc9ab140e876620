"""Fields on the command line: a field with an `option` name is an option of a command."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from typing import Any

from projects.ground.fields.field import Field, Kind
from projects.ground.fields.forms import from_text, to_text

_METAVARS = {Kind.DATE: "YYYY-MM-DD", Kind.TIME: "HH:MM", Kind.INTEGER: "N"}


def add_options(parser: ArgumentParser, fields: Iterable[Field]) -> None:
    """Add the options of the fields that have one; left out, each stands for its default."""
    for field in fields:
        if not field.option:
            continue
        kind: dict[str, Any] = {"metavar": _METAVARS.get(field.kind, "TEXT")}
        if field.kind is Kind.CHOICE:
            kind = {"choices": [one.word or str(one.value) for one in field.chosen_from]}
        elif field.kind is Kind.BOOLEAN:
            kind = {"choices": ["true", "false"]}
        parser.add_argument(field.option, dest=field.name, help=_help(field), **kind)


def _help(field: Field) -> str:
    words = {str(one.value): one.word or str(one.value) for one in field.chosen_from}
    shown = to_text(field, field.plain(field.default))
    default = words.get(str(shown), str(shown) if shown != "" else field.none)
    text = f"{field.help.removesuffix('.')} (default: {default})"
    return text.replace("%", "%%")


def read_options(fields: Iterable[Field], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options of a command say, as a mapping for the fields to read."""
    found: dict[str, Any] = {}
    for field in fields:
        if not field.option or options[field.name] is None:
            continue
        values = {one.word: one.value for one in field.chosen_from if one.word}
        written = options[field.name]
        found[field.name] = from_text(field, str(values.get(written, written)))
    return found
