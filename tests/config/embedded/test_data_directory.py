"""The data directory and the secrets in it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from config.embedded.data_directory import (
    PROJECT_DIRECTORY,
    DataDirectoryError,
    data_directory,
    ensure_data_directory,
    load_secrets,
)


def test_the_data_directory_is_var_in_the_project_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TIDEMILL_DATA", raising=False)
    assert data_directory() == PROJECT_DIRECTORY / "var"
    monkeypatch.setenv("TIDEMILL_DATA", "")
    assert data_directory() == PROJECT_DIRECTORY / "var"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEMILL_DATA", "mill")
    assert data_directory() == tmp_path / "mill"


def test_a_new_directory_is_not_for_others_to_list(tmp_path: Path) -> None:
    directory = ensure_data_directory(tmp_path / "a" / "data")
    assert directory.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)


def test_the_mode_of_a_directory_that_exists_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    ensure_data_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_file_in_the_place_of_the_directory_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DataDirectoryError, match="is a file, not a directory"):
        ensure_data_directory(tmp_path / "data")


@pytest.mark.feature("P5")
def test_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(first.secret_key) >= 50
    [key] = first.encryption_keys
    assert Fernet(key).decrypt(Fernet(key).encrypt(b"tide")) == b"tide"


def test_installations_do_not_share_secrets(tmp_path: Path) -> None:
    assert load_secrets(tmp_path / "a") != load_secrets(tmp_path / "b")


def test_first_starts_at_once_agree_on_the_secrets(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(load_secrets, [tmp_path] * 8))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]


def test_damaged_secrets_are_refused_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text('{"secret_key": "x"')
    with pytest.raises(DataDirectoryError, match="restore the file from a backup"):
        load_secrets(tmp_path)
    assert path.read_text() == '{"secret_key": "x"'
