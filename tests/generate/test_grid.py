"""What the search for an autoencoder keeps: every combination once, one yardstick, rows that last."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from handful.data.images import LabeledImages
from handful.errors import ConfigError, HandfulError, LeakError, StoreError
from handful.generate.autoencoder import Autoencoder
from handful.generate.grid import GridResult, GridRow, autoencoder_grid
from handful.nn.train import How, Training, one_thread

START = Autoencoder(width=4, latent=5, training=Training(steps=8, eval_every=4, batch_size=16, weight_decay=0.0))
TWO = {"denoising": (0.0,), "depths": (1,), "losses": ("mse", "l1"), "optimizers": ("adam",)}


@pytest.fixture(autouse=True)
def alone():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def parts():
    images, targets = load_digits(return_X_y=True)
    pixels = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
    rows = np.flatnonzero(targets < 2)
    made = LabeledImages.of_arrays(pixels[rows], targets[rows].astype(np.int64), ("zero", "one"))
    return made.take(np.arange(48)), made.take(np.arange(48, 64))


def test_the_grid_is_every_combination_once_in_s0s_axes(parts):
    result = autoencoder_grid(*parts, seed=0, start=START)
    assert len(result.rows) == 16
    recipes = [row.recipe for row in result.rows]
    seen = {(one.denoising, one.form["depth"], one.reconstruction, one.training.optimizer) for one in recipes}
    assert seen == {(n, d, r, o) for n in (0.0, 0.1) for d in (2, 3) for r in ("mse", "l1") for o in ("adam", "sgd")}
    assert {one.training.lr for one in recipes if one.training.optimizer == "sgd"} == {0.5}
    assert {one.training.lr for one in recipes if one.training.optimizer == "adam"} == {START.training.lr}
    assert {row.steps for row in result.rows} == {8}
    assert result.best in recipes


def test_a_row_says_what_its_generator_does(parts):
    train, val = parts
    result = autoencoder_grid(train, val, seed=3, start=START, **TWO)
    for row in result.rows:
        generator = row.recipe.fit(train, val, seed=3)
        error = ((generator.rebuild(val).astype(float) - val.pixels) / 255) ** 2
        assert row.val_mse == pytest.approx(error.mean(), rel=1e-12)
        history = generator.history["all"]
        assert row.val_loss == history["values"][-1]["loss"]
        assert row.train_loss == history["train_loss"][-1]["autoencoder"]
    by_loss = {row.recipe.reconstruction: row for row in result.rows}
    assert by_loss["mse"].val_loss == pytest.approx(by_loss["mse"].val_mse, rel=1e-2), "the same error, but rounded"


def test_where_the_best_weights_are_kept_their_loss_is_told(parts):
    kept = START.changed(training=START.training.changed(keep="best", optimizer="sgd", lr=0.1, steps=40))
    row = autoencoder_grid(*parts, seed=0, start=kept, **{**TWO, "losses": ("mse",)}).rows[0]
    looks = row.recipe.fit(*parts, seed=0).history["all"]["values"]
    assert row.val_loss == min(look["loss"] for look in looks)


def row_of(loss, val_loss, val_mse, failed=""):
    return GridRow(START.changed(reconstruction=loss), val_loss, val_mse, 0.1, 8, failed)


def test_losses_in_different_units_do_not_choose_unless_asked_to():
    rows = (
        row_of("mse", 0.04, 0.04),
        row_of("l1", 0.10, 0.03),
        row_of("bce", float("nan"), float("nan"), failed="the loss became nan"),
    )
    assert GridResult(rows, "val_mse").best.reconstruction == "l1"
    assert GridResult(rows, "val_loss").best.reconstruction == "mse"


def test_the_table_has_the_best_first_and_what_failed_last():
    rows = (row_of("bce", float("nan"), float("nan"), "the loss became nan"), row_of("mse", 0.04, 0.04))
    lines = GridResult((*rows, row_of("l1", 0.1, 0.03)), "val_mse").table().splitlines()
    assert [line.split(" | ")[2] for line in lines[2:]] == ["l1", "mse", "bce"]
    assert lines[2].split(" | ")[4:6] == ["0.10000", "0.03000"]
    assert "failed" in lines[4]
    assert len({line.count("|") for line in lines}) == 1


def test_the_result_is_json(parts):
    result = autoencoder_grid(*parts, seed=0, start=START, **TWO)
    told = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert told["best"] == result.best.to_json()
    assert [row["val_mse"] for row in told["rows"]] == [row.val_mse for row in result.rows]
    failed = GridResult((*result.rows, row_of("bce", float("nan"), float("nan"), "nan")), "val_mse").to_json()
    assert failed["rows"][-1]["val_mse"] is None


def test_a_finished_row_is_not_trained_again_and_other_pictures_or_seeds_are_other_rows(parts, tmp_path):
    told = []
    how = How(progress=lambda done, steps: told.append((done, steps)))
    first = autoencoder_grid(*parts, seed=0, start=START, folder=tmp_path, how=how, **TWO)
    assert (told[0], told[-1]) == ((1, 16), (16, 16))
    told.clear()
    again = autoencoder_grid(*parts, seed=0, start=START, folder=tmp_path, how=how, **TWO)
    assert again == first
    assert told == []
    autoencoder_grid(*parts, seed=1, start=START, folder=tmp_path, how=how, **TWO)
    assert len(told) == 16
    fewer = parts[0].take(np.arange(40)), parts[1]
    autoencoder_grid(*fewer, seed=0, start=START, folder=tmp_path, how=how, **TWO)
    assert len(list(tmp_path.iterdir())) == 6


def test_a_broken_row_is_a_store_error(parts, tmp_path):
    autoencoder_grid(*parts, seed=0, start=START, folder=tmp_path, **TWO)
    path = next(tmp_path.iterdir())
    for text in ("[]", "{", json.dumps({**json.loads(path.read_text()), "recipe": {}})):
        path.write_text(text)
        with pytest.raises(StoreError, match="not a row of this grid"):
            autoencoder_grid(*parts, seed=0, start=START, folder=tmp_path, **TWO)


def test_a_row_that_cannot_be_trained_is_told_and_the_others_go_on(parts):
    wild = {**TWO, "losses": ("mse",), "optimizers": ("adam", "sgd")}
    result = autoencoder_grid(*parts, seed=0, start=START, sgd_lr=1e20, **wild)
    assert [bool(row.failed) for row in result.rows] == [False, True]
    assert "a lower lr is the usual remedy" in result.rows[1].failed
    assert result.best.training.optimizer == "adam"
    with pytest.raises(HandfulError, match="none of the 1 autoencoders"):
        autoencoder_grid(*parts, seed=0, start=START, sgd_lr=1e20, **{**wild, "optimizers": ("sgd",)})


def test_wrong_axes_are_told_all_at_once(parts):
    with pytest.raises(ConfigError) as caught:
        autoencoder_grid(*parts, seed=0, start=START, depths=(), losses=("mse", "l3"), denoising=(0.0,))
    assert "'depths' of the grid is empty" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        autoencoder_grid(*parts, seed=0, start=START, losses=("mse", "l3"), denoising=(0.0, -1.0))
    assert "'l3'" in str(caught.value)
    assert "-1.0" in str(caught.value)


def test_no_validation_and_synthetic_pictures_are_refused(parts):
    train, val = parts
    with pytest.raises(ConfigError, match="at least one validation picture"):
        autoencoder_grid(train, val.take(np.array([], dtype=np.int64)), seed=0, start=START, **TWO)
    made = START.fit(train, val, seed=0).sample([0], seeds=[0])
    with pytest.raises(LeakError):
        autoencoder_grid(train.joined(made), val, seed=0, start=START, **TWO)
