"""Writing plain data as YAML that people like to read, always the same way. Pure.

What fits on a line stands on a line; texts of several lines are literal blocks; whatever one of the
readings of YAML could take for something else is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WIDTH = 96
_PLAIN = re.compile(r"[^\W\d](?:[\w./ -]*[\w./-])?")
# What YAML 1.1 does not take for a text.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# What stands for itself within double quotes and literal blocks: printable, and no line break.
_VERBATIM = re.compile(
    "[\t\x20-\x7e\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*"
)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def write_yaml(data: Mapping[str, Any]) -> str:
    """Return a mapping as one YAML document, without a document marker."""
    return "\n".join(_mapping(data, 0)) + "\n"


def _mapping(data: Mapping[str, Any], indent: int) -> list[str]:
    lines: list[str] = []
    for key, value in data.items():
        lines += _entry(f"{' ' * indent}{_scalar(key)}:", value, indent)
    return lines


def _sequence(items: list[Any], indent: int) -> list[str]:
    lines: list[str] = []
    for item in items:
        head = f"{' ' * indent}-"
        if isinstance(item, Mapping) and item and not _fits(head, item):
            inner = _mapping(item, indent + 2)
            lines += [f"{head} {inner[0].lstrip()}", *inner[1:]]
        else:
            lines += _entry(head, item, indent)
    return lines


def _entry(head: str, value: Any, indent: int) -> list[str]:
    """The lines of `head` and the value it introduces."""
    if _fits(head, value):
        return [f"{head} {_flow(value)}"]
    if isinstance(value, str):
        return _literal(head, value, indent + 2)
    if isinstance(value, Mapping):
        return [head, *_mapping(value, indent + 2)]
    return [head, *_sequence(value, indent + 2)]


def _fits(head: str, value: Any) -> bool:
    """Whether a value is written on the line of its head."""
    if isinstance(value, str):
        return not _is_literal(value)
    if not isinstance(value, Mapping | list) or not value:
        return True
    parts = value.values() if isinstance(value, Mapping) else value
    if any(isinstance(part, str) and "\n" in part for part in parts):
        return False
    if any(_is_named(one) for one in (value, *parts)):
        return False
    return len(head) + 1 + len(_flow(value)) <= _WIDTH


def _is_named(value: Any) -> bool:
    """Whether a value is a task or the like, which always has lines of its own."""
    return isinstance(value, Mapping) and "name" in value


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_scalar(key)}: {_flow(item)}" for key, item in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_flow(item) for item in value)}]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        # YAML 1.1 takes 5e-07 for a text, and 5.0e-07 for a number.
        mantissa, exponent, rest = repr(value).partition("e")
        return (mantissa if "." in mantissa else f"{mantissa}.0") + exponent + rest
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return f'"{"".join(_escape(character) for character in text)}"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if _VERBATIM.fullmatch(character):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _is_literal(text: str) -> bool:
    """Whether a text is written as a literal block: several lines, nothing to escape."""
    return (
        "\n" in text
        and bool(text.strip("\n \t"))
        and all(_VERBATIM.fullmatch(line) for line in text.split("\n"))
    )


def _literal(head: str, text: str, indent: int) -> list[str]:
    lines = text.split("\n")
    chomping = "-"
    if text.endswith("\n"):
        lines.pop()
        chomping = "+" if text.endswith("\n\n") else ""
    # Where the first line begins with space, YAML has to be told where the text's edge is.
    hint = "2" if text[0] in "\n \t" else ""
    edge = " " * indent
    return [f"{head} |{hint}{chomping}", *(f"{edge}{line}" if line else "" for line in lines)]
