"""Cuts a SQL script into statements and knows on which line each begins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# What must be read as one piece: quoted text, comments, words, or else any one character.
_TOKEN: Final = re.compile(
    r"""
    (?P<line_comment>--[^\n]*)
  | (?P<block_comment>/\*)
  | (?P<escaped>(?<![A-Za-z0-9_$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
  | (?P<quoted>'(?:[^']|'')*(?:'|\Z))
  | (?P<name>"(?:[^"]|"")*(?:"|\Z) | `(?:[^`]|``)*(?:`|\Z))
  | (?P<dollar>(?<![A-Za-z0-9_$])\$(?P<tag>(?:[A-Za-z_][A-Za-z0-9_]*)?)\$.*?(?:\$(?P=tag)\$|\Z))
  | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
  | (?P<space>\s+)
  | (?P<semicolon>;)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# MySQL and MariaDB escape with a backslash in every text, and take # for a comment.
_MYSQL_TOKEN: Final = re.compile(
    _TOKEN.pattern.replace(
        "(?P<quoted>'(?:[^']|'')*(?:'|\\Z))", "(?P<quoted>'(?:[^'\\\\]|\\\\.|'')*(?:'|\\Z))"
    ).replace("(?P<line_comment>--[^\\n]*)", "(?P<line_comment>(?:--(?=\\s|\\Z)|\\#)[^\\n]*)"),
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
_SILENT: Final = frozenset({"line_comment", "block_comment", "space"})
# Definitions whose body holds statements of its own between BEGIN and END.
_WITH_BODY: Final = frozenset({"TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"})
_ENDS_OF_UNCOUNTED: Final = frozenset({"IF", "LOOP", "WHILE", "REPEAT", "FOR"})


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without its semicolon. Numbers and lines count from 1."""

    number: int
    line: int
    text: str


def split_statements(script: str, dialect: str = "duckdb") -> list[Statement]:
    """The statements of a script, in order; pieces with nothing but comments are left out.

    A semicolon inside quotes, comments, dollar quotes or the body of a trigger, procedure or
    function ends nothing. A quote that is never closed reaches to the end: the database will
    say so.
    """
    mysql = dialect in ("mysql", "mariadb")
    pattern = _MYSQL_TOKEN if mysql else _TOKEN
    statements: list[Statement] = []
    body = _Body()
    begin: int | None = None  # where the statement's first word or sign stands
    end = position = 0
    while position < len(script):
        match = pattern.match(script, position)
        if match is None:
            break
        kind = match.lastgroup if match.lastgroup != "tag" else "dollar"
        position = match.end()
        if kind == "block_comment":
            position = _comment_end(script, match.start(), nested=not mysql)
        if kind in _SILENT:
            continue
        if kind == "semicolon" and body.depth == 0:
            if begin is not None:
                statements.append(_statement(script, begin, end, len(statements)))
            begin, body = None, _Body()
            continue
        if begin is None:
            begin = match.start()
        if kind == "word":
            body.word(match.group().upper())
        elif kind == "semicolon":
            body.word(";")
        end = position
    if begin is not None:
        statements.append(_statement(script, begin, end, len(statements)))
    return statements


class _Body:
    """Counts BEGIN and END, but only in definitions that can have a body."""

    def __init__(self) -> None:
        self.depth = 0
        self._words = 0
        self._creates = False
        self._has_body = False
        self._last = ""

    def word(self, word: str) -> None:
        self._words += 1
        if self._words == 1:
            self._creates = word in ("CREATE", "ALTER")
        elif self._creates and word in _WITH_BODY and self._words <= 12 and not self.depth:
            self._has_body = True
        if self._has_body:
            self._count(word)
        self._last = word

    def _count(self, word: str) -> None:
        if self._last == "END" and word in _ENDS_OF_UNCOUNTED:
            # END IF and the like close what was not counted.
            self.depth += 1
        elif (word == "CASE" and self._last != "END") or word == "BEGIN":
            self.depth += 1 if self.depth or word == "BEGIN" else 0
        elif word == "END" and self.depth:
            self.depth -= 1


def _comment_end(script: str, start: int, *, nested: bool) -> int:
    depth = 0
    for edge in _COMMENT_EDGE.finditer(script, start):
        if edge.group() == "*/":
            depth -= 1
        elif nested or depth == 0:
            depth += 1
        if depth == 0:
            return edge.end()
    return len(script)


def _statement(script: str, begin: int, end: int, before: int) -> Statement:
    return Statement(before + 1, script.count("\n", 0, begin) + 1, script[begin:end])
