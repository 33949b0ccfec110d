"""Gate and selection in a study: shared fits, names, what a selection needs, and what the result says."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from plan_and_run import plan_of

from handful import Arm, Interpolation, Result
from handful.errors import ConfigError
from handful.generate.ledger import write_ledger
from handful.generate.select import Chain, KeepAll
from handful.generate.select_confidence import Confident
from handful.generate.select_copies import RejectCopies
from handful.generate.select_diverse import KCentre
from handful.generate.select_ssim import BestSSIM
from handful.report.arm_words import arm_words
from handful.report.collect import page_of
from handful.report.facts import drawing_words
from handful.show import print_result
from handful.study.arms import SELECTIONS, arm_named
from handful.study.run import run
from handful.study.stored import get_candidates, get_ledger
from tiny_study import CLASSIFIER, VAE_ARM, digits, stages, tiny

MIX = Arm("mix", generator=Interpolation(), add=6)


def ran(study, store) -> Result:
    result = run(study, store, engine="serial", budget=None)
    assert result.failed == []
    return result


def jobs(study, arm, stage):
    return [job for job in plan_of(study).jobs_by_arm()[arm, 0] if job.stage == stage]


# ---------------------------------------------------------------- names


def test_a_selection_is_named_beside_a_generator():
    arm = arm_named("augment+vae+k-centre")
    assert (arm.name, arm.selection, arm.gate) == ("augment+vae+k-centre", KCentre(), None)
    assert arm_named("vae+ungated+ssim").gate == KeepAll()
    assert arm_named("interpolate+confidence+ssim").selection == Chain(steps=(Confident(), BestSSIM()))


@pytest.mark.parametrize("kind", SELECTIONS)
def test_every_selection_has_a_name_and_means_nothing_without_a_generator(kind):
    assert arm_named(f"vae+{kind}").selection.kind == kind
    with pytest.raises(ConfigError, match="selection needs a generator"):
        arm_named(f"baseline+{kind}")


def test_a_gate_needs_a_generator_and_is_one_of_the_table():
    with pytest.raises(ConfigError, match="gate needs a generator"):
        arm_named("baseline+ungated")
    with pytest.raises(ConfigError, match="unknown gate 'ssim'"):
        VAE_ARM.changed(gate="ssim")


def test_selections_are_an_axis():
    study = tiny("baseline", VAE_ARM, axes={"vae.selection": ("none", "ssim", "k-centre")})
    arms = plan_of(study).study.arms
    assert [arm.name for arm in arms] == [
        "baseline",
        "vae selection=none",
        "vae selection=ssim",
        "vae selection=k-centre",
    ]
    assert arms[2].selection == BestSSIM()


# ---------------------------------------------------------------- jobs


def test_arms_that_differ_in_gate_and_selection_share_the_fit():
    arms = [VAE_ARM.changed(name=name, selection=name) for name in ("none", "ssim", "k-centre", "confidence")]
    open_ = VAE_ARM.changed(name="open", gate="none")
    study = tiny("baseline", *arms, open_)
    names = [arm.name for arm in (*arms, open_)]
    assert len({jobs(study, name, "generator")[0].key for name in names}) == 1
    assert len({jobs(study, name, "synthetic")[0].key for name in names}) == len(names)


def test_near_copies_are_turned_away_unless_flaws_are_studied():
    (job,) = jobs(tiny(), "vae", "synthetic")
    assert job.spec["gate"] == RejectCopies().describe()
    (job,) = jobs(tiny(flaws=("test-as-val",)), "vae", "synthetic")
    assert job.spec["gate"]["kind"] == "none"
    (job,) = jobs(tiny("baseline", VAE_ARM.changed(gate="copies"), flaws=("test-as-val",)), "vae", "synthetic")
    assert job.spec["gate"]["kind"] == "copies"


def test_probabilities_come_from_the_baseline_s_classifier_which_saw_no_synthetic_picture():
    arm = MIX.changed(selection="confidence", augment={"rotation": 5.0}, balance="oversample")
    study = tiny("baseline", arm)
    judge, own = jobs(study, "mix", "classifier")
    (synthetic,) = jobs(study, "mix", "synthetic")
    assert judge.key == jobs(study, "baseline", "classifier")[0].key
    assert synthetic.inputs["judge"] == judge.key
    assert own.key != judge.key
    assert plan_of(study).jobs_by_arm()["mix", 0][-2].key == own.key


def test_the_judge_is_there_without_a_baseline_and_beside_a_classifier_of_another_size(tmp_path):
    own = CLASSIFIER.changed(view=CLASSIFIER.view.changed(size=12))
    arm = MIX.changed(selection=Confident(at_least=0.3), classifier=own)
    other = MIX.changed(name="other", classifier=own)
    result = ran(tiny(arm, other, repeats=1, reference="other"), tmp_path / "store")
    assert stages(tmp_path / "store")["classifier"] == 3
    ledger = get_ledger(result.store, result.keys("mix", "synthetic")[0])
    assert (ledger.scores["confidence"][ledger.kept] >= 0.3).all()
    trained = result.store.record(result.keys("mix", "classifier")[0])
    assert trained["spec"]["recipe"]["view"]["size"] == 12


# ---------------------------------------------------------------- results


@pytest.fixture(scope="module")
def copying(tmp_path_factory):
    """Mixes that are nearly always one of their two pictures, gated and not."""
    mixes = Interpolation(alpha=0.05)
    arms = [MIX.changed(generator=mixes), MIX.changed(name="ungated", generator=mixes, gate="none")]
    return ran(tiny("baseline", *arms, repeats=2), tmp_path_factory.mktemp("copying") / "store")


def test_no_near_copy_is_trained_on_and_the_arm_runs_with_what_it_has(copying):
    gated, free = copying.synthetic("mix"), copying.synthetic("ungated")
    real = set(digits_content())
    assert not real & set(gated.origin.content.tolist())
    assert real & set(free.origin.content.tolist())
    assert free.counts.tolist() == [6, 6, 6]
    assert gated.counts.sum() < 18
    assert 0 < copying.scores("mix")["accuracy"]["mean"] <= 1


def digits_content():
    from handful import LabeledImages

    return LabeledImages.of_arrays(*digits()).origin.content.tolist()


def test_the_result_says_how_many_were_wanted_drawn_turned_away_and_kept(copying):
    rows = copying.drawing("mix")
    assert [row["name"] for row in rows] == ["zero", "one", "two"]
    assert [row["wanted"] for row in rows] == [12, 12, 12]
    assert sum(row["kept"] for row in rows) == sum(len(copying.synthetic("mix", repeat)) for repeat in range(2))
    assert all(row["gated"] <= row["drawn"] - row["kept"] for row in rows)
    assert all(row["drawn"] <= 48 for row in rows)
    assert copying.to_json()["arms"][1]["drawing"] == rows
    assert copying.drawing("baseline") == []


def test_the_ledger_of_a_study_is_exported_with_the_pictures_it_was_about(copying, tmp_path):
    key = copying.keys("mix", "synthetic")[1]
    ledger, candidates = get_ledger(copying.store, key), get_candidates(copying.store, key)
    made = copying.synthetic("mix", 1)
    np.testing.assert_array_equal(candidates.pixels[ledger.kept], made.pixels)
    folder = write_ledger(tmp_path / "ledger", ledger, candidates)
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as file:
        why = [row["why"] for row in csv.DictReader(file) if row["turned away by"] == "gate: copies"]
    rows = copying.store.arrays(copying.page["splits"][1]["key"])["train"]
    assert why
    assert all(int(said.split("of row ")[1].split(":")[0]) in rows for said in why)


# ---------------------------------------------------------------- report


def test_the_report_says_what_was_turned_away_and_which_classes_fell_short(copying):
    page = page_of(copying)
    (note,) = [note for note in page.notes if "near copies" in note]
    gated, drawn = (sum(row[name] for row in copying.drawing("mix")) for name in ("gated", "drawn"))
    assert note == f"mix: {gated} of {drawn} generated pictures were near copies of training pictures and not used"
    (short,) = [note for note in page.notes if "not filled" in note]
    assert all(
        f"{row['name']} {row['kept']} of 12" in short for row in copying.drawing("mix") if row["kept"] < row["wanted"]
    )
    facts = {fact.name: fact.value for fact in page.protocol}
    told = facts["near copies of training pictures"]
    assert told == "kept out of what is generated, except where an arm lets them pass"
    assert "near copies of training pictures let pass" in page.arms[2].change
    assert page.arms[1].wanted == (6, 6, 6)


def test_many_classes_that_fell_short_are_not_all_listed():
    rows = [{"name": str(place), "wanted": 4, "drawn": 16, "gated": 0, "kept": 3} for place in range(9)]
    (said,) = drawing_words(rows)
    assert said.endswith("4 3 of 4 and 4 classes more")


def test_a_selection_in_words():
    arm = arm_named("vae+confidence+ssim")
    assert "selected by confidence, then ssim" in arm_words(arm)
    assert "selected" not in arm_words(arm_named("vae"))


def test_the_readme_lists_the_selections():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `\+([a-z-]+)` \|", readme, flags=re.MULTILINE) == list(SELECTIONS)


def test_the_terminal_says_it_too(copying, capsys):
    print_result(copying)
    said = capsys.readouterr().out
    assert "generated pictures were near copies of training pictures and not used" in said
    assert "classes that were not filled" in said
