"""Keys and seeds: which jobs arms, repeats and studies share, and what varies between repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plan_and_run import faults_of, keys_of, plan_of, ran

from handful import BestSSIM, Protocol
from tiny_study import CLASSIFIER, VAE_ARM, digits, stages, tiny


def test_arms_that_share_a_prefix_share_its_jobs(tmp_path: Path) -> None:
    chosen = VAE_ARM.changed(name="chosen", selection=BestSSIM())
    same = VAE_ARM.changed(name="the same under another name")
    plan = plan_of(tiny("baseline", VAE_ARM, chosen, same))
    one, other = keys_of(plan, "vae"), keys_of(plan, "chosen")
    assert one["generator"] == other["generator"]
    assert all(one[stage] != other[stage] for stage in ("synthetic", "classifier", "predictions"))
    assert keys_of(plan, same.name) == one
    ran(tiny("baseline", VAE_ARM, chosen, same), tmp_path / "store")
    assert stages(tmp_path / "store") == {
        "images": 1, "split": 2, "generator": 2, "synthetic": 4, "classifier": 6, "predictions": 6,
    }  # fmt: skip


def test_changing_only_the_selection_computes_nothing_before_it_again(tmp_path: Path) -> None:
    ran(tiny(), tmp_path / "store")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "results").rglob("*.*")}
    done: list[tuple[str, str]] = []
    study = tiny("baseline", VAE_ARM.changed(selection=BestSSIM()))
    ran(study, tmp_path / "store", progress=lambda state: done.append((state.job.stage, state.event)))
    started = [stage for stage, event in done if event == "started"]
    assert sorted(started) == ["classifier"] * 2 + ["predictions"] * 2 + ["synthetic"] * 2
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_keys_hold_what_is_computed_and_nothing_else() -> None:
    plan = plan_of(tiny())
    assert keys_of(plan_of(tiny(), workers=3, device="cuda", timed=False), "vae") == keys_of(plan, "vae")
    assert keys_of(plan_of(tiny("baseline", VAE_ARM.changed(name="other"))), "other") == keys_of(plan, "vae")
    assert keys_of(plan_of(tiny(repeats=7)), "vae", 1) == keys_of(plan, "vae", 1)
    assert keys_of(plan_of(tiny(margin=0.3, score="accuracy")), "vae") == keys_of(plan, "vae")
    assert not set(keys_of(plan, "vae", 0).values()) & set(keys_of(plan, "vae", 1).values())


def test_two_repeats_that_would_be_the_same_share_their_jobs() -> None:
    """Only the order varies: the generator is fitted once."""
    plan = plan_of(tiny(vary=("order",)))
    one, other = keys_of(plan, "vae", 0), keys_of(plan, "vae", 1)
    assert {stage for stage in one if one[stage] == other[stage]} == {"generator", "synthetic"}


def test_digests_follow_the_seed_the_data_and_every_recipe() -> None:
    studies = [
        tiny(),
        tiny(seed=1),
        tiny(repeats=3),
        tiny(source=digits(20, 20, 19)),
        tiny(classifier=CLASSIFIER.changed(dropout=0.1)),
        tiny("baseline"),
        tiny(steps=5),
        tiny(image_size=9),
        tiny(resize="pad"),
    ]
    digests = [plan_of(study).study.digest() for study in studies]
    assert len(set(digests)) == len(digests)
    assert plan_of(tiny()).study.digest() == digests[0]


STREAMS = {
    "split": ("split",),
    "generator": ("seed of generator",),
    "initialisation": ("seed of classifier",),
    "order": ("order_seed of classifier",),
}


@pytest.mark.parametrize(
    "vary", [("split",), ("generator",), ("initialisation",), ("order",), ("order", "split"), tuple(STREAMS)]
)
def test_what_varies_between_repeats_is_what_was_named(vary: tuple[Any, ...]) -> None:
    plan = plan_of(tiny(vary=vary, repeats=3))

    def drawn(repeat: int) -> dict[str, Any]:
        jobs = {job.stage: job for job in plan.jobs_by_arm()["vae", repeat]}
        return {
            "split": plan.split("vae", repeat).digest,
            "seed of generator": (jobs["generator"].spec["seed"], jobs["synthetic"].spec["seed"]),
            "seed of classifier": jobs["classifier"].spec["seed"],
            "order_seed of classifier": jobs["classifier"].spec["order_seed"],
        }

    seen = [drawn(repeat) for repeat in range(3)]
    differing = {name for name in seen[0] if len({str(one[name]) for one in seen}) == 3}
    equal = {name for name in seen[0] if len({str(one[name]) for one in seen}) == 1}
    assert differing == {name for stream in vary for name in STREAMS[stream]}
    assert equal == set(seen[0]) - differing


def test_vary_must_name_something() -> None:
    assert "vary is empty" in faults_of(lambda: Protocol(vary=()))[0]


def test_all_arms_of_a_repeat_share_its_split() -> None:
    plan = plan_of(tiny("baseline", "augment", VAE_ARM, repeats=3))
    assert sorted(plan.splits) == [("", 0), ("", 1), ("", 2)]
    for repeat in range(3):
        assert len({plan.split_key(arm, repeat) for arm in ("baseline", "augment", "vae")}) == 1
    assert len({split.digest for split in plan.splits.values()}) == 3
