"""Archives that are spoilt or mean harm, each with the name that its fault must hold."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile

from malformed import PNG, whole

GOOD = {"cat/a.png": whole("png"), "dog/b.png": whole("png")}
Entry = tuple[zipfile.ZipInfo, bytes]


def zip_entry(name: str, data: bytes = b"x", mode: int = 0o100644) -> Entry:
    entry = zipfile.ZipInfo("x")
    entry.filename, entry.external_attr = name, mode << 16
    return entry, data


def zipped(*entries: Entry) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # duplicate names, which are meant
        for name, data in GOOD.items():
            archive.writestr(name, data)
        for entry, data in entries:
            archive.writestr(entry, data)
    return file.getvalue()


def encrypted(data: bytes) -> bytes:
    """The flag set on the last entry, in both of its headers."""
    made = bytearray(data)
    made[made.rindex(b"PK\x03\x04") + 6] |= 1
    made[made.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


# archive => the name that the fault must hold; '' where all of it is right
HOSTILE_ZIPS: dict[str, tuple[bytes, str]] = {
    "plain": (zipped(), ""),
    "dots": (zipped(zip_entry("../x.png", PNG)), "../x.png"),
    "dots inside": (zipped(zip_entry("cat/../../../x.png", PNG)), "cat/../../../x.png"),
    "dots backslash": (zipped(zip_entry("..\\..\\x.png", PNG)), "../../x.png"),
    "absolute": (zipped(zip_entry("/x.png", PNG)), "/x.png"),
    "drive": (zipped(zip_entry("C:\\x.png", PNG)), "C:/x.png"),
    "share": (zipped(zip_entry("\\\\server\\x.png", PNG)), "//server/x.png"),
    "backslash": (zipped(zip_entry("cat\\c.png", PNG)), ""),
    "twice": (zipped(zip_entry("cat/a.png", PNG)), "cat/a.png"),
    "twice by backslash": (zipped(zip_entry("cat\\a.png", PNG)), "cat/a.png"),
    "link": (zipped(zip_entry("cat/l.png", b"/etc/passwd", 0o120777)), "cat/l.png"),
    "encrypted": (encrypted(zipped(zip_entry("cat/e.png", PNG))), "cat/e.png"),
    "nested": (zipped(zip_entry("cat/inner.zip", zipped())), ""),
    "nested named png": (zipped(zip_entry("cat/inner.png", zipped())), "cat/inner.png"),
    "empty picture": (zipped(zip_entry("cat/e.png", b"")), "cat/e.png"),
    "newline": (zipped(zip_entry("cat/new\nline.png", PNG)), ""),
    "non-Latin": (zipped(zip_entry("cat/标志.png", PNG)), ""),
    "long name": (zipped(zip_entry(f"cat/{'n' * 5000}.png", PNG)), ""),
    "comment before and after": (b"#!/bin/sh\n" + zipped() + b"", ""),
    "folder entry": (zipped(zip_entry("cat/", b"", 0o040755)), ""),
    "spoilt bytes": (zipped().replace(PNG[-30:-20], b"\0" * 10, 1), "cat/a.png"),
    "no bytes": (b"", "given"),
    "no zip": (b"text" * 200, "given"),
    "cut in half": (zipped()[: len(zipped()) // 2], "given"),
    "cut in the list": (zipped()[:-60], "given"),
    "cut at the end": (zipped()[:-5], "given"),
    "cut in front": (zipped()[40:], "cat/a.png"),
}


def tar_entry(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "") -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.linkname = kind, len(data), link
    entry.devmajor, entry.devminor = 1, 5
    return entry.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


GOOD_TAR = b"".join(tar_entry(name, data=data) for name, data in GOOD.items())
END = bytes(1024)


def sparse_entry() -> bytes:
    """An old GNU sparse file of 1 TiB that holds one byte."""
    entry = tarfile.TarInfo("cat/s.png")
    entry.type, entry.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"00000000000\0", b"00000001000\0"
    block[483:495] = b"\x80\0\0\0\0\0\x01\0\0\0\0\0"
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block) + bytes(512)


HOSTILE_TARS: dict[str, tuple[bytes, str]] = {
    "plain": (GOOD_TAR + END, ""),
    "no end": (GOOD_TAR, ""),
    "device": (GOOD_TAR + tar_entry("cat/d.png", tarfile.CHRTYPE) + END, "cat/d.png"),
    "disk": (GOOD_TAR + tar_entry("cat/d.png", tarfile.BLKTYPE) + END, "cat/d.png"),
    "pipe": (GOOD_TAR + tar_entry("cat/p.png", tarfile.FIFOTYPE) + END, "cat/p.png"),
    "link": (GOOD_TAR + tar_entry("cat/l.png", tarfile.SYMTYPE, link="/etc/passwd") + END, "cat/l.png"),
    "hard link": (GOOD_TAR + tar_entry("cat/h.png", tarfile.LNKTYPE, link="../x.png") + END, "cat/h.png"),
    "folder by link": (
        GOOD_TAR + tar_entry("up", tarfile.SYMTYPE, link="..") + tar_entry("up/x.png", data=PNG) + END,
        "up",
    ),
    "sparse": (GOOD_TAR + sparse_entry() + END, "cat/s.png"),
    "dots": (GOOD_TAR + tar_entry("../x.png", data=PNG) + END, "../x.png"),
    "absolute": (GOOD_TAR + tar_entry("/x.png", data=PNG) + END, "/x.png"),
    "twice": (GOOD_TAR + tar_entry("cat/a.png", data=PNG) + END, "cat/a.png"),
    "unknown kind": (GOOD_TAR + tar_entry("cat/u.png", b"Z", data=PNG) + END, "cat/u.png"),
    "long name": (tar_entry(f"cat/{'n' * 900}.png", data=PNG) + GOOD_TAR + END, ""),
    "nested": (GOOD_TAR + tar_entry("cat/inner.tar", data=GOOD_TAR) + END, ""),
    "cut in a picture": (GOOD_TAR[:700], "given"),
    "cut in a header": (GOOD_TAR[: len(GOOD_TAR) // 2 + 100], "given"),
    "spoilt header": (GOOD_TAR[:1050] + b"\xff\xff" + GOOD_TAR[1052:] + END, "given"),
    "no bytes": (b"", "given"),
    "no tar": (b"text" * 500, "given"),
}
