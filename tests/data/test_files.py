"""Folders and archives are untrusted: names, links and sizes are checked, nothing is unpacked."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from handful.data import archives, files
from handful.data.archives import TarFiles, ZipFiles
from handful.data.files import FolderFiles, each, open_files, shown
from handful.errors import DataError

Write = Callable[[Path, Mapping[str, bytes]], Path]
ODD = {"a b/x y.png": b"1", "名/ü.png": b"2", "n/line\nbreak.png": b"3", "r.txt": b""}


def contents(source: files.Files, paths: tuple[str, ...]) -> dict[str, bytes | str]:
    return {paths[i]: c if isinstance(c, bytes) else str(c) for i, c in source.read(paths)}


def test_folder_zip_and_tar_list_and_read_the_same(
    tmp_path: Path, to_folder: Write, to_zip: Write, to_tar: Write
) -> None:
    opened = [
        open_files(to_folder(tmp_path / "f", ODD)),
        open_files(to_zip(tmp_path / "f.zip", ODD)),
        open_files(to_tar(tmp_path / "f.tar.gz", ODD)),
        open_files(to_tar(tmp_path / "f.tgz", ODD)),
        open_files(to_tar(tmp_path / "f.TAR", ODD)),
    ]
    for source in opened:
        assert source is not None
        listing = source.listing()
        assert listing.paths == tuple(sorted(ODD))
        assert listing.faults == ()
        assert contents(source, listing.paths) == ODD
        assert contents(source, ("r.txt", "gone.png"))["gone.png"].startswith("no such file")  # type: ignore[arg-type]
    assert open_files(tmp_path / "f.rar") is None


def test_reading_an_archive_opens_it_once_and_leaves_it_closed(
    tmp_path: Path, to_zip: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ZipFiles(to_zip(tmp_path / "f.zip", ODD))
    opened = []
    real = zipfile.ZipFile

    def counting(path: Path) -> zipfile.ZipFile:
        opened.append(real(path))
        return opened[-1]

    monkeypatch.setattr(archives.zipfile, "ZipFile", counting)
    assert len(contents(source, tuple(ODD))) == len(ODD)
    assert len(opened) == 1
    assert opened[0].fp is None


def test_links_are_followed_inside_a_folder_only(tmp_path: Path, to_folder: Write) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    root = to_folder(tmp_path / "f", {"cat/a.png": b"a"})
    (root / "cat" / "inside.png").symlink_to("a.png")
    (root / "cat" / "outside.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    (root / "cat" / "loop").symlink_to(root)
    (root / "nothing.png").symlink_to("gone.png")
    (root / "self.png").symlink_to("self.png")
    listing = FolderFiles(root).listing()
    assert listing.paths == ("cat/a.png", "cat/inside.png")
    why = dict(listing.faults)
    assert set(why) == {"cat/outside.png", "up", "cat/loop", "nothing.png", "self.png"}
    assert "leaves the folder" in why["cat/outside.png"]
    assert "leaves the folder" in why["up"]


def test_a_root_that_is_a_link_is_fine(tmp_path: Path, to_folder: Write) -> None:
    root = to_folder(tmp_path / "f", {"cat/a.png": b"a"})
    (tmp_path / "link").symlink_to(root)
    assert FolderFiles(tmp_path / "link").listing().paths == ("cat/a.png",)


def test_what_is_no_file_is_said_and_a_key_is_made_of_it(tmp_path: Path, to_folder: Write) -> None:
    folder = FolderFiles(to_folder(tmp_path / "f", {"a.png": b"a" * 5000, "b/c.png": b""}))
    paths = ("a.png", "b", "gone.png", "a.png/below.png", "null\0.png", "b/c.png")
    gone = "no such file"
    expected = (b"a" * 5000, "not a file", gone, gone, gone, b"")
    assert contents(folder, paths) == dict(zip(paths, expected, strict=True))
    before = folder.key(paths)
    assert folder.key(paths) == before
    assert folder.key(paths[::-1]) != before
    (tmp_path / "f" / "gone.png").write_bytes(b"")
    assert folder.key(paths) != before


def test_a_key_does_not_depend_on_the_number_of_threads(
    tmp_path: Path, to_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"{number}.png": bytes([number]) * number for number in range(200)}
    folder, keys = FolderFiles(to_folder(tmp_path / "f", many)), set()
    for cores in (1, 3):
        monkeypatch.setattr(files.os, "cpu_count", lambda cores=cores: cores)
        keys.add(folder.key(tuple(many)))
    assert len(keys) == 1


@pytest.mark.parametrize("size", [99, 100, 101])
def test_a_file_past_the_largest_size_is_refused(
    tmp_path: Path, to_folder: Write, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 100)
    found = contents(FolderFiles(to_folder(tmp_path / "f", {"a.png": b"a" * size})), ("a.png",))["a.png"]
    assert isinstance(found, bytes) == (size <= 100)


@pytest.mark.skipif(os.name == "nt", reason="no FIFOs on Windows")
def test_a_pipe_named_like_a_picture_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert contents(FolderFiles(tmp_path), ("pipe.png",)) == {"pipe.png": "not a file"}


@pytest.mark.parametrize("name", ["../x.png", "cat/../../x.png", "/etc/x.png", "C:\\x.png", "..\\x.png", "C:/x.png"])
def test_names_that_point_outside_are_faults(tmp_path: Path, to_zip: Write, to_tar: Write, name: str) -> None:
    for source in (
        ZipFiles(to_zip(tmp_path / "f.zip", {name: b"1"})),
        TarFiles(to_tar(tmp_path / "f.tar", {name: b"1"})),
    ):
        listing = source.listing()
        assert listing.paths == ()
        assert len(listing.faults) == 1
        assert "make the archive again" in listing.faults[0][1]


def test_links_in_archives_are_faults(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        entry = zipfile.ZipInfo("cat/link.png")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    with tarfile.open(tmp_path / "f.tar", "w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "cat/soft.png"), (tarfile.LNKTYPE, "cat/hard.png")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    assert [path for path, _ in ZipFiles(tmp_path / "f.zip").listing().faults] == ["cat/link.png"]
    assert [path for path, _ in TarFiles(tmp_path / "f.tar").listing().faults] == ["cat/hard.png", "cat/soft.png"]


def test_two_entries_of_one_name_are_a_fault(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        archive.writestr("a.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.png", b"2")
    assert ZipFiles(tmp_path / "f.zip").listing().faults == (("a.png", "2 entries have this name; keep one"),)


def test_backslashes_between_folders_of_a_zip_are_slashes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.zip", "w") as archive:
        entry = zipfile.ZipInfo("x")
        entry.filename = "cat\\a.png"
        archive.writestr(entry, b"1")
    source = ZipFiles(tmp_path / "f.zip")
    assert contents(source, source.listing().paths) == {"cat/a.png": b"1"}


def test_what_unpacks_too_large_is_refused(
    tmp_path: Path, to_folder: Write, to_zip: Write, to_tar: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 1000)
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1000)
    large = {"a.png": bytes(5000), "b.png": b"small"}
    for source in (FolderFiles(to_folder(tmp_path / "f", large)), ZipFiles(to_zip(tmp_path / "f.zip", large))):
        found = contents(source, ("a.png", "b.png"))
        assert "larger than" in str(found["a.png"])
        assert found["b.png"] == b"small"
    for name in ("f.tar", "f.tar.gz"):
        with pytest.raises(DataError, match=r"f\.tar.*a\.png is larger than"):
            TarFiles(to_tar(tmp_path / name, large)).listing()


def test_a_zip_that_lies_about_a_size_gives_no_more_than_it_says(tmp_path: Path, to_zip: Write) -> None:
    path = to_zip(tmp_path / "f.zip", {"a.png": bytes(100_000)})
    path.write_bytes(path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    assert str(contents(ZipFiles(path), ("a.png",))["a.png"]).startswith("cannot be unpacked")


def test_a_bomb_of_many_entries_is_stopped(
    tmp_path: Path, to_tar: Write, to_zip: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = to_tar(tmp_path / "f.tar.gz", {f"{i}.png": bytes(100_000) for i in range(30)})
    monkeypatch.setattr(archives, "_ALWAYS_ALLOWED", 1_000_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        TarFiles(path).listing()
    with pytest.raises(DataError, match="unpacks to more than"):
        ZipFiles(to_zip(tmp_path / "f.zip", {f"{i}.png": bytes(100_000) for i in range(30)})).listing()


def test_a_tar_with_a_giant_header_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**33
    (tmp_path / "f.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(DataError, match=r"f\.tar: the archive cannot be read"):
        TarFiles(tmp_path / "f.tar").listing()


@pytest.mark.parametrize("name", ["f.zip", "f.tar", "f.tar.gz", "f.tgz"])
@pytest.mark.parametrize("content", [b"", b"no archive at all" * 100, b"\x1f\x8b\x08 gzip?", b"PK\x03\x04"])
def test_what_is_no_archive_is_one_clear_fault(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    source = open_files(tmp_path / name)
    assert source is not None
    with pytest.raises(DataError, match=r"the archive cannot be read") as error:
        source.listing()
    assert len(error.value.faults) == 1


def test_an_archive_cut_short_is_a_fault(tmp_path: Path, to_tar: Write, to_zip: Write) -> None:
    members = {f"cat/{i}.png": os.urandom(3000) for i in range(5)}
    for path, kind in (
        (to_tar(tmp_path / "f.tar.gz", members), TarFiles),
        (to_zip(tmp_path / "f.zip", members), ZipFiles),
    ):
        path.write_bytes(path.read_bytes()[:-4000])
        with pytest.raises(DataError, match="cannot be read"):
            kind(path).listing()


@pytest.mark.parametrize("name", ["f.tar", "f.tar.gz"])
def test_a_tar_with_a_spoilt_entry_does_not_end_there_silently(tmp_path: Path, to_tar: Write, name: str) -> None:
    plain = bytearray(to_tar(tmp_path / "plain.tar", {"a/1.png": b"1", "a/2.png": b"2", "a/3.png": b"3"}).read_bytes())
    plain[1024] ^= 0xFF
    (tmp_path / name).write_bytes(gzip.compress(plain) if name.endswith("gz") else bytes(plain))
    with pytest.raises(DataError, match="the entry at byte 1024 is spoilt"):
        TarFiles(tmp_path / name).listing()


def test_a_gzip_with_another_checksum_is_a_fault(tmp_path: Path, to_tar: Write) -> None:
    path = to_tar(tmp_path / "f.tar.gz", {"a/1.png": b"1"})
    content = bytearray(path.read_bytes())
    content[-8] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="CRC check failed"):
        TarFiles(path).listing()


def test_spoilt_and_encrypted_members_are_named_one_by_one(tmp_path: Path, to_zip: Write) -> None:
    path = to_zip(tmp_path / "f.zip", {"a.png": b"A" * 50, "b.png": b"B" * 50})
    data = bytearray(path.read_bytes())
    data[data.index(b"a.png") + 6] ^= 0xFF
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 8] |= 1
    path.write_bytes(bytes(data))
    found = contents(ZipFiles(path), ("a.png", "b.png"))
    assert str(found["a.png"]).startswith("cannot be unpacked")
    assert found["b.png"] == "encrypted"


def test_gzip_of_something_else_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "f.tar.gz").write_bytes(gzip.compress(b"text" * 1000))
    with pytest.raises(DataError, match="cannot be read"):
        TarFiles(tmp_path / "f.tar.gz").listing()


def test_each_gives_every_file_its_result_or_its_reason(tmp_path: Path, to_folder: Write) -> None:
    members = {f"{i}.png": bytes([i]) * (100_000 if i % 2 else 10) for i in range(40)}
    root = to_folder(tmp_path / "f", members)

    def work(data: bytes) -> int:
        if data[0] == 7:
            raise DataError("seven")
        return data[0]

    paths = [*members, "gone.png"]
    found = {
        paths[i]: result if isinstance(result, int) else str(result)
        for i, result in each(FolderFiles(root), paths, work)
    }
    assert found.pop("gone.png") == "no such file"
    assert found.pop("7.png") == "seven"
    assert found == {f"{i}.png": i for i in range(40) if i != 7}


def test_a_bug_in_the_work_is_not_swallowed(tmp_path: Path, to_folder: Write) -> None:
    root = to_folder(tmp_path / "f", {"a.png": b"a", "b.png": bytes(100_000)})
    for path in ("a.png", "b.png"):
        with pytest.raises(ZeroDivisionError):
            list(each(FolderFiles(root), [path], lambda data: 1 // 0))


def test_names_are_shown_on_one_line() -> None:
    assert shown("a b/ü.png") == "a b/ü.png"
    assert "\n" not in shown("a\nb")
    assert shown("\udcff.png").isprintable()


@pytest.mark.skipif(os.name == "nt", reason="names are always text on Windows")
def test_a_name_that_is_not_utf8_is_a_fault(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"\xff.png")).write_bytes(b"1")
    except OSError:
        pytest.skip("this file system refuses names that are not UTF-8")
    assert "not UTF-8" in FolderFiles(tmp_path).listing().faults[0][1]


def test_bounded_refuses_a_seek_past_its_limit() -> None:
    stream = archives.Bounded(io.BufferedReader(io.BytesIO(bytes(100))), 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unpacks to more"):
        stream.seek(50)
