"""The data directory: where one installation keeps its database, its secrets and its files."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

PROJECT_DIRECTORY = Path(__file__).resolve().parents[2]
SECRETS_FILE = "secrets.json"


class DataDirectoryError(Exception):
    """The data directory cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one installation, made at its first start.

    encryption_keys: Fernet keys, newest first; the first one encrypts, all of them decrypt (P5).
    """

    secret_key: str
    encryption_keys: tuple[str, ...]


def data_directory() -> Path:
    """The absolute path of TIDEMILL_DATA, or of `var/` in the project; nothing is created."""
    return Path(os.environ.get("TIDEMILL_DATA") or PROJECT_DIRECTORY / "var").absolute()


def ensure_data_directory(directory: Path) -> Path:
    """Create the directory when it is missing and answer it; an existing one is left as it is.

    For root it can be entered (not listed) by others, because the embedded database, which refuses
    to run as root, lives below it as a user of its own; for anybody else it is private.
    Raises DataDirectoryError.
    """
    try:
        if not directory.is_dir():
            directory.mkdir(parents=True)
            directory.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except FileExistsError as error:
        if not directory.is_dir():  # a process beside us may have made it meanwhile
            raise DataDirectoryError(f"{directory} is a file, not a directory.") from error
    except OSError as error:
        raise DataDirectoryError(
            f"The data directory {directory} cannot be created ({error.strerror}); "
            "set TIDEMILL_DATA to a directory that can."
        ) from error
    return directory


def load_secrets(directory: Path) -> Secrets:
    """Read the installation's secrets, making them on the first call (file mode 0600).

    Raises DataDirectoryError when the file is there but cannot be read or understood: new secrets
    would make everything encrypted with the old ones unreadable, so they are never replaced.
    """
    path = ensure_data_directory(directory) / SECRETS_FILE
    if not path.exists():
        write_new(
            path,
            json.dumps(
                {
                    "secret_key": secrets.token_urlsafe(48),
                    "encryption_keys": [Fernet.generate_key().decode()],
                },
                indent=2,
            )
            + "\n",
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Secrets(str(data["secret_key"]), tuple(map(str, data["encryption_keys"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataDirectoryError(
            f"The secrets in {path} cannot be read ({error}); restore the file from a backup, or "
            "delete it if nothing encrypted with it is needed any more."
        ) from error


def write_new(path: Path, text: str) -> None:
    """Write a private file (0600) unless it exists; whoever comes second changes nothing.

    The text is complete before the name appears, so a reader never sees half of it.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        Path(name).unlink()
