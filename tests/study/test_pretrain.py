"""Arms that inherit an encoder: jobs, sharing, the arm from random weights, guards, and what the result says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from plan_and_run import plan_of
from safetensors.torch import save_file
from torch import nn

import handful
from handful import CNN, Arm, Result, View, rng
from handful.classify.cnn import CNNClassifier
from handful.classify.pretrain import SimCLR, load_pretrained
from handful.config import recipe_from
from handful.errors import ConfigError, StoreError
from handful.generate.autoencoder import Autoencoder
from handful.influence import compare_probs
from handful.nn.encoders import Encoder
from handful.nn.networks import network_of
from handful.nn.train import Training
from handful.study import stages as study_stages
from handful.study.run import put_inputs
from handful.study.stages import inherited, run_job
from handful.study.store import Store
from handful.study.stored import get_images
from handful.study.study import ResolvedStudy
from tiny_study import CLASSIFIER, TRAINING, VAE_ARM, results, stages, tiny

VAE = VAE_ARM.generator
HEIR = Arm("heir", pretrain=VAE)
CONTRAST = Arm("clr", pretrain=SimCLR(training=TRAINING))
ENCODER = Encoder(width=4, depth=2)


def refused(*arms: Any, **fields: Any) -> str:
    with pytest.raises(ConfigError) as error:
        plan_of(tiny("baseline", *arms, **fields))
    return str(error.value)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Result:
    store = tmp_path_factory.mktemp("pretrain") / "store"
    study = tiny("baseline", VAE_ARM, HEIR, CONTRAST, repeats=3)
    result = handful.run(study, store, engine="serial", device="cpu", budget=None)
    assert result.failed == []
    return result


def heir(result: Result, arm: str) -> CNNClassifier:
    (made, *_) = result.classifier(arm).members
    assert isinstance(made, CNNClassifier)
    return made


# what an arm means


def test_a_name_a_table_and_a_recipe_are_read() -> None:
    assert Arm("a", pretrain="autoencoder").pretrain == Autoencoder()
    assert Arm("a", pretrain={"kind": "autoencoder", "from": "s4"}).pretrain == Autoencoder.preset("s4")
    assert Arm("a", pretrain={"kind": "simclr", "temperature": 0.1}).pretrain == SimCLR(temperature=0.1)
    for wrong, said in (
        ("simclrr", r"unknown pretraining 'simclrr'; did you mean 'simclr'\?"),
        ("gan", "unknown pretraining 'gan'"),
        ({"kind": "vae", "scope": "per-class"}, "every class an encoder of its own"),
    ):
        with pytest.raises(ConfigError, match=said):
            Arm("a", pretrain=wrong)
    with pytest.raises(ConfigError, match="there is no pretrain"):
        Arm("a", control=False)
    with pytest.raises(ConfigError, match="has no classifier"):
        Arm("a", generator=VAE, pretrain=VAE, judged_by="reconstruction")


def test_the_arm_from_random_weights_comes_with_it_unless_switched_off() -> None:
    study = plan_of(tiny("baseline", HEIR)).study
    assert [arm.name for arm in study.arms] == ["baseline", "heir", "heir random-encoder"]
    heirs, random = (study.classifier_of(study.arm(name)) for name in ("heir", "heir random-encoder"))
    assert heirs == random == CLASSIFIER.changed(view=View(size=8, channels=1), network=ENCODER)
    assert study.arm("heir random-encoder").pretrain is None
    alone = plan_of(tiny("baseline", HEIR.changed(control=False))).study
    assert [arm.name for arm in alone.arms] == ["baseline", "heir"]
    assert recipe_from(ResolvedStudy, study.to_json()) == study


def test_what_is_there_already_is_not_added_again() -> None:
    """The network of SimCLR is the study's own: from random weights it is the baseline."""
    assert [arm.name for arm in plan_of(tiny("baseline", CONTRAST)).study.arms] == ["baseline", "clr"]
    two = plan_of(tiny("baseline", HEIR, Arm("other", pretrain=VAE.changed(beta=2.0)))).study  # type: ignore[union-attr]
    assert [arm.name for arm in two.arms] == ["baseline", "heir", "heir random-encoder", "other"]
    augmented = plan_of(tiny("baseline", CONTRAST.changed(augment="light"))).study
    assert [arm.name for arm in augmented.arms] == ["baseline", "clr", "clr random-encoder"]


def test_a_control_that_starts_from_fitted_weights_is_not_called_random() -> None:
    lite = CLASSIFIER.changed(network=network_of("lite0"), view=View(size=32))
    study = plan_of(tiny("baseline", CONTRAST.changed(augment="light"), classifier=lite)).study
    assert [arm.name for arm in study.arms] == ["baseline", "clr", "clr without-pretraining"]
    assert study.classifier_of(study.arm("clr without-pretraining")).network.pretrained  # type: ignore[attr-defined]


def test_dropout_is_changed_after_inheriting() -> None:
    recipe = Autoencoder(width=4, depth=2, latent=4, dropout=0.01, training=TRAINING)
    study = plan_of(tiny("baseline", Arm("s4", pretrain=recipe, dropout=0.2), Arm("low", pretrain=recipe))).study
    changed, same = study.arm("s4"), study.arm("low")
    assert study.pretraining_of(changed) == study.pretraining_of(same) == recipe.changed(view=View(size=8, channels=1))
    assert (study.classifier_of(changed).dropout, study.classifier_of(same).dropout) == (0.2, None)  # type: ignore[attr-defined]
    assert study.classifier_of(same).network.dropout == 0.01  # type: ignore[attr-defined]
    assert study.classifier_of(study.arm("s4 random-encoder")).dropout == 0.2  # type: ignore[attr-defined]


def test_contrastive_pre_training_does_not_have_the_dropout_of_after_inheriting() -> None:
    own = CLASSIFIER.changed(dropout=0.1)
    plain, rated = SimCLR(training=TRAINING), SimCLR(training=TRAINING, dropout=0.3)
    arms = [Arm("later", pretrain=plain, dropout=0.4), Arm("both", pretrain=rated, dropout=0.4)]
    study = plan_of(tiny("baseline", *arms, classifier=own)).study
    assert [study.pretraining_of(study.arm(arm.name)).dropout for arm in arms] == [0.1, 0.3]  # type: ignore[union-attr]
    assert all(study.classifier_of(study.arm(arm.name)).dropout == 0.4 for arm in arms)  # type: ignore[attr-defined]


def test_a_ramp_of_dropout_is_fitted_inherited_and_read_back(tmp_path: Path) -> None:
    own = CLASSIFIER.changed(dropout=(0.0, 0.3))
    arms = [Arm("clr", pretrain=SimCLR(training=TRAINING), dropout=[0.1, 0.5], control=False)]
    study = tiny("baseline", *arms, classifier=own, repeats=1)
    result = handful.run(study, tmp_path / "store", engine="serial", device="cpu", budget=None)
    assert result.failed == []
    assert result.study.pretraining_of(result.study.arm("clr")).dropout == (0.0, 0.3)  # type: ignore[union-attr]
    for arm, rates in (("baseline", [0.0, 0.15, 0.3]), ("clr", [0.1, 0.3, 0.5])):
        found = [one.p for one in heir(result, arm).module.modules() if isinstance(one, nn.Dropout)]
        assert found == pytest.approx(rates)


@pytest.mark.parametrize("given", [1.0, (0.1,), (0.1, 1.2), "much", True])
def test_dropout_is_one_rate_or_two(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"is neither a rate in .* nor two of them, of the first and the last layer"):
        CNN(dropout=given)
    assert CNN(dropout=0.3).to_json()["dropout"] == 0.3
    assert CNN(dropout=0).digest() == CNN(dropout=0.0).digest()


@pytest.mark.parametrize("name", ["base", "v2", "v3", "wide", "residual", "fast"])
def test_the_weights_of_a_body_fit_at_any_dropout(name: str) -> None:
    recipe = network_of(name)
    none, some = (recipe.build(1, 32, 2, rate) for rate in (0.0, 0.3))
    some.body.load_state_dict(none.body.state_dict())


def test_the_head_of_the_classifier_s_own_encoder_is_kept() -> None:
    own = CLASSIFIER.changed(network=ENCODER.changed(relu=True))
    study = plan_of(tiny("baseline", HEIR.changed(classifier=own))).study
    assert study.classifier_of(study.arm("heir")).network.relu  # type: ignore[attr-defined]


def test_what_does_not_go_together_is_said_before_anything_is_written() -> None:
    assert "network 'v2' is not the encoder that it inherits" in refused(
        HEIR.changed(classifier=CLASSIFIER.changed(network="v2"))
    )
    assert "pretrain has a view other than its classifier's" in refused(
        Arm("a", pretrain=VAE.changed(view=View(size=16)))
    )  # type: ignore[union-attr]
    assert "arm 'a': the network 's4' takes grey pictures of 28 px, got 1 channels of 8 px" in refused(
        Arm("a", pretrain=Autoencoder.preset("s4"))
    )
    best = VAE.changed(training=Training(steps=4, keep="best"))  # type: ignore[union-attr]
    assert "pretrain.training.keep is 'best' in 'a'" in refused(Arm("a", pretrain=best), val_fraction=0)


# jobs


def test_the_generator_is_fitted_once_for_both_uses(ran: Result) -> None:
    assert stages(ran.store.root) == {
        "images": 1,
        "split": 3,
        "generator": 3,
        "encoder": 3,
        "synthetic": 3,
        "classifier": 15,
        "predictions": 15,
    }
    assert ran.keys("heir", "pretraining") == ran.keys("vae", "generator")
    assert ran.keys("heir", "generator") == ran.keys("heir", "synthetic") == {}
    assert ran.costs("heir")["pretraining_steps"] == ran.costs("clr")["pretraining_steps"] == 4
    assert ran.costs("heir random-encoder")["pretraining_steps"] == 0


@pytest.mark.parametrize("arm", ["heir", "clr"])
def test_an_encoder_has_seen_the_training_part_alone(ran: Result, arm: str) -> None:
    for repeat, key in ran.keys(arm, "pretraining").items():
        record = ran.store.record(key)
        split = ran.store.arrays(record["inputs"]["split"])
        content = get_images(ran.store, record["inputs"]["images"]).origin.content
        encoder = inherited(ran.store, key)
        assert encoder.trained == frozenset(content[split["train"]].tolist())
        assert not encoder.seen & frozenset(content[split["test"]].tolist())
        assert record["inputs"]["split"] == ran.store.record(ran.keys(arm, "classifier")[repeat])["inputs"]["split"]


def test_a_classifier_names_the_encoder_it_started_from(ran: Result) -> None:
    for arm in ("heir", "clr"):
        encoder = inherited(ran.store, ran.keys(arm, "pretraining")[0])
        made = heir(ran, arm)
        assert made.start["source"] == f"encoder {encoder.fitted}"
        assert made.history["pretraining"] == encoder.history
        assert encoder.trained <= made.seen
    assert heir(ran, "heir random-encoder").start["source"] == "random"


def test_the_weights_that_an_encoder_started_from_are_named_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "body.safetensors"
    with rng.forked(0):
        save_file(timm.create_model("test_resnet", pretrained=False).state_dict(), path)
    own = CLASSIFIER.changed(network={"kind": "timm:test_resnet", "weights": str(path)}, view=View(size=32))
    study = tiny("baseline", Arm("clr", pretrain=SimCLR(training=TRAINING), control=False), classifier=own, repeats=1)
    result = handful.run(study, tmp_path / "store", engine="serial", device="cpu", budget=None)
    told = {arm["name"]: arm["start"]["source"] for arm in result.to_json()["arms"]}
    folder = result.store.folder(result.keys("clr", "pretraining")[0])
    fitted = load_pretrained(folder).fitted
    assert told == {"baseline": f"file {path}", "clr": f"encoder {fitted}, from file {path}"}
    card = json.loads((folder / "pretrained.json").read_text(encoding="utf-8"))
    del card["source"]  # as earlier versions wrote it
    (folder / "pretrained.json").write_text(json.dumps(card), encoding="utf-8")
    network = own.network.build(1, 32, 3, None)
    key = result.keys("clr", "pretraining")[0]
    assert inherited(result.store, key).put_into(network).source == f"encoder {fitted}"


def test_a_doctored_encoder_is_refused(tmp_path: Path) -> None:
    """One fitted on another split has seen test pictures of this one."""
    store = Store(tmp_path / "store")
    plan = plan_of(tiny("baseline", HEIR, repeats=2), tmp_path / "store")
    put_inputs(plan, store)
    jobs = plan.jobs_by_arm()
    first, second = ({job.stage: job for job in jobs["heir", repeat]} for repeat in (0, 1))
    assert run_job(str(store.root), first["generator"].to_json(), "cpu")
    wrong = second["classifier"].to_json()
    wrong["inputs"] = {**wrong["inputs"], "encoder": first["generator"].key}
    assert run_job(str(store.root), wrong, "cpu") is None
    (failure,) = (store.failure(study_stages.Job(**wrong).key),)
    assert failure is not None
    assert failure["error"].startswith("LeakError: validation: ")


def test_engines_and_stores_agree_bit_by_bit(ran: Result, tmp_path: Path) -> None:
    study = tiny("baseline", HEIR, CONTRAST, repeats=3)
    handful.run(study, tmp_path / "other", engine="local", workers=2, device="cpu", budget=None)
    other, mine = results(tmp_path / "other"), results(ran.store.root)
    made = {path: content for path, content in other.items() if not path.endswith("record.json")}
    assert made
    assert {path: mine[path] for path in made} == made


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("at", ["encoder", "generator", "classifier"])
def test_a_killed_fit_goes_on_to_the_undisturbed_result(
    ran: Result, tmp_path: Path, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in the middle of a fit, then run again: the same bits, and the fit is taken up where it stopped."""
    store = Store(tmp_path / "store")
    plan = plan_of(tiny("baseline", VAE_ARM, HEIR, CONTRAST, repeats=3), tmp_path / "store")
    put_inputs(plan, store)
    jobs = [
        job for (arm, repeat), made in plan.jobs_by_arm().items() for job in made if (arm, repeat) in ((*WHOSE[at], 0),)
    ]

    def kill(done: int, steps: int) -> None:
        if done == 3:
            raise KilledError

    fields = study_stages.How.__init__.__defaults__
    monkeypatch.setattr(study_stages.How.__init__, "__defaults__", ("cpu", None, 0.0, *fields[3:]))  # type: ignore[index]
    for job in jobs:
        if job.stage == at:
            with pytest.raises(KilledError):
                run_job(str(store.root), job.to_json(), "cpu", progress=kill)
            assert list((tmp_path / "store" / "checkpoints").iterdir())
            calls: list[int] = []
            assert run_job(str(store.root), job.to_json(), "cpu", progress=lambda done, steps: calls.append(done))  # noqa: B023
            assert calls == [4]
        else:
            assert run_job(str(store.root), job.to_json(), "cpu")
    mine = {path: content for path, content in results(store.root).items() if not path.endswith("record.json")}
    whole = results(ran.store.root)
    assert {path: whole[path] for path in mine} == mine


WHOSE = {"encoder": ("clr",), "generator": ("heir",), "classifier": ("heir",)}


# what the result says


def test_any_two_arms_are_compared(ran: Result) -> None:
    made = ran.compare("heir", "heir random-encoder", level=0.9)
    repeats = [0, 1, 2]
    (mine, labels), (base, _) = (ran.probs(name, repeats) for name in ("heir", "heir random-encoder"))
    assert made.estimate == compare_probs(mine, base, labels, score="balanced_accuracy", level=0.9)
    assert (made.reference, made.p_adjusted, made.estimate.level) == ("heir random-encoder", None, 0.9)
    back = ran.compare("heir random-encoder", "heir", level=0.9)
    assert back.estimate.value == -made.estimate.value
    assert ran.compare("heir", "baseline").estimate.value == pytest.approx(ran.versus["heir"].estimate.value)
    with pytest.raises(StoreError, match="unknown arm 'hair'; did you mean 'heir'"):
        ran.compare("hair", "baseline")


def test_pre_training_is_told_beside_its_random_encoder(ran: Result) -> None:
    assert {arm: versus.reference for arm, versus in ran.pretraining.items()} == {
        "heir": "heir random-encoder",
        "clr": "baseline",
    }
    told = ran.to_json()["pretraining"]["heir"]
    assert told["difference"] == pytest.approx(
        np.subtract(*(ran.scores(name)["balanced_accuracy"]["mean"] for name in ("heir", "heir random-encoder")))
    )
    assert "pre-training (heir against heir random-encoder)" in ran.verdict


def test_an_arm_with_a_generator_and_an_encoder_keeps_them_apart(tmp_path: Path) -> None:
    both = Arm("both", generator=VAE, add=3, pretrain=SimCLR(network="v2", training=TRAINING))
    result = handful.run(tiny("baseline", both, repeats=1), tmp_path / "s", engine="serial", device="cpu", budget=None)
    assert result.failed == []
    assert result.arms == ("baseline", "both", "both random-encoder")
    assert result.keys("both", "generator") != result.keys("both", "pretraining")
    recipe = heir(result, "both").recipe
    assert isinstance(recipe, CNN)
    assert recipe.network.kind == "v2"
