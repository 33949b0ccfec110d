"""An ensemble is the mean of its members, calibrated or not, and guards what any of them has seen."""

from __future__ import annotations

import numpy as np
import pytest
from small_classifiers import FIRST

from handful.classify.contract import evaluate
from handful.classify.ensemble import Ensemble
from handful.classify.table import load_classifier
from handful.errors import LeakError, StoreError

pytestmark = pytest.mark.usefixtures("alone")


def test_an_ensemble_is_the_mean_of_its_members_and_survives_saving(fitted, test, tmp_path, saved):
    members = [fitted(FIRST, seed) for seed in range(3)]
    ensemble = Ensemble.of(members, {"score": 0.5})
    mean = np.mean([member.predict_proba(test).astype(float) for member in members], axis=0)
    probs = ensemble.predict_proba(test)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs, mean, atol=1e-6)
    ensemble.save(tmp_path / "ensemble")
    loaded = load_classifier(tmp_path / "ensemble")
    assert isinstance(loaded, Ensemble)
    assert loaded.about == {"score": 0.5}
    assert loaded.seen == ensemble.seen
    assert (loaded.recipe, loaded.class_names, loaded.channels) == (FIRST, test.class_names, 1)
    np.testing.assert_array_equal(loaded.predict_proba(test), probs)
    assert saved(loaded) == saved(ensemble)


def test_an_ensemble_at_its_temperatures_is_the_mean_of_scaled_members_and_survives_saving(fitted, test, tmp_path):
    members, temperatures = [fitted(FIRST, seed) for seed in range(2)], (2.0, 0.5)
    plain = Ensemble.of(members, {}, temperatures)
    made = plain.at_temperatures()
    pairs = zip(members, temperatures, strict=True)
    powers = [member.predict_proba(test).astype(float) ** (1 / one) for member, one in pairs]
    expected = np.mean([power / power.sum(axis=1, keepdims=True) for power in powers], axis=0)
    np.testing.assert_allclose(made.predict_proba(test), expected, atol=1e-6)
    assert np.abs(made.predict_proba(test) - plain.predict_proba(test)).max() > 1e-3
    for place, ensemble in enumerate((plain, made)):
        ensemble.save(tmp_path / str(place))
        loaded = load_classifier(tmp_path / str(place))
        assert loaded.temperatures == temperatures
        np.testing.assert_array_equal(loaded.predict_proba(test), ensemble.predict_proba(test))


@pytest.mark.parametrize("temperatures", [(), (1.5, None)])
def test_an_ensemble_in_which_one_has_no_temperature_cannot_be_calibrated(fitted, temperatures):
    ensemble = Ensemble.of([fitted(FIRST), fitted(FIRST, 1)], {}, temperatures)
    with pytest.raises(StoreError, match="of 2 classifiers have no temperature"):
        ensemble.at_temperatures()


def test_an_ensemble_refuses_what_any_member_has_seen(fitted, train, val, test):
    other = FIRST.fit(test, val, seed=0)
    ensemble = Ensemble.of([fitted(FIRST), other])
    for part in (train, val, test):
        with pytest.raises(LeakError):
            evaluate(ensemble, part)


def test_an_ensemble_without_members_or_without_a_member_s_files_is_a_store_error(fitted, tmp_path):
    with pytest.raises(StoreError, match="no classifier has been fitted"):
        Ensemble.of([])
    Ensemble.of([fitted(FIRST), fitted(FIRST, 1)]).save(tmp_path)
    (tmp_path / "member-1" / "classifier.json").unlink()
    with pytest.raises(StoreError, match="member-1: no classifier here"):
        load_classifier(tmp_path)
