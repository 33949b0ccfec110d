"""Tables in CSV files: UTF-8 with or without byte order mark, comma or semicolon, every fault with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from handful.data.files import MAX_FILE_BYTES, shown
from handful.errors import DataError, nearest

DELIMITERS = ",;"


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file.

    Args:
        columns: name -> cells, all of one length; those asked for, where the file has them.
        lines: the line in the file where each row ends, from 1.
        others: names of the columns that were not asked for.
        faults: lines with too few or too many cells, which are left out of `columns`.
    """

    columns: dict[str, list[str]]
    lines: list[int]
    others: tuple[str, ...]
    faults: list[str]


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Return the table in a CSV file whose first line names its columns; empty lines are skipped.

    The delimiter is the one of comma and semicolon with which more of the columns asked for are found.

    Raises:
        DataError: not a file, larger than 256 MiB, not UTF-8 or not CSV; a required column that misses, a column twice.
    """
    where = shown(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise DataError(f"{where}: larger than the {MAX_FILE_BYTES // 2**20} MiB that a file may have")
        text = content.decode("utf-8-sig")
        known = [*required, *optional]
        read = [list(_rows(text, delimiter)) for delimiter in DELIMITERS]
        rows = max(read, key=lambda rows: len({cell.strip() for cell in rows[0][1]} & set(known)) if rows else 0)
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 at byte {error.start}; save it as CSV UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{where}: not a CSV file ({error})") from None
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    faults = [
        f"{where}: no column {name!r}{nearest(name, [cell for cell in header if cell not in known])} "
        f"(its first line has {', '.join(map(repr, header)) or 'nothing'}; needed: {', '.join(required)})"
        for name in required
        if name not in header
    ]
    faults += [f"{where}: column {name!r} is there twice" for name in known if header.count(name) > 1]
    if faults:
        raise DataError(*faults)
    uneven = [
        f"line {line}: {len(cells)} cells, the first line has {len(header)}"
        for line, cells in rows[1:]
        if len(cells) != len(header)
    ]
    even = [(line, cells) for line, cells in rows[1:] if len(cells) == len(header)]
    columns = {name: [cells[header.index(name)] for _, cells in even] for name in known if name in header}
    others = tuple(name for name in header if name not in known)
    return Table(columns, [line for line, _ in even], others, uneven)


def _rows(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
