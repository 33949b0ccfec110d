"""What every selection in the table keeps."""

from __future__ import annotations

import json

import numpy as np
import pytest

from handful.config import choose
from handful.data.images import LabeledImages, Origin
from handful.errors import ConfigError, DataError
from handful.generate.select import GATES, SELECTORS, selection_words
from handful.generate.selection import Known, Selection

EXAMPLES = {"chain": {"kind": "chain", "steps": ["copies", "confidence", {"kind": "ssim", "keep": 2.0}, "k-centre"]}}
every_kind = pytest.mark.parametrize("kind", SELECTORS)
WANTED = 8


def selection_of(kind):
    return choose(SELECTORS, EXAMPLES.get(kind, kind), "selection")


def pictures(num, seed, *, maker="", labels=1):
    pixels = np.random.default_rng(seed).integers(0, 256, (num, 3, 12, 12)).astype(np.uint8)
    made = LabeledImages.of_arrays(pixels, np.full(num, labels), ["a", "b", "c"])
    if not maker:
        return made
    return LabeledImages(pixels, made.labels, made.class_names, Origin.of_synthetic(pixels, maker, range(num)))


@pytest.fixture(scope="module")
def train():
    return pictures(10, 1)


@pytest.fixture(scope="module")
def candidates():
    return pictures(24, 2, maker="generator")


@pytest.fixture(scope="module")
def known(train, candidates):
    probs = np.random.default_rng(3).dirichlet([0.5, 2, 0.5], len(candidates))
    return Known(train, WANTED, probs)


@every_kind
def test_a_row_is_documented_and_named_by_its_kind(kind):
    assert SELECTORS[kind].__doc__
    assert SELECTORS[kind].__doc__ != Selection.__doc__
    assert selection_of(kind).kind == kind
    assert kind == "none" or kind in selection_words(selection_of(kind)) or kind == "chain"


@every_kind
def test_it_comes_back_from_json_with_the_same_digest(kind):
    selection = selection_of(kind)
    again = choose(SELECTORS, json.loads(json.dumps(selection.to_json())), "selection")
    assert again == selection
    assert again.digest() == selection.digest()


@every_kind
def test_every_candidate_is_judged_in_words(kind, candidates, known):
    judged = selection_of(kind).judge(candidates, known)
    assert judged.kept.dtype == np.bool_
    assert len(judged.kept) == len(judged.said) == len(judged.step) == len(candidates)
    assert [step == "" for step in judged.step] == judged.kept.tolist()
    assert all(said for said, kept in zip(judged.said, judged.kept, strict=True) if not kept)
    assert all(score.shape == judged.kept.shape and score.dtype == np.float64 for score in judged.scores.values())
    seen = [score[judged.kept] for score in judged.scores.values()]
    assert np.isfinite(seen).all()


@every_kind
def test_the_same_pictures_are_judged_the_same_every_time(kind, candidates, known, untouched):
    with untouched():
        first = selection_of(kind).judge(candidates, known)
    second = selection_of(kind).judge(candidates, known)
    assert first.kept.tolist() == second.kept.tolist()
    assert first.said == second.said


@every_kind
def test_one_candidate_and_one_training_picture_are_judged_too(kind, candidates, known):
    one = np.array([0])
    alone = Known(known.train.take(one), 1, known.probabilities[one])
    assert selection_of(kind).judge(candidates.take(one), alone).kept.shape == (1,)


@every_kind
def test_candidates_per_picture_are_asked_for_within_four(kind):
    selection = selection_of(kind)
    assert 80 <= selection.num_candidates(80) <= 320
    with pytest.raises(ConfigError, match="candidates"):
        selection.changed(candidates=4.5)


@every_kind
def test_what_it_needs_and_is_not_given_is_an_error_that_says_so(kind, candidates, train):
    selection = selection_of(kind)
    if selection.needs:
        with pytest.raises(DataError, match="needs class probabilities of a classifier"):
            selection.judge(candidates, Known(train, WANTED))
    else:
        selection.judge(candidates, Known(train, WANTED))


@pytest.mark.parametrize("kind", GATES)
def test_a_gate_judges_each_candidate_by_itself(kind, candidates, known):
    gate = choose(GATES, kind, "gate")
    whole = gate.judge(candidates, known)
    for row in range(4):
        one = np.array([row])
        alone = gate.judge(candidates.take(one), known.take(one))
        assert (alone.kept[0], alone.said[0]) == (whole.kept[row], whole.said[row])


def test_an_unknown_kind_or_key_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"unknown selection 'k-center'; did you mean 'k-centre'\?"):
        choose(SELECTORS, "k-center", "selection")
    with pytest.raises(ConfigError, match=r"unknown key 'feature'; did you mean 'features'\?"):
        choose(SELECTORS, {"kind": "distance", "feature": "pixels"}, "selection")
