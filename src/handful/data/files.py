"""Files in a folder or an archive, read where they lie: nothing is unpacked and nothing outside is opened."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from handful.config import digest_of
from handful.errors import DataError

MAX_FILE_BYTES = 256 * 2**20
MAX_THREADS = 4
BATCH_BYTES = 64 * 2**10  # small files go to a thread together: handing over each costs more than it saves
LARGE_BATCH = 4 * BATCH_BYTES  # where little is made of each file
KEY_BATCH = 64  # files
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Listing:
    """What a folder or an archive holds.

    Args:
        paths: every file, relative, posix, sorted.
        empty: folders with nothing in them, relative, posix, sorted.
        faults: (path, why) of entries that must not be used (a link that leaves the folder, a name with `..`).
    """

    paths: tuple[str, ...]
    empty: tuple[str, ...] = ()
    faults: tuple[tuple[str, str], ...] = ()


class Files(Protocol):
    """A folder or an archive. Holds a path only: no handle stays open between two calls."""

    def listing(self) -> Listing:
        """Return every file, without reading one."""
        ...

    def read(self, paths: Sequence[str]) -> Iterator[tuple[int, bytes | DataError]]:
        """Yield (position in `paths`, whole content or why there is none), in the order that is cheapest to read.

        An archive is opened once per call.
        """
        ...

    def key(self, paths: Sequence[str]) -> str:
        """Return a SHA-256 (hex) that changes when the bytes of any of these files do, or the archive's."""
        ...


@dataclass(frozen=True)
class FolderFiles:
    """The files below a folder. Links are followed inside it only."""

    root: Path

    def listing(self) -> Listing:
        root = self.root.resolve()
        paths: list[str] = []
        empty: list[str] = []
        faults: list[tuple[str, str]] = []
        pending = [(root, "", frozenset({root}))]
        while pending:
            folder, inside, above = pending.pop()
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError as error:
                faults.append((inside or ".", f"the folder cannot be read ({error.strerror})"))
                continue
            if not entries and inside:
                empty.append(inside)
            for entry in entries:
                path = f"{inside}/{entry.name}" if inside else entry.name
                fault = _name_fault(path)
                target = Path(os.path.realpath(entry.path)) if entry.is_symlink() and not fault else None
                if target is not None and not target.exists():
                    fault = "a link to nothing; remove it"
                elif target is not None and not target.is_relative_to(root):
                    fault = "a link that leaves the folder; put the file itself there"
                elif target is not None and target in above:
                    fault = "a link to a folder that holds it; remove it"
                if fault:
                    faults.append((path, fault))
                elif entry.is_dir():
                    here = target or Path(entry.path)
                    pending.append((here, path, above | {here}))
                else:
                    paths.append(path)
        return Listing(tuple(sorted(paths)), tuple(sorted(empty)), tuple(sorted(faults)))

    def read(self, paths: Sequence[str]) -> Iterator[tuple[int, bytes | DataError]]:
        root = str(self.root)
        for position, path in enumerate(paths):
            yield position, _content(os.path.join(root, path))

    def key(self, paths: Sequence[str]) -> str:
        root = str(self.root)
        batches = in_batches(((os.path.join(root, path), 1) for path in paths), _digests, KEY_BATCH)
        return digest_of([digest for digests in batches for digest in digests])


def open_files(path: Path) -> Files | None:
    """Return the files in a folder, a zip or a tar, or None where the path's name says that it is none of these."""
    from handful.data.archives import TarFiles, ZipFiles

    name = path.name.lower()
    if path.is_dir():
        return FolderFiles(path)
    if name.endswith(".zip"):
        return ZipFiles(path)
    return TarFiles(path) if name.endswith((".tar", ".tar.gz", ".tgz")) else None


def each(
    files: Files, paths: Sequence[str], work: Callable[[bytes], ResultT], batch: int = BATCH_BYTES
) -> Iterator[tuple[int, ResultT | DataError]]:
    """Yield (position in `paths`, what `work` made of the content, or why it could not), in no particular order.

    The files are read one after the other; `work` runs in up to four threads, small files batch by batch.

    Args:
        batch: bytes of files that go to a thread together; what `work` makes of them is in memory together.
    """

    def outcome(content: bytes | DataError) -> ResultT | DataError:
        try:
            return content if isinstance(content, DataError) else work(content)
        except DataError as error:
            return error

    def outcomes(contents: list[tuple[int, bytes | DataError]]) -> list[tuple[int, ResultT | DataError]]:
        return [(position, outcome(content)) for position, content in contents]

    read = (((place, found), 0 if isinstance(found, DataError) else len(found)) for place, found in files.read(paths))
    for made in in_batches(read, outcomes, batch):
        yield from made


def in_batches(
    items: Iterable[tuple[ItemT, int]], work: Callable[[list[ItemT]], ResultT], size: int
) -> Iterator[ResultT]:
    """Yield what `work` made of each batch, in order, in up to four threads; few batches are under way at any time.

    Args:
        items: (item, its weight, such as its bytes).
        size: weight at which a batch is full.
    """
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    under_way: deque[Future[ResultT]] = deque()
    batch: list[ItemT] = []
    full = 0
    with ThreadPoolExecutor(threads) as pool:
        for item, weight in items:
            batch.append(item)
            full += weight
            if full >= size:
                under_way.append(pool.submit(work, batch))
                batch, full = [], 0
                if len(under_way) > 2 * threads:
                    yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
        if batch:
            yield work(batch)


def bounded(content: bytes) -> bytes | DataError:
    """Return the content, or why not where it was read past the largest size a file may have."""
    if len(content) > MAX_FILE_BYTES:
        return DataError(f"larger than the {MAX_FILE_BYTES // 2**20} MiB that a file may have")
    return content


def entry_fault(path: str) -> str:
    """Return why an archive entry of this name must not be used (it points outside, or is no name), else ''."""
    parts = path.split("/")
    if path.startswith(("/", "\\")) or (path[:1].isalpha() and path[1:2] == ":"):
        return "an absolute name in an archive; make the archive again with relative names"
    if ".." in parts or ".." in path.split("\\"):
        return "a name with '..' in an archive; make the archive again without it"
    return _name_fault(path)


def shown(path: str) -> str:
    """Return a path as one printable line: as it is, or quoted and escaped where it holds a newline or the like."""
    return path if path.isprintable() else ascii(path)


def _content(place: str) -> bytes | DataError:
    try:
        status = os.stat(place)
        if not stat.S_ISREG(status.st_mode):
            return DataError("not a file")
        size = min(status.st_size, MAX_FILE_BYTES)
        with open(place, "rb") as file:
            content = file.read(size + 1)  # memory for all that is asked for is taken before it is read
            return bounded(content if len(content) <= size else content + file.read(MAX_FILE_BYTES - size))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a name with a null byte is a ValueError
        return DataError("no such file")
    except OSError as error:
        return DataError(f"cannot be read ({error.strerror})")


def _digests(places: list[str]) -> list[str]:
    contents = map(_content, places)
    return [hashlib.sha256(c if isinstance(c, bytes) else str(c).encode()).hexdigest() for c in contents]


def _name_fault(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8; rename it"
    return ""
