"""Recipes: frozen, strict descriptions of WHAT is computed.

A recipe holds every choice that can change a result and nothing else; how it is computed (device, workers, engine,
paths) is never in it. Its digest covers every resolved field, defaults included, and the version of its kind.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from safetensors import SafetensorError

from handful.errors import ConfigError, InputError, StoreError, unknown


def digest_of(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON value in its canonical form: sorted keys, no spaces, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Recipe(BaseModel):
    """A frozen description of one computation; an unknown key is an error with the nearest name.

    Subclasses set `VERSION` and raise it whenever the same fields start to mean another result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True, allow_inf_nan=False)
    VERSION: ClassVar[int] = 1

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError(*_faults(type(self), error)) from None

    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, value: Any) -> Any:
        """TOML and JSON know lists only; recipes hold tuples, which cannot change."""
        if isinstance(value, Mapping):
            return {key: _as_tuple(item) for key, item in value.items()}
        return value

    def to_json(self) -> dict[str, Any]:
        """Return every field, defaults included, as JSON values."""
        return self.model_dump(mode="json")

    def describe(self) -> dict[str, Any]:
        """Return what the digest covers: the kind, its version and every resolved field."""
        return {"recipe": type(self).__name__, "version": self.VERSION, **self.to_json()}

    def digest(self) -> str:
        """Return the SHA-256 (hex) over `describe()`."""
        return digest_of(self.describe())

    def changed(self, **fields: Any) -> Self:
        """Return the same recipe with these fields replaced and everything checked again."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**{**own, **fields})


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


RecipeT = TypeVar("RecipeT", bound=Recipe)
PartT = TypeVar("PartT")


def recipe_from(kind: type[RecipeT], fields: Any, where: str = "") -> RecipeT:
    """Return a recipe of one kind from a table of fields (TOML or JSON) or from a recipe of that kind.

    Raises:
        ConfigError: one line per fault, each led by `where`.
    """
    if isinstance(fields, kind):
        return fields
    if not isinstance(fields, Mapping):
        raise ConfigError(f"{where or kind.__name__}: expected a table of fields, got {fields!r}")
    try:
        return kind(**fields)
    except ConfigError as error:
        raise ConfigError(*(f"{where}: {fault}" if where else fault for fault in error.faults)) from None


def choose(table: Mapping[str, type[RecipeT]], fields: Any, what: str) -> RecipeT:
    """Return a recipe of the kind that `fields` names: a recipe, a name of the table, or fields with a `kind`."""
    if isinstance(fields, Recipe):
        if type(fields) in table.values():
            return fields  # type: ignore[return-value]  # its type was just found in the table
        raise ConfigError(f"{what}: {type(fields).__name__} is not one (allowed: {', '.join(table)})")
    given = {"kind": fields} if isinstance(fields, str) else dict(fields) if isinstance(fields, Mapping) else None
    if given is None or not isinstance(given.get("kind"), str):
        raise ConfigError(f"{what}: expected a name or a table with 'kind', got {fields!r}; kinds: {', '.join(table)}")
    if given["kind"] not in table:
        raise ConfigError(unknown(what, given["kind"], table))
    return recipe_from(table[given["kind"]], given, where=what)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table in a TOML file.

    Raises:
        ConfigError: the file is missing or is not TOML, with the line at fault.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from None


def _faults(kind: type[BaseModel], error: ValidationError) -> Iterable[str]:
    for detail in error.errors():
        path = ".".join([kind.__name__, *(str(part) for part in detail["loc"])])
        raised = (detail.get("ctx") or {}).get("error")
        if isinstance(raised, InputError):
            yield from (f"{path}: {fault}" for fault in raised.faults)
        elif isinstance(raised, Exception):
            yield f"{path}: {raised}"
        elif detail["type"] == "extra_forbidden":
            yield f"{kind.__name__}: {unknown('key', str(detail['loc'][-1]), kind.model_fields)}"
        else:
            shown = repr(detail["input"])
            yield f"{path}: {detail['msg']}, got {shown if len(shown) <= 80 else shown[:77] + '...'}"


def load_part(folder: str | Path, what: str, loaders: Mapping[str, Callable[[Path, dict[str, Any]], PartT]]) -> PartT:
    """Return what was saved into a folder as `WHAT.json` (a card that names its recipe's kind) and its arrays.

    Raises:
        StoreError: there is none, it is of an unknown kind, or a file of it is missing.
    """
    folder = Path(folder)
    path = folder / f"{what}.json"
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        kind = card["recipe"]["kind"]
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: no {what} here ({path.name} is missing)") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not the card of a {what}: {error}") from None
    if kind not in loaders:
        raise StoreError(f"{path}: {unknown(what, kind, loaders)}")
    try:
        return loaders[kind](folder, card)
    except FileNotFoundError as error:
        missing = Path(error.filename or str(error).rpartition(": ")[2])  # safetensors sets no file name
        raise StoreError(f"{folder}: incomplete, {missing.name} is missing") from None
    except (SafetensorError, KeyError) as error:
        raise StoreError(f"{folder}: damaged: {type(error).__name__}: {error}") from None


def fields_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe that `Recipe.describe` described."""
    return {key: value for key, value in described.items() if key not in ("recipe", "version")}
