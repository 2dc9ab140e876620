"""Where the embedded server lives when root starts it, and what is left alone."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config.embedded import postgres_placement
from config.embedded.data_directory import ensure_data_directory
from config.embedded.postgres import (
    delete_server,
    ensure_server,
    release_server,
)
from config.embedded.postgres_placement import (
    EmbeddedPostgresError,
    place,
    programs,
    reachable,
    server_user,
)

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="tidemill-test-", dir="/tmp"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def shelter(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelter of this test's own."""
    monkeypatch.setattr(postgres_placement, "SHELTER", open_folder / "shelter")
    return open_folder / "shelter"


@pytest.fixture
def private_home(open_folder: Path) -> Path:
    """A folder that only its owner can enter, like /root."""
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    return home


def test_a_folder_is_reachable_only_if_every_folder_above_it_is(
    open_folder: Path, private_home: Path
) -> None:
    (private_home / "open").mkdir(mode=0o755)
    assert reachable(open_folder)
    assert not reachable(private_home)
    assert not reachable(private_home / "open")


@only_root
def test_a_private_home_keeps_its_mode_and_the_database_moves_out(
    private_home: Path, shelter: Path
) -> None:
    directory = private_home / "data"
    info = ensure_server(directory)
    try:
        assert info.pgdata.is_relative_to(shelter)
        assert private_home.stat().st_mode & 0o777 == 0o700
        assert psutil.Process(info.pid).username() == "pgserver"
        assert (info.pgdata.parent / "origin").read_text() == f"{directory}\n"
    finally:
        delete_server(directory)
    assert not info.pgdata.parent.exists()


@only_root
def test_deleting_the_data_directory_gives_a_fresh_database(
    private_home: Path, shelter: Path
) -> None:
    directory = ensure_data_directory(private_home / "data")
    before = place(directory)
    shutil.rmtree(directory)
    assert place(directory).pgdata != before.pgdata


@only_root
def test_programs_that_the_server_user_cannot_reach_are_copied_once(
    open_folder: Path, shelter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_placement, "_runnable", lambda install, uid: False)
    directory = open_folder / "data"
    info = ensure_server(directory)
    try:
        assert Path(psutil.Process(info.pid).exe()).is_relative_to(shelter)
        user = server_user(place(directory))
        copied = programs(user)
        made = (copied / "postgres").stat().st_mtime_ns, copied.stat().st_ino
        assert programs(user) == copied
        assert made == ((copied / "postgres").stat().st_mtime_ns, copied.stat().st_ino)
    finally:
        release_server(directory)


@only_root
def test_a_database_whose_folder_became_private_is_not_replaced_by_an_empty_one(
    open_folder: Path, shelter: Path
) -> None:
    home = open_folder / "home"
    home.mkdir(mode=0o711)
    ensure_server(home / "data")
    release_server(home / "data")
    home.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match="a folder above it has become private"):
        ensure_server(home / "data")


@only_root
def test_an_ordinary_user_runs_the_server_and_root_does_not_take_it_over(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = open_folder / "home"
    home.mkdir(mode=0o711)
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    if not reachable(postgres_placement._package(), nobody.pw_uid):
        pytest.skip("the installed package is not reachable by another user")

    child = os.fork()
    if child == 0:  # the child is that user, and tells by its exit code
        code = 1
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            info = ensure_server(home / "data")
            name = psutil.Process(info.pid).username()
            release_server(home / "data")
            code = 0 if name == "nobody" else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    info = ensure_server(home / "data")
    assert psutil.Process(info.pid).username() == "nobody"
    release_server(home / "data")


def test_a_damaged_marker_is_refused(open_folder: Path) -> None:
    (open_folder / "postgres.id").write_text("../../etc\n")
    with pytest.raises(EmbeddedPostgresError, match="is damaged"):
        place(open_folder)
