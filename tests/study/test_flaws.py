"""Studies with a flaw of a published protocol: what each flaw does, and that nothing of it gets a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from plan_and_run import keys_of, plan_of, ran

from handful import Result
from handful.study.run import resolution
from tiny_study import VAE_ARM, digits, tiny


def check_flawed(result: Result, flaw: str) -> None:
    """It says so everywhere and gives no verdict."""
    assert result.protocol.all_flaws == (flaw,)
    assert result.inflated.startswith("inflated because ")
    assert result.verdict.startswith("No verdict: every number here is inflated because ")
    made = result.to_json()
    assert made["inflated"] == result.inflated
    assert all(arm["flaws"] == [flaw] for arm in made["arms"])
    assert all(versus.verdict is None and versus.reason == result.inflated for versus in result.versus.values())
    assert all(row["verdict"] in (None, "reference") for row in result.table())
    assert result.classifier("baseline").about["inflated"] == result.inflated


def test_test_as_val_validates_on_the_test_part(tmp_path: Path) -> None:
    result = ran(tiny("baseline", "augment", repeats=5, flaws=("test-as-val",)), tmp_path / "store")
    check_flawed(result, "test-as-val")
    plan, honest = plan_of(tiny(repeats=5, flaws=("test-as-val",))), plan_of(tiny(repeats=5))
    for repeat in range(5):
        split, base = plan.split("", repeat), honest.split("", repeat)
        assert split.val.tolist() == split.test.tolist() == base.test.tolist()
        assert sorted(split.train) == sorted([*base.train, *base.val])
    key = result.keys("baseline", "classifier")[0]
    val = result.store.arrays(key, "val")
    np.testing.assert_allclose(val["probs"], result.predictions("baseline")[0]["probs"], atol=1e-6)


def test_synthetic_in_val_draws_validation_from_one_pot(tmp_path: Path) -> None:
    study = tiny("baseline", VAE_ARM.changed(add=20), repeats=5, flaws=("synthetic-in-val",))
    result = ran(study, tmp_path / "store")
    check_flawed(result, "synthetic-in-val")
    for key in result.keys("vae", "classifier").values():
        record = result.store.record(key)["result"]
        pot = 48 + 60  # training and validation, and the synthetic ones
        assert sum(record["val"]) == round(0.15 * pot) > 9
        assert sum(record["train"]) == pot - sum(record["val"])
    base = [result.store.record(key)["result"]["val"] for key in result.keys("baseline", "classifier").values()]
    assert base == [[3, 3, 3]] * 5
    made = result.predictions("vae")[0]
    assert made["rows"].tolist() == result.store.arrays(result.page["splits"][0]["key"])["test"].tolist()


def test_split_per_arm_gives_each_arm_a_split_of_its_own(tmp_path: Path) -> None:
    study = tiny("baseline", "augment", repeats=5, flaws=("split-per-arm",))
    result = ran(study, tmp_path / "store")
    check_flawed(result, "split-per-arm")
    assert result.versus == {}
    plan = plan_of(study)
    assert len({split.digest for split in plan.splits.values()}) == len(plan.splits) == 10
    mine, base = result.predictions("augment")[0], result.predictions("baseline")[0]
    assert mine["rows"].tolist() != base["rows"].tolist()


def with_copies() -> Any:
    """Each of 20 pictures of every class three times."""
    pixels, labels, names = digits()
    return np.repeat(pixels, 3, axis=0), np.repeat(labels, 3), names


def test_kept_copies_land_in_training_and_in_test(tmp_path: Path) -> None:
    study = tiny("baseline", VAE_ARM, source=with_copies(), repeats=5, copies="keep")
    result = ran(study, tmp_path / "store")
    check_flawed(result, "copies-across-parts")
    plan, once = plan_of(study), plan_of(study.changed(protocol=study.protocol.changed(copies="once")))
    assert (len(plan.source), len(once.source)) == (180, 60)
    for mine, met in ((plan, True), (once, False)):
        for split in mine.splits.values():
            train, test = (set(mine.source.content[rows].tolist()) for rows in (split.train, split.test))
            assert bool(train & test) == met
    assert {name for _, name in once.source.left_out} <= set(once.source.ids)


def test_a_flaw_is_part_of_every_key_of_what_it_touches() -> None:
    honest = plan_of(tiny())
    for flaw in ("synthetic-in-val", "test-as-val", "split-per-arm"):
        flawed = plan_of(tiny(flaws=(flaw,)))
        assert not set(keys_of(honest, "vae").values()) & set(keys_of(flawed, "vae").values())


def test_what_can_be_told_is_said_beforehand_and_not_with_flaws() -> None:
    told = [plan_of(tiny(repeats=repeats)).detectable for repeats in (5, 20)]
    assert 0 < told[1] < told[0] <= 1
    assert "this can tell differences from about" in resolution(plan_of(tiny(repeats=5)))
    for flaws in (("test-as-val",), ("split-per-arm",), ("synthetic-in-val",)):
        plan = plan_of(tiny(repeats=5, flaws=flaws))
        assert plan.detectable is None
        assert resolution(plan).endswith(f"no verdict: {flaws[0]}")
    assert plan_of(tiny(source=with_copies(), repeats=5, copies="keep")).detectable is None
    assert plan_of(tiny("baseline", repeats=5)).detectable is None
    assert plan_of(tiny(repeats=1)).detectable is None
    assert resolution(plan_of(tiny(repeats=4))).endswith("no verdict: fewer than 5 repeats")
