"""What tasks may do: as whom they run, how much they take, and which files they reach."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from instances.runners.spawner import process_tree
from instances.runners.spawner.process_tree import LINUX, resource

_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_LAST_CAPABILITY: Final = 63
_CAPABILITY_VERSION: Final = 0x20080522
_CLONE_NEWNS: Final = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
# What a task writes is its project's; a script may say otherwise.
_UMASK: Final = 0o077


def confine(confinement: dict[str, Any]) -> None:
    """Confine this process, the guardian, and so the spawner and all that it will start.

    It takes the fields of `Confinement`. What is given up here costs no task anything.
    """
    open_ways(map(Path, confinement["ways"]))
    _lower(resource.RLIMIT_DATA, confinement["memory_bytes"])
    _lower(resource.RLIMIT_NPROC, confinement["processes"])
    if not confinement["new_privileges"]:
        process_tree.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0:
        for capability in range(_LAST_CAPABILITY + 1):  # there are fewer: an error is fine
            process_tree.prctl(_PR_CAPBSET_DROP, capability)
        if not confinement["users"]:  # who gives others their users needs capabilities
            _drop_capabilities()


def limit(spec: dict[str, Any]) -> None:
    """Set the task's own limits in its process; it cannot raise them again."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(spec["open_files"], hard), hard))
    _lower(resource.RLIMIT_DATA, spec["memory_bytes"])


def become(user: int | None) -> None:
    """Become the task's user, in its process, with no group and no capability left."""
    if user is not None:
        os.fchown(1, user, user)  # a script may open /dev/stdout and /dev/stderr
        os.umask(_UMASK)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        process_tree.die_with_parent()  # the change has taken it off


def _lower(kind: int, most: int | None) -> None:
    if most:
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _drop_capabilities() -> None:
    if LINUX:
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
        nothing = (ctypes.c_uint32 * 6)()
        ctypes.CDLL(None).capset(header, nothing)


def make_way(folder: Path) -> None:
    """Make a folder, if it is missing, that others may enter when root makes it."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    if os.geteuid() == 0:
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)  # a umask may have closed it


def closed_folder(path: Path) -> Path | None:
    """Return the topmost folder above `path` that only its owner may enter, if there is one."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def open_ways(paths: Iterable[Path]) -> None:
    """Let tasks reach these folders where a closed one stands above them, such as /root.

    Only for this process and what it starts: it gets a view of the file systems of its own, in
    which an empty folder with nothing but `paths` takes the place of the closed one. What the
    folders themselves hold is guarded as before.
    """
    closed: dict[Path, list[Path]] = {}
    for path in {whole for one in paths for whole in (one.absolute(), one.resolve())}:
        if path.is_dir() and (top := closed_folder(path)) is not None:
            closed.setdefault(top, []).append(path)
    if not closed:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(_CLONE_NEWNS))
    _mount(libc, None, Path("/"), None, _MS_REC | _MS_PRIVATE)
    with contextlib.ExitStack() as stack:
        stack.callback(os.umask, os.umask(0o022))  # what is made here is for tasks to enter
        for top, inside in closed.items():
            sources = {}
            for path in sorted(inside):  # those above before those below
                sources[path] = os.open(path, os.O_PATH)
                stack.callback(os.close, sources[path])
            _mount(libc, "tmpfs", top, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m")
            for path, source in sources.items():
                if not path.exists():
                    path.mkdir(parents=True)
                _mount(libc, f"/proc/self/fd/{source}", path, None, _MS_BIND | _MS_REC)


def _mount(
    libc: Any, source: str | None, target: Path, kind: str | None, flags: int, options: str = ""
) -> None:
    texts = (source, str(target), kind)
    encoded = [None if text is None else os.fsencode(text) for text in texts]
    _check(libc.mount(*encoded, ctypes.c_ulong(flags), os.fsencode(options) or None))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
