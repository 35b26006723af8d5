"""The possible content of a disk after a power cut, from the system calls of a program.

`command` runs a program under strace; `Disk` takes in its calls one by one and knows of each file
what is durable and what only the system's cache holds. Names count as durable once their folder was
synced. What was not synced may be there after a power cut, torn, zeroed or not at all.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from random import Random

CALLS = (
    "openat,creat,lseek,write,pwrite64,writev,pwritev,fsync,fdatasync,ftruncate,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,sendto,sendmsg"
)
_LINE = re.compile(r"^(\d+)\s+(.*)$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)(.*)$")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_PATH = re.compile(r"<((?:\\x[0-9a-f]{2})+)>")


def command(log: Path, *program: str) -> list[str]:
    """Return the command that runs a program and writes its calls into `log`."""
    options = ["-f", "-y", "-xx", "-s", "10000000", "-qq", "-o", str(log), "-e", f"trace={CALLS}"]
    return ["strace", *options, *program]


@dataclass
class Call:
    """One system call that succeeded."""

    name: str
    arguments: str
    result: int
    opened: str

    @property
    def strings(self) -> list[bytes]:
        """Its arguments that are strings."""
        return [_bytes(found) for found in _STRING.findall(self.arguments)]

    @property
    def paths(self) -> list[str]:
        """The paths of its file descriptors."""
        return [_bytes(found).decode() for found in _PATH.findall(self.arguments)]


def calls(log: Path) -> Iterator[Call]:
    """Yield the calls in the order in which they returned."""
    begun: dict[str, str] = {}
    for line in log.read_text().splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        thread, text = found.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>")
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            text = begun.pop(thread) + resumed[2]
        parsed = _CALL.match(text)
        if parsed is not None and int(parsed[3]) >= 0:
            opened = _PATH.search(parsed[4])
            path = _bytes(opened[1]).decode() if opened else ""
            yield Call(parsed[1], parsed[2], int(parsed[3]), path)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class _File:
    durable: bytes = b""
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        content = bytearray(self.durable)
        for change in self.pending:
            _apply(content, *change)
        return bytes(content)

    def after_power_cut(self, random: Random) -> bytes:
        content = bytearray(self.durable)
        for what, at, data in self.pending:
            fate = random.choice(["there", "gone", "torn", "zero"])
            if what == "cut" or fate == "there":
                _apply(content, what, at, data)
            elif fate == "torn":
                _apply(content, what, at, data[: random.randrange(len(data) + 1)])
            elif fate == "zero":
                _apply(content, what, at, bytes(len(data)))
        return bytes(content)


def _apply(content: bytearray, what: str, at: int, data: bytes) -> None:
    if what == "cut":
        del content[at:]
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + len(data)] = data


@dataclass
class Disk:
    """The files below one folder."""

    root: str
    said: list[bytes] = field(default_factory=list)
    """What went out over sockets."""
    _names: dict[str, _File | None] = field(default_factory=dict)
    """As the program sees them; folders have no file."""
    _durable: dict[str, _File | None] = field(default_factory=dict)
    _unsynced: list[tuple[str, _File | None, str]] = field(default_factory=list)
    """Changes of names in order: a path (none: it was deleted), its file, and its former path."""
    _offsets: dict[str, int] = field(default_factory=dict)
    _appending: set[str] = field(default_factory=set)

    def take(self, call: Call) -> bool:
        """Process a call; return whether it changed the disk after a crash, or was reported."""
        if call.name in ("sendto", "sendmsg"):
            self.said.append(b"".join(call.strings))
            return True
        handler = getattr(self, f"_{call.name.removesuffix('64')}", None)
        return handler is not None and handler(call) is not None

    def after_kill(self) -> dict[str, bytes | None]:
        """Return the files after a kill of the program: everything that it wrote."""
        return {name: file and file.content for name, file in self._names.items()}

    def after_power_cut(self, random: Random) -> dict[str, bytes | None]:
        """Return possible files after a power cut."""
        names = dict(self._durable)
        for path, file, former in self._unsynced[: random.randrange(len(self._unsynced) + 1)]:
            _rename(names, path, file, former)
        there = {
            name: file
            for name, file in names.items()
            if all(p in names for p in self._parents(name))
        }
        return {name: file and file.after_power_cut(random) for name, file in there.items()}

    def after_strict_power_cut(self) -> dict[str, bytes | None]:
        """Return the files that must exist after a power cut."""
        names = {
            n: f
            for n, f in self._durable.items()
            if all(p in self._durable for p in self._parents(n))
        }
        return {name: file and file.durable for name, file in names.items()}

    def _parents(self, name: str) -> list[str]:
        return [str(p) for p in PurePosixPath(name).parents if self._inside(str(p))]

    def _inside(self, path: str) -> bool:
        return path.startswith(f"{self.root}/")

    def _openat(self, call: Call) -> bool | None:
        path, flags = call.opened, call.arguments
        fd = str(call.result)
        self._offsets.pop(fd, None)
        self._appending.discard(fd)
        if not self._inside(path):
            return None
        self._offsets[fd] = 0
        if "O_APPEND" in flags:
            self._appending.add(fd)
        if "O_CREAT" in flags and path not in self._names:
            self._change(path, _File())
            return True
        file = self._names.get(path)
        if "O_TRUNC" in flags and file is not None:
            file.pending.append(("cut", 0, b""))
            return True
        return None

    def _lseek(self, call: Call) -> None:
        self._offsets[_fd(call)] = call.result

    def _write(self, call: Call) -> bool | None:
        file = self._of(call)
        if file is None:
            return None
        fd = _fd(call)
        at = len(file.content) if fd in self._appending else self._offsets.get(fd, 0)
        data = b"".join(call.strings)[: call.result]
        file.pending.append(("write", at, data))
        self._offsets[fd] = at + len(data)
        return True

    _writev = _write

    def _pwrite(self, call: Call) -> bool | None:
        file = self._of(call)
        if file is None:
            return None
        data = b"".join(call.strings)[: call.result]
        file.pending.append(("write", int(call.arguments.rsplit(",", 1)[1]), data))
        return True

    def _ftruncate(self, call: Call) -> bool | None:
        file = self._of(call)
        if file is None:
            return None
        length = int(call.arguments.rsplit(",", 1)[1])
        content = file.content
        grown = ("write", len(content), bytes(length - len(content)))
        file.pending.append(grown if length > len(content) else ("cut", length, b""))
        return True

    def _fsync(self, call: Call) -> bool | None:
        (path,) = call.paths
        file = self._of(call)
        if file is not None:
            file.durable, file.pending = file.content, []
            return True
        left = []
        for change in self._unsynced:
            if str(PurePosixPath(change[0] or change[2]).parent) == path:
                _rename(self._durable, *change)
            else:
                left.append(change)
        changed = len(left) != len(self._unsynced)
        self._unsynced = left
        return changed or None

    _fdatasync = _fsync

    def _rename(self, call: Call) -> bool | None:
        former, path = (_.decode() for _ in call.strings)
        if former not in self._names:
            return None
        self._change(path, self._names[former], former)
        return True

    _renameat = _renameat2 = _rename

    def _unlink(self, call: Call) -> bool | None:
        (path,) = (_.decode() for _ in call.strings)
        if path not in self._names:
            return None
        del self._names[path]
        self._unsynced.append(("", None, path))
        return True

    _unlinkat = _unlink

    def _mkdir(self, call: Call) -> bool | None:
        (path,) = (_.decode() for _ in call.strings)
        if not self._inside(path):
            return None
        self._change(path, None)
        return True

    _mkdirat = _mkdir

    def _of(self, call: Call) -> _File | None:
        paths = call.paths
        return self._names.get(paths[0]) if paths else None

    def _change(self, path: str, file: _File | None, former: str = "") -> None:
        _rename(self._names, path, file, former)
        self._unsynced.append((path, file, former))


def _rename(names: dict[str, _File | None], path: str, file: _File | None, former: str) -> None:
    names.pop(former, None)
    if path:
        names[path] = file


def _fd(call: Call) -> str:
    return call.arguments.split("<", 1)[0]


def write_files(files: dict[str, bytes | None], root: str, folder: Path) -> None:
    """Write files of `root` into `folder`."""
    for name in sorted(files):
        path = folder / PurePosixPath(name).relative_to(root)
        content = files[name]
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
