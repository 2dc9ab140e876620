"""Scripts are cut where statements end, and nowhere else."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instances.runners.sql.statements import split_statements


def _texts(script: str, dialect: str = "duckdb") -> list[str]:
    return [statement.text for statement in split_statements(script, dialect)]


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "select ';'",
        "select 'it''s; fine'",
        'select ";"',
        "select `;`",
        "select $$;$$",
        "select $a$ ; $$ ; $a$",
        "select E'\\';'",
        "select /* ; /* ; */ ; */ 1",
        "select -- ; '\n 1",
        "select a$b$c, x$y$z",
        "create function f() returns int begin atomic select 1; select case when 1 then 2 end; end",
        "create or replace procedure p() begin if 1 then select 1; end if; while 1 do x; end while;"
        " end",
        "create trigger t after insert on x begin update y set a = case 1 when 1 then 2 end; end",
        "create table begin_end (a int)",
        "begin",
    ],
)
def test_a_semicolon_inside_a_statement_does_not_end_it(statement: str) -> None:
    assert _texts(f"{statement};select 2 ; ") == [statement, "select 2"]


def test_mysql_has_quotes_and_comments_of_its_own() -> None:
    assert _texts("select 'a\\';' # ; '\n;select 5--2;", "mysql") == [
        "select 'a\\';'",
        "select 5--2",
    ]
    assert _texts("select 'a\\';select 2", "postgresql") == ["select 'a\\'", "select 2"]


def test_pieces_that_hold_nothing_are_left_out_and_lines_are_kept() -> None:
    script = ";\n-- first\n select 1;;\n\n/* x */\nselect\n2;\n-- end"
    assert [(s.number, s.line, s.text) for s in split_statements(script)] == [
        (1, 3, "select 1"),
        (2, 6, "select\n2"),
    ]


def test_a_quote_that_is_never_closed_reaches_to_the_end() -> None:
    assert _texts("select 1; select 'a; select 2;") == ["select 1", "select 'a; select 2;"]
    assert _texts("select 1; /* select 2; ") == ["select 1"]


_PIECES = st.sampled_from(
    ["select 1", ";", "'a;b'", '"c;d"', "$$;$$", "-- ;\n", "/* ; */", " ", "\n", "''", "x"]
)


@given(st.lists(_PIECES, max_size=12).map("".join))
def test_it_cuts_where_duckdb_cuts(script: str) -> None:
    try:
        expected = len(duckdb.extract_statements(script))
    except duckdb.Error:
        return
    assert len(split_statements(script)) == expected


@given(st.text(alphabet="a;'\"$-/* \n`(", max_size=40), st.sampled_from(["duckdb", "mysql"]))
def test_every_statement_stands_where_it_says(script: str, dialect: str) -> None:
    lines = script.split("\n")
    for number, statement in enumerate(split_statements(script, dialect), 1):
        assert statement.number == number
        assert statement.text
        assert statement.text.split("\n")[0] in lines[statement.line - 1]
