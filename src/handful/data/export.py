"""Pictures to take away: original, generated and balanced, in class folders, with a manifest and a data card."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import unicodedata
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import handful
from handful.data.decode import is_picture
from handful.data.files import shown
from handful.data.images import LabeledImages, content_of
from handful.errors import DataError, StoreError

FORMAT = 1
FOLDERS = ("original", "generated", "balanced")
FILES = ("manifest.csv", "card.json", "README.md")
EXTRA = ("generator", "grids", "candidates")
LEFT_BY_SYSTEMS = (".DS_Store", "Thumbs.db", "desktop.ini")  # a file browser's own, nothing of the user's
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f]')  # what Windows, macOS and Linux together do not allow
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 100  # bytes of a folder name


class _Row(NamedTuple):
    """One picture: its path, its true class, where it comes from, its path in balanced/ or ''."""

    path: str
    label: str
    origin: str
    source: str
    generator: str
    seed: str
    balanced: str
    digest: str
    original_digest: str


COLUMNS = _Row._fields


def write_pictures(
    real: LabeledImages,
    synthetic: LabeledImages | None,
    output: str | Path,
    *,
    card: Mapping[str, Any],
    ids: Sequence[str] | None = None,
    kept: NDArray[np.bool_] | None = None,
    extra: Callable[[Path], None] | None = None,
) -> Path:
    """Write pictures into a new folder and return it; an older export at that place is replaced.

        original/CLASS/NAME.png             the real pictures, named by the file in their id, else real-000012 by row
        generated/CLASS/made-SEED.png       the synthetic ones, named by their seed; only where there are any
        balanced/CLASS/...                  both: hard links, or copies where there are no links
        manifest.csv                        a row per picture, columns COLUMNS
        card.json, README.md                what it is and how it was made, for machines and for people

    `balanced/` opens as a source, and so does the manifest, with the true class names and every picture once. A class
    name that cannot be a folder name on every system is written with `_` for what is not allowed; where two become one
    (upper and lower case count as one), a number is added; the card and the README say which folder is which class.

    Args:
        real: real pictures only.
        synthetic: synthetic pictures only, of the same classes and shape, or None.
        output: the folder to write.
        card: what the caller knows of the pictures, JSON values. `inflated`, where it is there and not empty, says
            why numbers from these pictures are too high, and `notes` is a list of sentences.
        ids: N names of the real pictures, such as their paths, for the manifest and, their last part as far as file
            systems allow it, for the files; None: their rows in the source.
        kept: bool [N], which of the real pictures are in `balanced/`; None: all of them.
        extra: writes more into the folder before it takes its place, under names of EXTRA.

    Raises:
        StoreError: there is something at `output` that this function has not written.
        DataError: pictures of the wrong origin, class or shape, or another number of ids or `kept` than real ones.
    """
    output = Path(output)
    _check(real, synthetic, ids, kept)
    require_export(output)
    folders = folder_names(real.class_names)
    output.parent.mkdir(parents=True, exist_ok=True)
    aside = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        aside.mkdir()
        names = dict(zip(real.origin.parent.tolist(), ids or (), strict=ids is not None))
        chosen = np.ones(len(real), dtype=np.bool_) if kept is None else kept
        taken: set[str] = set()
        rows = _write(real, aside, folders, "original", chosen, names, taken)
        if synthetic is not None and len(synthetic):
            every = np.ones(len(synthetic), dtype=np.bool_)
            rows += _write(synthetic, aside, folders, "generated", every, names, taken)
        with (aside / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        page = _card(card, rows, folders)
        (aside / "card.json").write_text(json.dumps(page, indent=1, ensure_ascii=False), encoding="utf-8")
        (aside / "README.md").write_text(_readme(page), encoding="utf-8")
        if extra is not None:
            extra(aside)
        replace_folder(output, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return output


def folder_names(class_names: Sequence[str]) -> dict[str, str]:
    """Return a folder name for every class, by class name: valid and different on Linux, macOS and Windows."""
    taken: set[str] = set()
    # whoever has a valid name keeps it
    found = {name: _free(_safe(name), taken) for name in sorted(class_names, key=lambda name: _safe(name) != name)}
    return {name: found[name] for name in class_names}


def _free(name: str, taken: set[str]) -> str:
    """The name, with the first number behind it that makes it new; it is taken then."""
    found, num = name, 1
    while _same(found) in taken:
        num += 1
        found = f"{name}-{num}"
    taken.add(_same(found))
    return found


def _safe(name: str) -> str:
    text = _FORBIDDEN.sub("_", name)
    while len(text.encode()) > _LONGEST:
        text = text[:-1]
    text = text.rstrip(". ").lstrip(" ")
    if text.startswith("."):  # hidden, so it would not be read back
        text = f"_{text[1:]}"
    return f"{text}_" if text in ("", "__MACOSX") or _RESERVED.fullmatch(text) else text


def _same(folder: str) -> str:
    """What a file system that ignores case and Unicode composition takes for the same name."""
    return unicodedata.normalize("NFC", folder).casefold()


def _check(
    real: LabeledImages, synthetic: LabeledImages | None, ids: Sequence[str] | None, kept: NDArray[np.bool_] | None
) -> None:
    faults = []
    if not real.origin.real.all():
        faults.append(f"original: {int((~real.origin.real).sum())} of {len(real)} pictures are synthetic")
    if ids is not None and len(ids) != len(real):
        faults.append(f"{len(ids)} ids for {len(real)} real pictures: must be equal")
    if kept is not None and kept.shape != (len(real),):
        faults.append(f"kept has shape {list(kept.shape)}, for {len(real)} real pictures it must be [{len(real)}]")
    if synthetic is not None:
        if synthetic.origin.real.any():
            faults.append(f"generated: {int(synthetic.origin.real.sum())} of {len(synthetic)} pictures are real")
        if synthetic.class_names != real.class_names or synthetic.pixels.shape[1:] != real.pixels.shape[1:]:
            faults.append(
                f"the generated pictures have shape {list(synthetic.pixels.shape[1:])} and classes "
                f"{list(synthetic.class_names)}, the originals {list(real.pixels.shape[1:])} and "
                f"{list(real.class_names)}: must be equal"
            )
    if faults:
        raise DataError(*faults)


def require_export(output: Path) -> None:
    """Raise StoreError unless there is nothing at this place, or an export with nothing of the user's beside it."""
    if not output.is_symlink() and not output.exists():
        return
    where = shown(str(output))
    try:
        card = json.loads((output / "card.json").read_text(encoding="utf-8"))
        ours = isinstance(card, dict) and card.get("handful_pictures") is not None
    except (OSError, ValueError):
        ours = False
    if not ours or output.is_symlink():
        raise StoreError(f"{where}: is there and is not an export of pictures; choose another folder")
    strangers = sorted({path.name for path in output.iterdir()} - {*FOLDERS, *FILES, *EXTRA, *LEFT_BY_SYSTEMS})
    if strangers:
        raise StoreError(
            f"{where}: holds {shown(', '.join(strangers[:5]))} beside an older export; move it or choose another folder"
        )


def replace_folder(output: Path, aside: Path) -> None:
    """Give a new folder its name; the old one there, if any, is gone only after that."""
    old = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    if output.exists():
        os.rename(output, old)
    try:
        os.rename(aside, output)
    except OSError:
        if old.exists():
            os.rename(old, output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(
    images: LabeledImages,
    root: Path,
    folders: Mapping[str, str],
    top: str,
    chosen: NDArray[np.bool_],
    names: Mapping[int, str],
    taken: set[str],
) -> list[_Row]:
    """The pictures of one kind as files, and their rows of the manifest, by class and then in their own order.

    `taken` holds the places used so far, of both kinds: they lie in one folder of `balanced/`.
    """
    origin, digests = images.origin, content_of(images.pixels)
    rows: list[_Row] = []
    for row in np.argsort(images.labels, kind="stable").tolist():
        name = images.class_names[int(images.labels[row])]
        parent, seed = int(origin.parent[row]), int(origin.seed[row])
        real = top == "original"
        stem = f"real-{parent:06}" if real else f"made-{seed}"
        if real and is_picture(names.get(parent, "")):
            stem = _safe(PurePosixPath(names[parent]).stem)
        place = f"{_free(f'{folders[name]}/{stem}', taken)}.png"
        path, balanced = f"{top}/{place}", f"balanced/{place}" if chosen[row] else ""
        pixels = images.pixels[row]
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))).save(
            root / path, "PNG"
        )
        if balanced:
            _link(root / path, root / balanced)
        rows.append(
            _Row(
                path=path,
                label=name,
                origin="real" if real else "synthetic",
                source=names.get(parent, str(parent)) if parent >= 0 else "",
                generator=str(origin.maker[row]),
                seed="" if real else str(seed),
                balanced=balanced,
                digest=digests[row].decode(),
                original_digest=origin.content[row].decode() if real else "",
            )
        )
    return rows


def _link(picture: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(picture, place)
    except OSError:  # a file system without hard links
        shutil.copyfile(picture, place)


def _card(card: Mapping[str, Any], rows: Sequence[_Row], folders: Mapping[str, str]) -> dict[str, Any]:
    counts = {
        "original": Counter(row.label for row in rows if row.origin == "real"),
        "generated": Counter(row.label for row in rows if row.origin == "synthetic"),
        "balanced": Counter(row.label for row in rows if row.balanced),
    }
    return {
        "handful_pictures": FORMAT,
        "handful": handful.__version__,
        "about": dict(card),
        "classes": [
            {"name": name, "folder": folder, **{kind: found[name] for kind, found in counts.items()}}
            for name, folder in folders.items()
        ],
        "total": {kind: sum(found.values()) for kind, found in counts.items()},
    }


def _readme(page: Mapping[str, Any]) -> str:
    about, total = page["about"], page["total"]
    inflated, notes = about.get("inflated", ""), about.get("notes", ())
    lines = ["# Pictures", ""]
    if inflated:
        lines += [f"**Numbers made with these pictures are {inflated}.**", ""]
    lines += [
        f"{total['original']} real pictures in `original/`, {total['generated']} synthetic ones in `generated/`; "
        f"`balanced/` holds the {total['balanced']} that a classifier is trained on.",
        "",
        *(line for note in notes for line in (note, "")),
        "| class | folder | before (`original/`) | added (`generated/`) | after (`balanced/`) |",
        "|---|---|---|---|---|",
        *(
            f"| {_cell(one['name'])} | {_cell(one['folder'])} | {one['original']} | {one['generated']} | "
            f"{one['balanced']} |"
            for one in page["classes"]
        ),
        f"| all | | {total['original']} | {total['generated']} | {total['balanced']} |",
        "",
    ]
    renamed = [one for one in page["classes"] if one["name"] != one["folder"]]
    if total["generated"]:
        lines += [
            "All of this is for training. A score on synthetic pictures, or on the real ones they were made from, says "
            "nothing about new pictures: take validation and test pictures from elsewhere.",
            "",
        ]
    if renamed:
        lines += ["Not every class name can be a folder name on every system, so some folders are named otherwise.", ""]
    lines += [
        "## How it was made",
        "",
        *(f"- {key}: {_told(value)}" for key, value in about.items() if key not in ("notes", "inflated")),
        f"- handful: {page['handful']}",
        "",
        "## manifest.csv",
        "",
        "One row per picture: `path` its file, `label` the true name of its class, `origin` real or synthetic, "
        "`source` the real picture itself or the one a synthetic picture was made from (its id, or its row in the "
        "source, from 0, without the copies left out), `generator` the digest of what made it, `seed` what it was made "
        "from, `balanced` its file in `balanced/` (empty where it is not there), `digest` of these pixels, "
        "`original_digest` of the real picture before it was resized. A digest is the first half of a SHA-256 over "
        "shape and pixels, not over the file.",
        "",
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return shown(text).replace("\\", "\\\\").replace("|", "\\|")


def _told(value: Any) -> str:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, int | float):
        return str(value)
    return f"`{json.dumps(value, sort_keys=True)}`" if value else "none"
