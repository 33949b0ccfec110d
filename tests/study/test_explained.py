"""The stages `explanations` and `embedding`: the most confident mistakes, what is near them, one plane for all arms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from handful import CNN, View
from handful.classify.explain import heat_of
from handful.classify.table import load_classifier
from handful.data.images import LabeledImages
from handful.data.split import Split
from handful.generate.interpolate import Interpolation
from handful.nn import custom
from handful.nn.train import How
from handful.study import stages
from handful.study.arms import Arm
from handful.study.explained import mistaken, nearest
from handful.study.run import run
from handful.study.stored import get_images, get_synthetic
from tiny_study import digits, tiny
from tiny_study import stages as stages_of

MIX = Arm("mix", generator=Interpolation(), add=5)
MOST = 4


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A study whose two generator arms share their pictures."""
    study = tiny("baseline", MIX, MIX.changed(name="both", augment={"rotation": 5.0}), measures="pixels", mistakes=MOST)
    return run(study, tmp_path_factory.mktemp("explained") / "store", engine="serial", budget=None, device="cpu")


def test_they_are_jobs_of_the_first_repeat_and_change_no_other_key(result, tmp_path):
    assert result.failed == []
    assert {arm: set(result.keys(arm, "explanations")) for arm in result.arms} == {arm: {0} for arm in result.arms}
    assert stages_of(result.store.root)["embedding"] == 1
    without = run(tiny("baseline", MIX, repeats=1), tmp_path / "store", engine="serial", budget=None, device="cpu")
    assert not {"explanations", "embedding"} & set(stages_of(tmp_path / "store"))
    assert without.keys("mix", "predictions")[0] == result.keys("mix", "predictions")[0]
    assert (without.mistakes("mix"), without.embedding) == ([], None)
    assert without.to_json()["embedding"] is None


def test_mistakes_are_the_wrong_ones_most_confident_first(result):
    made, found = result.predictions("mix")[0], result.explained("mix")[0]
    wrong = made["probs"].argmax(1) != made["labels"]
    assert 0 < len(found.rows) == min(MOST, wrong.sum())
    most = np.sort(made["probs"][wrong].max(1))[::-1][:MOST]
    np.testing.assert_array_equal(found.confidence, most)
    for row, label, predicted, confidence in zip(
        found.rows, found.labels, found.predicted, found.confidence, strict=True
    ):
        (place,) = np.flatnonzero(made["rows"] == row)
        assert (made["labels"][place], made["probs"][place].argmax()) == (label, predicted)
        assert made["probs"][place].max() == confidence


def test_a_worker_that_has_not_fitted_the_network_explains_it_too(tmp_path, monkeypatch):
    own = CNN(network={"kind": "custom", "factory": "my_networks:Parted"}, view=View(size=8))
    study = tiny("baseline", classifier=own, steps=1, repeats=1, mistakes=MOST)
    made = run(study, tmp_path / "store", engine="serial", budget=None, device="cpu")
    record = made.store.record(made.keys("baseline", "explanations")[0])
    monkeypatch.setattr(custom, "_ASKED", set())  # as in a process of its own
    (tmp_path / "again").mkdir()
    stages.explain_mistakes(record["spec"], record["inputs"], made.store, How(), tmp_path / "again")


def test_equal_confidences_keep_their_order_and_no_mistake_is_no_row():
    probs = np.array([[0.2, 0.8], [0.2, 0.8], [0.9, 0.1], [0.3, 0.7]])
    assert mistaken(probs, np.array([0, 0, 1, 1])).tolist() == [2, 0, 1]
    assert mistaken(probs, np.array([1, 1, 0, 1])).tolist() == []


def test_the_nearest_training_pictures_are_those_of_scikit_learn(result):
    """In the classifier's own features, by cosine distance, real and made ones apart."""
    store, found = result.store, result.explained("mix")[0]
    keys = {stage: result.keys("mix", stage)[0] for stage in ("explanations", "classifier", "synthetic")}
    inputs = store.record(keys["explanations"])["inputs"]
    classifier, images = load_classifier(store.folder(keys["classifier"])), get_images(store, inputs["images"])
    train = images.take(Split(**store.arrays(inputs["split"])).train)
    made = get_synthetic(store, keys["synthetic"], images.class_names)
    mine = classifier.features(images.take(found.rows))

    def asked(others: LabeledImages, num: int):
        model = NearestNeighbors(n_neighbors=num, metric="cosine", algorithm="brute")
        return model.fit(classifier.features(others)).kneighbors(mine)

    distance, place = asked(train, 3)
    np.testing.assert_allclose(found.real_distance, distance, atol=1e-6)
    np.testing.assert_array_equal(images.labels[found.real_rows], train.labels[place])
    distance, place = asked(made, 2)
    np.testing.assert_allclose(found.made_distance, distance, atol=1e-6)
    np.testing.assert_array_equal(found.made_pixels, made.pixels[place])
    heat = heat_of(classifier, images.take(found.rows).pixels, found.predicted)
    np.testing.assert_array_equal(found.heat, (255 * heat).round())


def test_nearest_of_few_and_of_none():
    mine, others = np.eye(2, 3), np.array([[0.0, 2, 0], [3, 0, 0]])
    place, distance = nearest(mine, others, 5)
    assert place.tolist() == [[1, 0], [0, 1]]
    assert distance.tolist() == [[0, 1], [0, 1]]
    assert nearest(mine, others[:0], 3)[0].shape == (2, 0)
    assert nearest(mine[:0], others, 3)[0].shape == (0, 2)


def test_rows_name_pictures_and_classes(result):
    rows = result.mistakes("mix")
    for row in rows:
        assert row["picture"] == result.picture_names[row["row"]]
        assert row["class"] == result.class_names[result.labels[row["row"]]] != row["predicted"]
        assert [near["real"] for near in row["nearest"]] == [True] * 3 + [False] * 2
        assert [near["row"] is None for near in row["nearest"]] == [False] * 3 + [True] * 2
    assert [arm["mistakes"] for arm in result.to_json()["arms"]] == [result.mistakes(arm) for arm in result.arms]


def test_one_plane_holds_train_test_and_the_pictures_of_each_arm_once(result):
    made = result.embedding
    split = result.store.arrays(result.page["splits"][0]["key"])
    key = result.keys("mix", "synthetic")[0]
    assert key == result.keys("both", "synthetic")[0]
    assert set(made.origins) == {"train", "test", key}
    for part in ("train", "test"):
        rows = made.rows[made.origins == part]
        np.testing.assert_array_equal(rows, np.sort(split[part]))
        np.testing.assert_array_equal(made.labels[made.origins == part], result.labels[rows])
    assert (made.origins == key).sum() == 15
    told = result.to_json()["embedding"]
    assert len(told["x"]) == len(made.points)
    assert told["arms"][-1] == ["mix", "both"]
    assert told["extractor"] == "pixels/rgb/as-given"


def test_the_plane_is_the_same_when_drawn_again(result, tmp_path):
    (job,) = [job for job in result.page["jobs"] if job["stage"] == "embedding"]
    how = stages.How(device="cpu")
    stages.STAGES["embedding"].run(job["spec"], job["inputs"], result.store, how, tmp_path)
    with np.load(tmp_path / "arrays.npz") as again:
        np.testing.assert_array_equal(again["points"], result.embedding.points)


def test_the_own_map_holds_pictures_of_every_part(result):
    found = result.explained("mix")[0]
    assert set(found.map_parts) == {0, 1, 2}
    assert found.map_points.shape == (len(found.map_labels), 2)
    assert set(result.explained("baseline")[0].map_parts) == {0, 1}


def test_where_they_fail_the_arm_keeps_its_score(tmp_path, monkeypatch):
    def broken(*_):
        raise ValueError("no")

    for stage in ("explanations", "embedding"):
        monkeypatch.setitem(stages.STAGES, stage, replace(stages.STAGES[stage], run=broken))
    study = tiny("baseline", source=digits(6, 6, 6), measures="pixels", mistakes=3, repeats=1)
    result = run(study, tmp_path / "store", engine="serial", budget=None, device="cpu")
    assert {one["stage"] for one in result.failed} == {"explanations", "embedding"}
    assert result.scores("baseline")["accuracy"]["mean"] is not None
    assert result.mistakes("baseline") == []
