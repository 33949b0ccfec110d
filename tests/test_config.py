"""Recipes: strict, frozen, digested; and reading them from tables and files."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field, ValidationError, field_validator, model_validator

from handful.config import Recipe, choose, digest_of, load_part, read_toml, recipe_from
from handful.data.augment import Augmentation
from handful.data.images import View
from handful.errors import ConfigError, DataError, StoreError
from handful.nn.train import Training


class Inner(Recipe):
    size: Annotated[int, Field(ge=1)] = 3
    rate: float = 0.5


class Outer(Recipe):
    kind: Literal["outer"] = "outer"
    inner: Inner = Inner()
    maybe: Inner | None = None
    pair: tuple[float, float] = (0.0, 1.0)
    names: tuple[str, ...] = ()
    flag: bool = False

    @field_validator("names")
    @classmethod
    def _short(cls, names):
        if any(len(name) > 5 for name in names):
            raise ValueError("a name is longer than 5")
        return names

    @model_validator(mode="after")
    def _ordered(self):
        if self.pair[0] > self.pair[1]:
            raise DataError("first fault of pair", "second fault of pair")
        return self


class Second(Outer):
    kind: Literal["second"] = "second"
    VERSION: ClassVar[int] = 2


TABLE = {"outer": Outer, "second": Second}


def faults(call, *args, **fields):
    with pytest.raises(ConfigError) as caught:
        call(*args, **fields)
    return list(caught.value.faults)


# ---------------------------------------------------------------- faults


def test_an_unknown_key_is_an_error_with_the_nearest_name():
    assert faults(Inner, sise=4) == ["Inner: unknown key 'sise'; did you mean 'size'? (allowed: size, rate)"]
    assert faults(Training, steps=5, learning_rate=0.1)[0].startswith("Training: unknown key 'learning_rate'")


def test_all_faults_are_told_at_once():
    found = faults(Outer, flag=1, names=("too long",), colour="red", pair=(1, 2, 3))
    assert len(found) == 4
    for line, start in zip(
        sorted(found),
        ["Outer.flag:", "Outer.names: a name is longer", "Outer.pair", "Outer: unknown key 'colour'"],
        strict=True,
    ):
        assert line.startswith(start)


def test_a_fault_tells_what_was_given():
    assert faults(Inner, size=0) == ["Inner.size: Input should be greater than or equal to 1, got 0"]
    long = faults(Inner, size="x" * 500)[0]
    assert long.endswith("...")
    assert len(long) < 200


def test_faults_inside_a_nested_recipe_are_told_with_their_path():
    assert faults(Outer, inner={"sise": 4, "rate": "fast"}, maybe={"size": -1}) == [
        "Outer.inner: Inner.rate: Input should be a valid number, got 'fast'",
        "Outer.inner: Inner: unknown key 'sise'; did you mean 'size'? (allowed: size, rate)",
        "Outer.maybe: Inner.size: Input should be greater than or equal to 1, got -1",
    ]


def test_every_fault_of_an_error_raised_while_checking_is_a_line():
    assert faults(Outer, pair=(2, 1)) == ["Outer: first fault of pair", "Outer: second fault of pair"]


@pytest.mark.parametrize("fields", [{"size": "4"}, {"size": 4.0}, {"size": True}, {"rate": "0.5"}, {"rate": None}])
def test_nothing_is_converted_silently(fields):
    assert len(faults(Inner, **fields)) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value):
    assert faults(Inner, rate=value)[0].startswith("Inner.rate: Input should be a finite number")


def test_a_default_is_checked_too():
    class Wrong(Recipe):
        size: Annotated[int, Field(ge=1)] = 0

    assert faults(Wrong)[0].startswith("Wrong.size:")


def test_a_recipe_cannot_be_changed():
    recipe = Outer()
    with pytest.raises(ValidationError, match="frozen"):
        recipe.flag = True
    with pytest.raises(ValidationError, match="frozen"):
        recipe.inner.size = 9
    assert {Outer(): 1}[Outer()] == 1, "and so it can be a key"


class Nested(Recipe):
    pairs: tuple[tuple[str, int], ...] = ()


def test_lists_in_lists_become_tuples():
    made = Nested(pairs=[["a", 1], ["b", 2]])
    assert made.pairs == (("a", 1), ("b", 2))
    assert Nested(**made.to_json()) == made


def test_lists_become_tuples():
    recipe = Outer(names=["a", "b"], pair=[0, 0.5])
    assert recipe.names == ("a", "b")
    assert recipe.pair == (0.0, 0.5)
    assert recipe == Outer(names=("a", "b"), pair=(0.0, 0.5))


def test_a_changed_recipe_is_checked_again_and_the_old_one_stays():
    recipe = Outer(names=("a",), inner=Inner(size=7))
    changed = recipe.changed(flag=True)
    assert changed == Outer(names=("a",), inner=Inner(size=7), flag=True)
    assert not recipe.flag
    assert faults(recipe.changed, pair=(2, 1)) == ["Outer: first fault of pair", "Outer: second fault of pair"]
    assert "did you mean 'flag'" in faults(recipe.changed, flagg=True)[0]


# ---------------------------------------------------------------- digests


def test_the_digest_of_json_values_is_a_sha256_of_sorted_keys_without_spaces():
    assert (
        digest_of({"b": [1, 2.5, None], "a": "é"}) == hashlib.sha256('{"a":"é","b":[1,2.5,null]}'.encode()).hexdigest()
    )
    with pytest.raises(ValueError, match="JSON"):
        digest_of(math.nan)


def test_digests_never_change_between_versions():
    """A change here makes every stored result unreadable: raise VERSION of what changed instead."""
    assert digest_of({"size": 32}) == "6eba27831cd0b20d9b74053ff4dd61928dbb2d983487b2e840ca865640c49c07"
    assert Outer().digest() == "b4fa767d0d44d8198a35a1274326cde01a405398047f834cbfc9faea0cc0a76b"
    assert View().digest() == "4f282aecb7db9af5eff4873a0fd8fc8c64af6f13494a41b0001257998490e334"


def test_the_digest_covers_defaults_kind_and_version():
    assert Inner().digest() == Inner(size=3, rate=0.5).digest()
    assert Inner().describe() == {"recipe": "Inner", "version": 1, "size": 3, "rate": 0.5}

    class Newer(Inner):
        VERSION: ClassVar[int] = 2

    Newer.__name__ = "Inner"
    assert Newer().describe() == {"recipe": "Inner", "version": 2, "size": 3, "rate": 0.5}
    Other = type("Other", (Inner,), {})
    assert len({Inner().digest(), Newer().digest(), Other().digest(), Inner(size=4).digest()}) == 4


def test_whole_numbers_given_for_fractions_have_the_digest_of_fractions():
    assert Inner(rate=1).digest() == Inner(rate=1.0).digest()


def test_a_change_deep_inside_changes_the_digest():
    assert Outer(inner=Inner(rate=0.25)).digest() != Outer().digest()
    assert Outer(maybe=Inner()).digest() != Outer().digest()


@pytest.mark.parametrize("recipe", [Outer(names=("a",), maybe=Inner(size=9)), Training(), Augmentation(), View()])
def test_json_leads_back_to_the_recipe(recipe):
    again = type(recipe)(**json.loads(json.dumps(recipe.to_json(), allow_nan=False)))
    assert again == recipe
    assert again.digest() == recipe.digest()


# ---------------------------------------------------------------- reading


def test_a_recipe_is_read_from_a_table_or_passed_through():
    recipe = Inner(size=5)
    assert recipe_from(Inner, recipe) is recipe
    assert recipe_from(Inner, {"size": 5}) == recipe


def test_where_a_fault_is_leads_each_line():
    assert faults(recipe_from, Inner, {"size": 0, "rate": "x"}, "arm 'a'") == [
        "arm 'a': Inner.size: Input should be greater than or equal to 1, got 0",
        "arm 'a': Inner.rate: Input should be a valid number, got 'x'",
    ]
    assert faults(recipe_from, Inner, {"size": 0})[0].startswith("Inner.size:")
    assert faults(recipe_from, Inner, [1], "arm") == ["arm: expected a table of fields, got [1]"]
    assert faults(recipe_from, Inner, None) == ["Inner: expected a table of fields, got None"]


def test_a_kind_is_chosen_by_name_by_table_or_given():
    recipe = Second(flag=True)
    assert choose(TABLE, "second", "part") == Second()
    assert choose(TABLE, {"kind": "second", "flag": True}, "part") == recipe
    assert choose(TABLE, recipe, "part") is recipe


def test_an_unknown_kind_is_an_error_with_the_nearest_name():
    assert faults(choose, TABLE, "secnd", "part") == [
        "unknown part 'secnd'; did you mean 'second'? (allowed: outer, second)"
    ]
    assert faults(choose, TABLE, {"kind": "secnd"}, "part") == faults(choose, TABLE, "secnd", "part")


@pytest.mark.parametrize("given", [None, 5, {}, {"flag": True}, {"kind": 5}, ["outer"]])
def test_what_names_no_kind_is_an_error_with_the_kinds(given):
    assert faults(choose, TABLE, given, "part") == [
        f"part: expected a name or a table with 'kind', got {given!r}; kinds: outer, second"
    ]


def test_a_recipe_of_another_table_is_an_error():
    assert faults(choose, TABLE, Inner(), "part") == ["part: Inner is not one (allowed: outer, second)"]


def test_faults_of_a_chosen_kind_are_led_by_what_it_is():
    assert faults(choose, TABLE, {"kind": "outer", "flagg": 1}, "part")[0].startswith(
        "part: Outer: unknown key 'flagg'"
    )


def test_the_fields_given_are_not_changed():
    given = {"kind": "outer", "names": ["a"]}
    choose(TABLE, given, "part")
    assert given == {"kind": "outer", "names": ["a"]}


def test_toml_is_read(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('kind = "outer"\nnames = ["é"]\n[inner]\nsize = 4\n', encoding="utf-8")
    assert choose(TABLE, read_toml(path), "part") == Outer(names=("é",), inner=Inner(size=4))


def test_a_toml_file_that_is_missing_or_broken_is_an_error_with_the_line(tmp_path):
    path = tmp_path / "study.toml"
    assert faults(read_toml, path) == [f"{path}: no such file"]
    path.write_text("a = 1\nb = = 2\n")
    assert faults(read_toml, path)[0].startswith(f"{path}: not a TOML file: ")
    assert "line 2" in faults(read_toml, path)[0]
    path.write_bytes(b"a = '\xff'")
    assert faults(read_toml, path)[0].startswith(f"{path}: not a TOML file: ")


# ---------------------------------------------------------------- saved parts


def part(folder, card, load=lambda folder, card: (folder, card)):
    folder.mkdir(exist_ok=True)
    (folder / "thing.json").write_text(card if isinstance(card, str) else json.dumps(card))
    return load_part(str(folder), "thing", {"known": load})


def test_a_saved_part_is_read_by_the_loader_of_its_kind(tmp_path):
    card = {"recipe": {"kind": "known"}, "more": 1}
    assert part(tmp_path / "a", card) == (tmp_path / "a", card)


@pytest.mark.parametrize("card", ["", "{", "[]", "{}", '{"recipe": 3}', '{"recipe": {}}', "null"])
def test_what_is_no_card_is_a_store_error(card, tmp_path):
    with pytest.raises(StoreError, match="not the card of a thing"):
        part(tmp_path / "a", card)


def test_a_missing_card_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(StoreError, match=r"no thing here \(thing.json is missing\)"):
            load_part(folder, "thing", {})


def test_an_unknown_kind_of_part_is_a_store_error_with_the_nearest_name(tmp_path):
    with pytest.raises(StoreError, match="unknown thing 'knwon'; did you mean 'known'"):
        part(tmp_path / "a", {"recipe": {"kind": "knwon"}})


def test_a_missing_file_of_a_part_is_a_store_error_that_names_it(tmp_path):
    with pytest.raises(StoreError, match=r"incomplete, weights.bin is missing"):
        part(tmp_path, {"recipe": {"kind": "known"}}, lambda folder, card: (folder / "weights.bin").read_bytes())
