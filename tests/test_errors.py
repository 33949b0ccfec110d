"""The exception tree and its messages."""

from __future__ import annotations

import pickle

import pytest

from handful import errors
from handful.errors import (
    ConfigError,
    DataError,
    HandfulError,
    InputError,
    LeakError,
    StoreError,
    WeightsError,
    nearest,
    unknown,
)


def test_the_tree_is_that_of_the_docstring():
    tree = {
        HandfulError: Exception,
        InputError: HandfulError,
        DataError: InputError,
        ConfigError: InputError,
        StoreError: InputError,
        WeightsError: InputError,
        LeakError: HandfulError,
    }
    for error, parent in tree.items():
        assert error.__bases__[0] is parent
        assert error.__name__ in errors.__doc__
    assert issubclass(InputError, ValueError)
    assert not issubclass(LeakError, InputError)


@pytest.mark.parametrize("kind", [InputError, DataError, ConfigError, StoreError, WeightsError])
@pytest.mark.parametrize("faults", [("one",), ("one", "two\nlines", "three"), ()])
def test_every_fault_is_kept_through_a_pickle(kind, faults):
    error = kind(*faults)
    assert error.faults == faults
    assert str(error) == "\n".join(faults)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.faults == faults
    assert str(again) == str(error)


def test_a_leak_survives_a_pickle():
    again = pickle.loads(pickle.dumps(LeakError("test: 3 pictures")))
    assert type(again) is LeakError
    assert str(again) == "test: 3 pictures"


def test_the_nearest_name_is_offered_only_where_one_is_close():
    assert nearest("colour", ["color", "size"]) == "; did you mean 'color'?"
    assert nearest("xyz", ["color", "size"]) == ""
    assert nearest("color", []) == ""


def test_an_unknown_name_is_told_with_all_that_are_known():
    table = {"vae": 1, "gan": 2}
    assert unknown("generator", "vea", table) == "unknown generator 'vea'; did you mean 'vae'? (allowed: vae, gan)"
    assert unknown("generator", "zzz", iter(table)) == "unknown generator 'zzz' (allowed: vae, gan)"
