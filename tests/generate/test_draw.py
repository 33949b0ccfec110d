"""Drawing until the quotas are filled: rounds, the limit, the ledger, and what nothing depends on."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from handful import rng
from handful.data.images import LabeledImages
from handful.errors import DataError, StoreError
from handful.generate.contract import Generator
from handful.generate.draw import draw
from handful.generate.interpolate import Interpolation
from handful.generate.ledger import Ledger, write_ledger
from handful.generate.select import Chain, KeepAll
from handful.generate.select_confidence import Confident
from handful.generate.select_copies import RejectCopies
from handful.generate.select_last import LastDrawn
from handful.generate.select_ssim import BestSSIM

NAMES = ("a", "b", "c")


def real(counts=(6, 5, 4), seed=0):
    labels = np.repeat(np.arange(3), counts)
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 1, 8, 8)).astype(np.uint8)
    return LabeledImages.of_arrays(pixels, labels, NAMES)


@dataclass(frozen=True)
class Copying(Generator):
    """Copies of its training pictures for a share of the seeds, noise for the others."""

    train: LabeledImages = field(default_factory=real)
    share: float = 0.5

    def _make(self, labels, seeds, device):
        made = np.empty((len(labels), *self.shape), dtype=np.uint8)
        for place, (label, seed) in enumerate(zip(labels, seeds, strict=True)):
            stream = rng.numpy_rng(seed, "copying")
            copies = stream.random() < self.share
            mine = self.train.of_class(int(label)).pixels
            made[place] = mine[stream.integers(len(mine))] if copies else stream.integers(0, 256, self.shape)
        return made, np.full(len(labels), -1)

    def save(self, folder):
        raise AssertionError("never saved here")


def copying(share=0.5, train=None):
    train = train or real()
    return Copying(
        Interpolation(), NAMES, tuple(train.counts.tolist()), (1, 8, 8), f"copying {share}", {}, train, share
    )


def drawn(generator, wanted, *, gate=None, selection=None, seed=0, **more):
    gate, selection = gate or KeepAll(), selection or KeepAll()
    return draw(generator, generator.train, np.array(wanted), gate=gate, selection=selection, seed=seed, **more)


def test_without_gate_and_selection_as_many_are_drawn_as_are_wanted():
    candidates, ledger = drawn(copying(), (3, 0, 5))
    assert ledger.counts(3) == {"drawn": [3, 0, 5], "kept": [3, 0, 5], "gated": [0, 0, 0]}
    assert candidates.labels.tolist() == ledger.labels.tolist() == [0] * 3 + [2] * 5
    assert candidates.origin.seed.tolist() == ledger.seeds.tolist()


def test_the_gate_turns_copies_away_and_others_are_drawn_in_their_place():
    candidates, ledger = drawn(copying(0.5), (20, 20, 20), gate=RejectCopies())
    counts = ledger.counts(3)
    assert counts["kept"] == [20, 20, 20]
    assert all(20 < num <= 80 for num in counts["drawn"])
    contents = set(real().origin.content.tolist())
    copies = np.array([content in contents for content in candidates.origin.content.tolist()])
    assert copies.sum() == sum(counts["gated"])
    assert not (copies & ledger.kept).any()
    assert {step for step, copy in zip(ledger.step, copies, strict=True) if copy} == {"gate: copies"}


def test_a_generator_that_only_copies_is_given_up_at_four_times_the_quota():
    _, ledger = drawn(copying(1.0), (5, 0, 2), gate=RejectCopies())
    assert ledger.counts(3) == {"drawn": [20, 0, 8], "kept": [0, 0, 0], "gated": [20, 0, 8]}


def test_the_selection_has_the_choice_it_asked_for_after_the_gate():
    _, ledger = drawn(copying(0.4), (16, 16, 16), gate=RejectCopies(), selection=BestSSIM(candidates=2.0))
    counts = ledger.counts(3)
    for label in range(3):
        assert counts["drawn"][label] - counts["gated"][label] >= 32 or counts["drawn"][label] == 64
    assert counts["kept"] == [16, 16, 16]


def test_what_is_kept_beyond_the_quota_is_turned_away_last_and_the_first_are_used():
    _, ledger = drawn(copying(), (4, 0, 0), selection=LastDrawn(candidates=3.0, keep=2.0))
    assert np.flatnonzero(ledger.kept).tolist() == [4, 5, 6, 7]
    assert ledger.step[8:] == ("quota",) * 4
    assert ledger.said[8].startswith("quota full; drawn 9 of 12")


def test_a_candidate_is_the_same_picture_whatever_else_is_asked_for():
    """The n-th of a class, whatever gate, selection, other classes and batches of the generator there are."""
    plain, _ = drawn(copying(), (40, 0, 0))
    gated, ledger = drawn(copying(), (13, 7, 9), gate=RejectCopies(), selection=LastDrawn())
    mine = gated.take(np.flatnonzero(ledger.labels == 0))
    num = min(len(plain), len(mine))
    np.testing.assert_array_equal(plain.pixels[:num], mine.pixels[:num])


def test_the_same_seed_gives_the_same_ledger_and_another_one_does_not():
    (one, first), (_, second) = (drawn(copying(), (9, 9, 9), gate=RejectCopies(), seed=1) for _ in range(2))
    assert first.said == second.said
    other, _ = drawn(copying(), (9, 9, 9), gate=RejectCopies(), seed=2)
    assert not set(other.origin.seed.tolist()) & set(one.origin.seed.tolist())


def test_the_result_does_not_depend_on_the_classes_beside():
    alone, ledger = drawn(copying(), (0, 8, 0), gate=RejectCopies(), selection=BestSSIM())
    beside, whole = drawn(copying(), (30, 8, 1), gate=RejectCopies(), selection=BestSSIM())
    mine = whole.labels == 1
    np.testing.assert_array_equal(alone.pixels, beside.pixels[mine])
    assert ledger.kept.tolist() == whole.kept[mine].tolist()


def test_probabilities_are_asked_for_once_a_candidate():
    asked = []

    def told(images):
        asked.extend(images.origin.seed.tolist())
        bright = images.pixels.mean(axis=(1, 2, 3)) > 127
        return np.column_stack([bright, ~bright, np.zeros(len(images))]).astype(np.float32)

    candidates, ledger = drawn(copying(), (12, 0, 0), gate=RejectCopies(), selection=Confident(), probabilities=told)
    assert sorted(asked) == sorted(ledger.seeds.tolist())
    bright = candidates.pixels.mean(axis=(1, 2, 3)) > 127
    assert bright[ledger.kept].all()
    assert ledger.counts(3)["drawn"][0] > 12


def test_missing_probabilities_and_absent_classes_are_errors_before_anything_is_drawn():
    with pytest.raises(DataError, match="'chain' needs probabilities"):
        drawn(copying(), (1, 1, 1), selection=Chain(steps=("confidence",)))
    train = real((6, 0, 4))
    with pytest.raises(DataError, match="class 1 \\('b'\\) was not in the generator's training part"):
        drawn(copying(train=train), (1, 1, 1))


def test_nothing_wanted_is_nothing_drawn():
    candidates, ledger = drawn(copying(), (0, 0, 0))
    assert (len(candidates), len(ledger)) == (0, 0)
    assert Ledger.of_arrays(ledger.to_arrays()).counts(3)["kept"] == [0, 0, 0]


# ---------------------------------------------------------------- the ledger


@pytest.fixture
def made():
    return drawn(copying(), (4, 3, 2), gate=RejectCopies(), selection=BestSSIM())


def test_a_ledger_comes_back_from_arrays_without_pickle(made, tmp_path):
    _, ledger = made
    np.savez(tmp_path / "ledger.npz", **ledger.to_arrays())
    with np.load(tmp_path / "ledger.npz", allow_pickle=False) as arrays:
        again = Ledger.of_arrays(arrays)
    assert (again.step, again.said) == (ledger.step, ledger.said)
    assert again.kept.tolist() == ledger.kept.tolist()
    assert set(again.scores) == {"gate: copies", "ssim"}
    np.testing.assert_array_equal(again.scores["ssim"], ledger.scores["ssim"])


def test_every_candidate_is_written_with_its_picture_and_why(made, tmp_path):
    candidates, ledger = made
    folder = write_ledger(tmp_path / "ledger", ledger, candidates)
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(ledger)
    for row, (line, kept) in enumerate(zip(rows, ledger.kept.tolist(), strict=True)):
        assert line["kept"] == ("yes" if kept else "no")
        assert (line["why"], line["turned away by"]) == (ledger.said[row], ledger.step[row])
        assert line["picture"].split("/")[:2] == [line["label"], "kept" if kept else "turned-away"]
        assert int(line["seed"]) == ledger.seeds[row]
        assert (line["ssim"] == "") == bool(np.isnan(ledger.scores["ssim"][row]))
        np.testing.assert_array_equal(np.asarray(Image.open(folder / line["picture"])), candidates.pixels[row, 0])
    with pytest.raises(StoreError, match="is there already"):
        write_ledger(folder, ledger, candidates)


def test_pictures_of_another_ledger_are_refused(made, tmp_path):
    candidates, ledger = made
    with pytest.raises(DataError, match="are not those of a ledger"):
        write_ledger(tmp_path / "ledger", ledger, candidates.take(np.arange(len(candidates))[::-1]))
    assert not (tmp_path / "ledger").exists()
