"""Zip and tar as files to read: untrusted input, so names, links and sizes are checked and nothing is unpacked."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from handful.config import digest_of
from handful.data.files import MAX_FILE_BYTES, Listing, bounded, entry_fault, shown
from handful.errors import DataError

MAX_RATIO = 100
MAX_ENTRIES = 1_000_000
_ALWAYS_ALLOWED = 2**30
# what the readers raise on spoilt bytes, and `Bounded` on too many
_SPOILT = (
    OSError,
    EOFError,
    ValueError,
    ArithmeticError,
    RuntimeError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
)


@dataclass(frozen=True)
class ZipFiles:
    """The files in a zip archive."""

    path: Path

    def listing(self) -> Listing:
        with _spoilt_is_a_fault(self.path), zipfile.ZipFile(self.path) as archive:
            entries = archive.infolist()
            limit = unpacked_limit(self.path)
            if sum(entry.file_size for entry in entries) > limit:
                raise ValueError(_past(limit))
        return _listing(
            (_zip_name(entry), entry.filename.endswith(("/", "\\")), stat.S_ISLNK(entry.external_attr >> 16))
            for entry in entries
        )

    def read(self, paths: Sequence[str]) -> Iterator[tuple[int, bytes | DataError]]:
        with _spoilt_is_a_fault(self.path), zipfile.ZipFile(self.path) as archive:
            names = {_zip_name(entry): entry for entry in archive.infolist()}
            for position, path in enumerate(paths):
                yield position, _zipped(archive, names.get(path))

    def key(self, paths: Sequence[str]) -> str:
        return digest_of([file_digest(self.path), *paths])


@dataclass(frozen=True)
class TarFiles:
    """The files in a tar archive, plain or gzip."""

    path: Path

    def listing(self) -> Listing:
        with _spoilt_is_a_fault(self.path), _tar(self.path) as (archive, stream):
            listing = _listing(
                (_tidy(entry.name), entry.isdir(), entry.issym() or entry.islnk()) for entry in _members(archive)
            )
            _require_end(stream, archive.offset)
            return listing

    def read(self, paths: Sequence[str]) -> Iterator[tuple[int, bytes | DataError]]:
        wanted = {path: position for position, path in enumerate(paths)}
        with _spoilt_is_a_fault(self.path), _tar(self.path) as (archive, stream):
            for entry in _members(archive):
                position = wanted.pop(_tidy(entry.name), None) if entry.isreg() else None
                if position is not None:
                    yield position, _tarred(stream, entry)
                if not wanted:
                    return
        for position in wanted.values():
            yield position, DataError("no such file in the archive")

    def key(self, paths: Sequence[str]) -> str:
        return digest_of([file_digest(self.path), *paths])


def file_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpacked_limit(path: Path) -> int:
    """Return how many bytes an archive may unpack to: 100 times its size, and 1 GiB in any case."""
    return max(_ALWAYS_ALLOWED, MAX_RATIO * path.stat().st_size)


class Bounded(io.RawIOBase):
    """A stream that refuses to be read past a limit in all, or far past the largest file in one call."""

    def __init__(self, stream: gzip.GzipFile | io.BufferedReader, limit: int) -> None:
        self._stream, self._limit = stream, limit

    def read(self, size: int = -1) -> bytes:
        if size > MAX_FILE_BYTES + 2**20:
            raise ValueError(f"an entry is larger than the {MAX_FILE_BYTES // 2**20} MiB that a file may have")
        content = self._stream.read(size if size >= 0 else MAX_FILE_BYTES)
        self._check()
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset > self._limit:
            self._refuse()
        position = self._stream.seek(offset, whence)
        self._check()
        return position

    def tell(self) -> int:
        return self._stream.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _check(self) -> None:
        if self._stream.tell() > self._limit:
            self._refuse()

    def _refuse(self) -> None:
        raise ValueError(_past(self._limit))


def _listing(entries: Iterable[tuple[str, bool, bool]]) -> Listing:
    """Args: (path, whether it is a folder, whether it is a link) of every entry."""
    paths: list[str] = []
    folders: list[str] = []
    faults: list[tuple[str, str]] = []
    for path, folder, link in entries:
        if path in ("", "."):
            continue
        if fault := entry_fault(path):
            faults.append((path, fault))
        elif link:
            faults.append((path, "a link in an archive is not followed; put the file itself there"))
        else:
            (folders if folder else paths).append(path)
    faults += [(path, f"{num} entries have this name; keep one") for path, num in Counter(paths).items() if num > 1]
    held = {str(parent) for path in [*paths, *folders] for parent in PurePosixPath(path).parents}
    empty = tuple(sorted(set(folders) - held))
    return Listing(tuple(sorted(set(paths))), empty, tuple(sorted(faults)))


def _zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | None) -> bytes | DataError:
    if entry is None:
        return DataError("no such file in the archive")
    if entry.flag_bits & 1:
        return DataError("encrypted")
    try:
        with archive.open(entry) as file:
            return bounded(file.read(MAX_FILE_BYTES + 1))
    except Exception as error:  # the unpackers raise nearly anything on spoilt bytes, which are untrusted input
        return DataError(f"cannot be unpacked ({error})")


def _require_end(stream: Bounded, offset: int) -> None:
    """Raise where the entries end in anything but zeros: tarfile takes a spoilt header for the end, and says nothing.

    Reading to the end also makes gzip check its checksum.
    """
    stream.seek(offset)
    if stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise ValueError(f"the entry at byte {offset} is spoilt")
    while stream.read(2**20):
        pass


def _tarred(stream: Bounded, entry: tarfile.TarInfo) -> bytes | DataError:
    """Straight from the stream: tarfile's own file objects take three times as long."""
    if entry.issparse():
        return DataError("stored as a sparse file; make the archive without --sparse")
    stream.seek(entry.offset_data)
    content = stream.read(entry.size)
    return content if len(content) == entry.size else DataError("cut short")


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for num, entry in enumerate(archive, start=1):
        if entry.size > MAX_FILE_BYTES:
            raise ValueError(f"{shown(entry.name)} is larger than the {MAX_FILE_BYTES // 2**20} MiB a file may have")
        if num > MAX_ENTRIES:
            raise ValueError(f"it has more than {MAX_ENTRIES} entries")
        yield entry


@contextmanager
def _tar(path: Path) -> Iterator[tuple[tarfile.TarFile, Bounded]]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = Bounded(gzip.GzipFile(fileobj=raw) if packed else raw, unpacked_limit(path))
        with tarfile.open(name=path, fileobj=stream, mode="r:") as archive:
            yield archive, stream


@contextmanager
def _spoilt_is_a_fault(path: Path) -> Iterator[None]:
    try:
        yield
    except _SPOILT as error:
        raise DataError(f"{shown(str(path))}: the archive cannot be read ({error}); make it again") from None


def _past(limit: int) -> str:
    most = f"{MAX_RATIO} times its size" if limit > _ALWAYS_ALLOWED else "the most that a small archive may"
    return f"it unpacks to more than {limit // 2**20} MiB, {most}"


def _zip_name(entry: zipfile.ZipInfo) -> str:
    """Some Windows programs write backslashes between folders, against the standard."""
    return _tidy(entry.filename.replace("\\", "/"))


def _tidy(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return name.rstrip("/")
