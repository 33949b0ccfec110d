"""What can go wrong, as a tree.

    HandfulError
    ├── InputError            something the user gave; the command line prints it and exits with 2
    │   ├── DataError         pictures, labels, folders, archives
    │   ├── ConfigError       a recipe, a study file, an option
    │   ├── StoreError        a store or an exported model that cannot be used as asked
    │   └── WeightsError      pretrained weights that are not there, or a file that does not hold them
    └── LeakError             a scoring or fitting call was handed pictures that would make its number a lie

Every message says what was given, what is allowed and what to do. Several faults of one input are one error, a line
each.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HandfulError(Exception):
    """Root of every error that handful raises on purpose."""


class InputError(HandfulError, ValueError):
    """Something given cannot be used. `faults` holds one line per fault."""

    def __init__(self, *faults: str) -> None:
        self.faults: tuple[str, ...] = faults
        super().__init__("\n".join(faults))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, ...]]:
        return type(self), self.faults


class DataError(InputError):
    """Pictures, labels, a folder or an archive cannot be used as given."""


class ConfigError(InputError):
    """A recipe, a study file or an option is not valid."""


class StoreError(InputError):
    """A store or a saved model is missing, incomplete or not of this kind."""


class WeightsError(InputError):
    """Pretrained weights are not on this machine, or a file is not one of weights for this network."""


class LeakError(HandfulError):
    """Pictures that must not meet did: a synthetic picture in scoring, or one that is also in training."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the closest allowed name, or an empty string where none is close."""
    matches = get_close_matches(given, list(allowed), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def unknown(what: str, given: str, allowed: Iterable[str]) -> str:
    """Return one fault line for a name that is not in a table, with the nearest name and the whole list."""
    names = list(allowed)
    return f"unknown {what} {given!r}{nearest(given, names)} (allowed: {', '.join(names)})"
