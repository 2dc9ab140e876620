"""SQL tasks on DuckDB and through SQLAlchemy (T10)."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import duckdb
import pytest

from instances.error_codes import ErrorCode
from instances.runners.base import DataSourceTarget
from tests.instances.runners.conftest import Run
from tests.support.waiting import wait_for

pytestmark = pytest.mark.feature("T10")


def test_statements_run_in_order_and_the_last_rows_are_shown(run: Run) -> None:
    code = """
create table t (n integer, name text);
insert into t values (1, 'a;b'), (20, NULL);  -- a comment;
select n, name from t order by n;
"""
    outcome, log = run("sql", code)
    assert outcome.ok
    assert outcome.report == {"statements": 3}
    lines = [line.rpartition(", ")[0] for line in log.splitlines()[:3]]
    assert lines == [
        "Statement 1, line 2: CREATE",
        "Statement 2, line 3: INSERT, 2 rows",
        "Statement 3, line 4: SELECT, 2 rows",
    ]
    assert log.endswith("\n n | name\n---+-----\n 1 | a;b\n20 | NULL\n")


def test_only_the_first_rows_are_shown_and_all_are_counted(run: Run) -> None:
    _, log = run("sql", "select range n from range(100000)", config={"rows": 2})
    assert log.endswith("\nn\n-\n0\n1\n… 2 of 100000 rows\n")


def test_an_error_names_the_statement_and_the_line(run: Run) -> None:
    outcome, log = run("sql", "select 1;\n\nselect\n  2,\n  nope\nfrom range(1);\nselect 3")
    assert outcome.error_code == ErrorCode.SQL_ERROR
    assert outcome.message.startswith("Statement 2, line 5: ")
    assert "nope" in outcome.message
    assert (outcome.report["statement"], outcome.report["line"]) == (2, 5)
    assert "Statement 3" not in log


def test_a_script_may_use_a_transaction(run: Run, tmp_path: Path) -> None:
    config = {"database": str(tmp_path / "x.duckdb")}
    run("sql", "create table t (n integer)", config=config)
    outcome, _ = run("sql", "begin; insert into t values (1); select nope; commit", config=config)
    assert outcome.error_code == ErrorCode.SQL_ERROR
    _, log = run("sql", "select count(*) n from t", config=config)
    assert log.endswith("\nn\n-\n0\n")


def test_a_task_waits_for_another_that_writes_the_same_file(run: Run, tmp_path: Path) -> None:
    config = {"database": str(tmp_path / "x.duckdb")}
    ready, go = tmp_path / "ready", tmp_path / "go"
    holder = threading.Thread(
        target=run,
        args=(
            "python",
            f"import duckdb, pathlib, time\nc = duckdb.connect({config['database']!r})\n"
            f"pathlib.Path({str(ready)!r}).touch()\n"
            f"while not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.02)",
        ),
    )
    holder.start()
    wait_for(ready.exists)
    impatient, _ = run("sql", "select 1", config={**config, "lock_wait": 0})
    assert impatient.error_code == ErrorCode.DATA_SOURCE_ERROR
    outcome, log = run("sql", "select 1", config=config, heard=lambda text: go.touch())
    holder.join()
    assert outcome.ok
    assert log.startswith("Another process has the database open")


def test_a_data_source_is_any_database_of_sqlalchemy(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    source = DataSourceTarget("lite", f"sqlite:///{path}")
    code = """
create table t (n integer, name text);
create trigger twice after insert on t when new.n < 9 begin
  update t set n = case n when 1 then 10 else n end; select 1;
end;
insert into t values (1, ':a %s %(b)s');
select * from t
"""
    outcome, log = run("sql", code, data_source=source)
    assert outcome.ok, log
    assert log.endswith("\n n | name\n---+------------\n10 | :a %s %(b)s\n")
    # Each statement stands by itself: nothing has to be committed.
    with sqlite3.connect(path) as connection:
        assert connection.execute("select n from t").fetchall() == [(10,)]
    connection.close()


@pytest.mark.feature("P5")
def test_a_data_source_that_cannot_be_reached_tells_no_password(run: Run) -> None:
    url = "postgresql+psycopg://user:hunter22@127.0.0.1:1/db"
    outcome, log = run("sql", "select 1", data_source=DataSourceTarget("pg", url))
    assert outcome.error_code == ErrorCode.DATA_SOURCE_ERROR
    assert "The data source pg cannot be reached" in log
    assert "hunter22" not in log + outcome.message


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x/y", "oracle://u:p@h/d"])
def test_a_data_source_that_cannot_be_used_is_a_bad_setting(run: Run, url: str) -> None:
    outcome, _ = run("sql", "select 1", data_source=DataSourceTarget("db", url))
    assert outcome.error_code == ErrorCode.BAD_CONFIG


def test_a_script_without_statements_succeeds(run: Run) -> None:
    outcome, log = run("sql", "-- nothing yet\n;;\n")
    assert (outcome.ok, log) == (True, "The script holds no statement.\n")


def test_a_database_in_a_missing_folder_is_an_error_of_the_data_source(run: Run) -> None:
    outcome, _ = run("sql", "select 1", config={"database": "/nowhere/x.duckdb"})
    assert outcome.error_code == ErrorCode.DATA_SOURCE_ERROR


def test_the_child_uses_the_duckdb_of_the_product(run: Run) -> None:
    _, log = run("sql", "select version() v")
    assert duckdb.__version__ in log
