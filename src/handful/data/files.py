"""Files in a folder or an archive, read where they lie: nothing is unpacked and nothing outside is opened."""

from __future__ import annotations

import hashlib
import os
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
        for position, path in enumerate(paths):
            yield position, self._content(path)

    def key(self, paths: Sequence[str]) -> str:
        contents = (content for _, content in self.read(paths))
        return digest_of([hashlib.sha256(c if isinstance(c, bytes) else str(c).encode()).hexdigest() for c in contents])

    def _content(self, path: str) -> bytes | DataError:
        whole = self.root / path
        try:
            if not whole.is_file():
                return DataError("not a file" if whole.exists() else "no such file")
            with whole.open("rb") as file:
                return bounded(file.read(MAX_FILE_BYTES + 1))
        except OSError as error:
            return DataError(f"cannot be read ({error.strerror})")


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
    files: Files, paths: Sequence[str], work: Callable[[bytes], ResultT]
) -> Iterator[tuple[int, ResultT | DataError]]:
    """Yield (position in `paths`, what `work` made of the content, or why it could not), in no particular order.

    The files are read one after the other; `work` runs in up to four threads, small files batch by batch.
    """

    def outcome(content: bytes | DataError) -> ResultT | DataError:
        try:
            return content if isinstance(content, DataError) else work(content)
        except DataError as error:
            return error

    def outcomes(batch: list[tuple[int, bytes | DataError]]) -> list[tuple[int, ResultT | DataError]]:
        return [(position, outcome(content)) for position, content in batch]

    read = (((place, found), 0 if isinstance(found, DataError) else len(found)) for place, found in files.read(paths))
    for made in in_batches(read, outcomes, BATCH_BYTES):
        yield from made


def in_batches(
    items: Iterable[tuple[ItemT, int]], work: Callable[[list[ItemT]], ResultT], size: int
) -> Iterator[ResultT]:
    """Yield what `work` made of each batch, in order, in up to four threads; few batches are under way at any time.

    Args:
        items: (item, its bytes).
        size: bytes at which a batch is full.
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


def _name_fault(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8; rename it"
    return ""
