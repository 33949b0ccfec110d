"""What a study found: every number once, from the predictions in the store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from handful.calibration import usable_temperature
from handful.classify.diagnose import wilson
from handful.classify.ensemble import Ensemble
from handful.classify.table import load_classifier
from handful.compare import Estimate, holm, judge, simultaneous_level, turned
from handful.config import recipe_from
from handful.errors import StoreError
from handful.influence import PER_CLASS, ClassEstimate, compare_probs, estimate_classes, estimate_probs, predicted_of
from handful.scores import SCORES, confusion, scores_for
from handful.study.calibrated import calibration_of
from handful.study.diagnosis import ArmDiagnosis, diagnoses_of
from handful.study.embedding import embedding_json
from handful.study.goals import Goal, goal_rows
from handful.study.inheriting import control_among
from handful.study.kept import Kept
from handful.study.measure_rows import change_rows
from handful.study.measured import MEASURES
from handful.study.predicts import predictors
from handful.study.protocol import INFLATED, QUICK_REPEATS
from handful.study.versus import Versus, bounds_of, sentence, versus_json, would_tell

CLAIM = "on this training pool, for new pictures and new training runs"


class Result(Kept):
    """The result of a study in a store: scores, comparisons and verdicts. Reading one computes numbers, never jobs."""

    def scores(self, arm: str) -> dict[str, dict[str, Any]]:
        """Return each score of an arm on its test parts: mean, sd, interval (95 %) and values by repeat.

        Those of `handful.scores.SCORES` that say something of this many classes and are defined in every repeat.
        """
        if arm not in self._scores:
            self._scores[arm] = self._score(arm)
        return self._scores[arm]

    @cached_property
    def _scores(self) -> dict[str, dict[str, dict[str, Any]]]:
        return {}

    def _score(self, arm: str) -> dict[str, dict[str, Any]]:
        repeats = sorted(self.predictions(arm))
        if not repeats:
            return self._reconstruction(arm)
        probs, labels = self.probs(arm, repeats)
        out = {}
        for name, score in scores_for(len(self.class_names)).items():
            found = (self.predictions(arm)[repeat] for repeat in repeats)
            values = [score.value(one["labels"], one["probs"]) for one in found]
            if np.isfinite(values).all():
                made = estimate_probs(probs, labels, score=name) if len(repeats) > 1 else None
                out[name] = {**_mean_sd(values), "interval": bounds_of(made) if made else None, "values": values}
        return out

    def _reconstruction(self, arm: str) -> dict[str, dict[str, Any]]:
        keys = self.keys(arm, "reconstruction")
        values = [float(self.store.arrays(keys[repeat])["mse"].mean()) for repeat in sorted(keys)]
        return {"reconstruction_mse": {**_mean_sd(values), "interval": None, "values": values}} if values else {}

    def validation(self, arm: str) -> dict[str, Any] | None:
        """Return the study's score of an arm on validation as `scores` has it on test; None without validation.

        The interval is None where `validation_probs` is. Where validation chose weights, it flatters.
        """
        values = self._validated(arm)
        if not values:
            return None
        parts = self.validation_probs(arm) if len(values) > 1 else None
        interval = bounds_of(estimate_probs(*parts, score=self.protocol.score)) if parts is not None else None
        return {**_mean_sd(values), "interval": interval, "values": values}

    def _validated(self, arm: str) -> list[float]:
        """The study's score of an arm on validation in each repeat that has one."""
        keys, score = self.keys(arm, "classifier"), SCORES[self.protocol.score]
        found = [self.store.arrays(keys[repeat], "val") for repeat in sorted(keys)]
        return [score.value(made["labels"], made["probs"]) for made in found if len(made["labels"])]

    def validation_parts(self, arm: str) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Labels and probabilities of the validation part of each repeat with predictions; empty without one."""
        keys = self.keys(arm, "classifier")
        found = [self.store.arrays(keys[one], "val") for one in sorted(self.predictions(arm)) if one in keys]
        parts = [(made["labels"], made["probs"]) for made in found]
        return parts if len(parts) == len(self.predictions(arm)) else []

    def calibration(self, arm: str) -> dict[str, Any] | None:
        """Return reliability, ECE and log loss before and after temperature scaling; None without predictions.

        See `calibrated.calibration_of`. Each temperature is fitted on its own repeat's validation part.
        """
        repeats = sorted(self.predictions(arm))
        if repeats and arm not in self._calibrations:
            parts = self.validation_parts(arm)
            self._calibrations[arm] = calibration_of(*self.probs(arm, repeats), parts)
        return self._calibrations.get(arm)

    @cached_property
    def _calibrations(self) -> dict[str, dict[str, Any]]:
        return {}

    def goals(self, arm: str) -> list[dict[str, Any]]:
        """Return a row per goal of the study for an arm, see `goals.goal_rows`; `no verdict` under a flaw."""
        repeats, wanted = sorted(self.predictions(arm)), self.page.get("goals")
        if not repeats or not wanted:
            return []
        goals = {name: recipe_from(Goal, goal) for name, goal in wanted}
        rows = goal_rows(goals, self.class_names, *self.probs(arm, repeats), self.validation_parts(arm))
        if self.protocol.all_flaws:
            for row in rows:
                row["word"] = "no verdict"
                row["threshold"] = row["threshold"] and {**row["threshold"], "word": "no verdict"}
        return rows

    def diagnosis(self, arm: str) -> ArmDiagnosis | None:
        """Whether an arm's classifiers fit, overfit, underfit or have not converged; None where none is finished."""
        return self._diagnoses.get(arm)

    @cached_property
    def _diagnoses(self) -> dict[str, ArmDiagnosis]:
        return diagnoses_of(self)

    def ensemble(self, arm: str) -> dict[str, Any] | None:
        """Return what the mean of the repeats' probabilities, which is what predicts, scores on the test part.

        None where repeats have test pictures of their own: some member was trained on each of them. `num` counts the
        test pictures, `values` has each score, and `accuracy_interval` (95 %, Wilson 1927) is for new pictures and
        these very trainings.
        """
        repeats = sorted(self.predictions(arm))
        if len(repeats) < 2:
            return None
        probs, labels = self.probs(arm, repeats)
        if np.isnan(probs).any():
            return None
        mean = probs.mean(axis=0)
        found = {name: score.value(labels, mean) for name, score in scores_for(len(self.class_names)).items()}
        values = {name: value for name, value in found.items() if np.isfinite(value)}
        interval = wilson(values["accuracy"], len(labels), level=0.95)
        return {"num": len(labels), "values": values, "accuracy_interval": list(interval)}

    def per_class(self, arm: str, part: Literal["test", "validation"] = "test") -> list[dict[str, Any]]:
        """Return precision, recall and F1 of each class, each with its interval (95 %) or None, and its support.

        They are means over the repeats that test the class (0 for one that none tests), `support` its pictures in the
        part of a repeat. Each interval holds alone; with many classes some of them will miss. Empty without
        predictions, and on validation where `validation_probs` is None.
        """
        repeats = sorted(self.predictions(arm))
        found = self.validation_probs(arm) if part == "validation" else repeats and self.probs(arm, repeats)
        if not found:
            return []
        predicted, labels = predicted_of(found[0]), found[1]
        made = estimate_classes(predicted, labels, len(self.class_names))
        support = [
            np.mean([(labels[row >= 0] == place).sum() for row in predicted]) for place in range(len(made["f1"]))
        ]
        return [
            {
                "name": name,
                **{key: made[key][place].value if made[key][place] else 0.0 for key in PER_CLASS},
                **{f"{key}_interval": _bounds(made[key][place]) for key in PER_CLASS},
                "support": round(float(support[place])),
            }
            for place, name in enumerate(self.class_names)
        ]

    def confusion(self, arm: str) -> NDArray[np.int64]:
        """Return int64 [K, K], the confusion matrix summed over repeats."""
        total = np.zeros((len(self.class_names),) * 2, dtype=np.int64)
        for made in self.predictions(arm).values():
            total += confusion(made["labels"], made["probs"].argmax(axis=1), len(self.class_names))
        return total

    @cached_property
    def versus(self) -> dict[str, Versus]:
        """Each arm against the reference, where both have predictions in common repeats."""
        reference = self.protocol.reference
        if "split-per-arm" in self.protocol.flaws or not self.predictions(reference):
            return {}
        others = [arm.name for arm in self.study.arms if arm.name != reference and arm.judged_by == "classifier"]
        level = simultaneous_level(max(1, len(others)))
        found = {arm: self._paired(arm, reference, level) for arm in others}
        estimates = {arm: paired for arm, paired in found.items() if paired is not None}
        adjusted = holm([estimates[arm][0].p_value if arm in estimates else None for arm in others])
        p_adjusted = dict(zip(others, adjusted, strict=True))
        return {arm: self._versus(made, num, p_adjusted[arm]) for arm, (made, num) in estimates.items()}

    def compare(self, arm: str, reference: str, *, level: float = 0.95) -> Versus:
        """Return one arm against another, any two of them, from the repeats that both have finished.

        The level is that of this one comparison: whoever looks at several widens it for them
        (`handful.compare.simultaneous_level`). There is no adjusted p-value.

        Raises:
            StoreError: an unknown arm, one that is not judged by a classifier, or fewer than two repeats in common.
        """
        if "split-per-arm" in self.protocol.flaws:
            raise StoreError("every arm has a split of its own (flaw split-per-arm): nothing is paired")
        for name in (arm, reference):
            if not self.predictions(name):
                raise StoreError(f"arm {name!r} has no predictions to compare")
        paired = self._paired(arm, reference, level)
        if paired is None:
            raise StoreError(f"{arm!r} and {reference!r} have no two finished repeats in common whose score is defined")
        return self._versus(*paired, None, reference)

    def _paired(self, arm: str, reference: str, level: float) -> tuple[Estimate, int] | None:
        """The paired difference of two arms, and in how many repeats; None with fewer than two, or undefined."""
        repeats = sorted(set(self.predictions(arm)) & set(self.predictions(reference)))
        if len(repeats) < 2:
            return None
        (mine, labels), (base, _) = self.probs(arm, repeats), self.probs(reference, repeats)
        made = compare_probs(mine, base, labels, score=self.protocol.score, level=level)
        return (made, len(repeats)) if np.isfinite(made.value) else None

    @cached_property
    def pretraining(self) -> dict[str, Versus]:
        """Each pre-trained arm against the same from random weights, as far as both are finished.

        The level is simultaneous over these comparisons alone: they answer what the pre-training did, beside the
        question that `versus` answers.
        """
        controls = {arm.name: control_among(self.study, arm) for arm in self.study.arms if arm.pretrain is not None}
        level, made = simultaneous_level(max(1, len(controls))), {}
        for arm, control in controls.items():
            if control is not None:
                with suppress(StoreError):
                    made[arm] = self.compare(arm, control.name, level=level)
        return made

    def _versus(
        self, made: Estimate, num_repeats: int, p_adjusted: float | None, reference: str | None = None
    ) -> Versus:
        reference, margin = reference or self.protocol.reference, self.protocol.margin
        if self.protocol.all_flaws:
            return Versus(reference, made, p_adjusted, None, self.inflated)
        if num_repeats < QUICK_REPEATS:
            return Versus(reference, made, p_adjusted, None, f"{num_repeats} repeats; a verdict needs {QUICK_REPEATS}")
        gain = turned(made) if SCORES[self.protocol.score].lower_is_better else made
        verdict = judge(gain, margin=margin, num_repeats=num_repeats)
        reason, points = verdict.reason, f"the {100 * margin:g} points that matter"
        if verdict.word == "cannot tell" and made.p_value is not None:
            reason = would_tell(made, margin, num_repeats)
        elif verdict.word == "no difference that matters":
            reason = f"the whole interval is within {points}"
        elif verdict.word != "cannot tell":
            reason = f"by at least {points}" if verdict.at_least_margin else f"perhaps by less than {points}"
        return Versus(reference, made, p_adjusted, verdict.word, reason)

    @property
    def inflated(self) -> str:
        """Why the numbers are higher than they should be, for a protocol with flaws; else empty."""
        flaws = self.protocol.all_flaws
        return f"inflated because {'; '.join(INFLATED[flaw] for flaw in flaws)}" if flaws else ""

    @property
    def best(self) -> str:
        """The arm with the best mean validation score; the first of them in a tie.

        Raises:
            StoreError: no classifier is finished, or the study has no validation part.
        """
        means = {arm: np.mean(values) for arm in self.arms if (values := self._validated(arm))}
        fitted = [arm for arm in self.arms if self.keys(arm, "classifier")]
        if fitted and not means:
            raise StoreError(
                f"{self.store.root}: this study has no validation part to choose an arm by, and the test part must not "
                f"choose one; name it with --arm ({', '.join(fitted)})"
            )
        if not means:
            raise StoreError(f"{self.store.root}: no arm has a finished classifier yet; `handful run` computes them")
        return str(max(means, key=lambda arm: SCORES[self.protocol.score].sign * means[arm]))

    def classifier(self, arm: str | None = None, *, trust_code: bool = False) -> Ensemble:
        """Return the classifiers of an arm's repeats as one; by default those of the best arm on validation.

        Args:
            trust_code: see `load_classifier`.
        """
        name = arm or self.best
        keys = self.keys(name, "classifier")
        folders = [self.store.folder(keys[repeat]) for repeat in sorted(keys)]
        members = [load_classifier(folder, trust_code=trust_code) for folder in folders]
        about = {
            "arm": name,
            "study": self.page["digest"],
            "data": self.page["source"]["digest"],
            "score": self.protocol.score,
            "scores": self.scores(name),
            "ensemble": self.ensemble(name),
            "flaws": list(self.protocol.all_flaws),
            "inflated": self.inflated,
            "versions": self.page["versions"],
        }
        parts = [self.store.arrays(keys[repeat], "val") for repeat in sorted(keys)]
        return Ensemble.of(members, about, [usable_temperature(part["labels"], part["probs"]) for part in parts])

    def predicts(self) -> list[dict[str, Any]]:
        """Return, per measure, how it went with usefulness in this study; empty where nothing was measured.

        The rank correlation of the measure, after selection, with the change in a class's recall against the reference
        arm, over class, arm and repeat, see `predicts.predictors`. Arms without real pictures are left out: their
        change says what is lost with these. The intervals hold together at 95 %.
        """
        reference = self.protocol.reference
        arms = [arm.name for arm in self.study.arms if arm.real and arm.name != reference and self.measured(arm.name)]
        if not arms or "split-per-arm" in self.protocol.flaws:
            return []
        base, num = self.predictions(reference), len(self.class_names)
        rows = [row for arm in arms for row in change_rows(self.measured(arm), self.predictions(arm), base, num)]
        return predictors(rows, MEASURES, level=simultaneous_level(len(MEASURES)), seed=self.protocol.seed)

    def table(self) -> list[dict[str, Any]]:
        """Return one row per arm: the score with its interval, the difference with its interval, and the verdict."""
        rows = []
        for arm in self.arms:
            scores, versus = self.scores(arm), self.versus.get(arm)
            shown = scores.get(self.protocol.score) or scores.get("reconstruction_mse")
            rows.append(
                {
                    "arm": arm,
                    "score": shown["mean"] if shown else None,
                    "interval": shown["interval"] if shown else None,
                    "difference": versus.estimate.value if versus else None,
                    "difference_interval": bounds_of(versus.estimate) if versus else None,
                    "p_adjusted": versus.p_adjusted if versus else None,
                    "verdict": "reference" if arm == self.protocol.reference else versus.verdict if versus else None,
                    "reason": versus.reason if versus else "",
                }
            )
        return rows

    @property
    def verdict(self) -> str:
        """The verdict in plain words, a sentence per arm, strongest first."""
        if self.protocol.all_flaws:
            return f"No verdict: every number here is {self.inflated}."
        score = SCORES[self.protocol.score]
        lines = [
            sentence(arm, versus, self.protocol.score)
            for arm, versus in sorted(self.versus.items(), key=lambda item: -score.sign * item[1].estimate.value)
        ]
        if not lines:
            return "No verdict: nothing to compare yet." if len(self.arms) > 1 else "No verdict: one arm only."
        lines += [
            sentence(f"pre-training ({arm} against {versus.reference})", versus, self.protocol.score)
            for arm, versus in self.pretraining.items()
            if versus.reference != self.protocol.reference
        ]
        return "\n".join([*lines, f"This holds {CLAIM}."])

    def to_json(self) -> dict[str, Any]:
        """Return every number of the study as JSON values."""
        return {
            "study": {**self.page["study"], "source": self.page["source"]["name"]},
            "digest": self.page["digest"],
            "protocol": self.protocol.to_json(),
            "source": self.page["source"],
            "cuts": self.page["cuts"],
            "reasons": self.page.get("reasons", []),
            "versions": self.page["versions"],
            "classes": self.classes,
            "arms": [self._arm_json(arm) for arm in self.arms],
            "predicts": self.predicts(),
            "pretraining": {arm: versus_json(versus) for arm, versus in self.pretraining.items()},
            "embedding": embedding_json(self.embedding, self.arms_by_synthetic) if self.embedding else None,
            "failed": self.failed,
            "verdict": self.verdict,
            "inflated": self.inflated or None,
        }

    def _arm_json(self, arm: str) -> dict[str, Any]:
        versus = self.versus.get(arm)
        return {
            "name": arm,
            "scores": self.scores(arm),
            "ensemble": self.ensemble(arm),
            "validation": self.validation(arm),
            "diagnosis": diagnosis.to_json() if (diagnosis := self.diagnosis(arm)) else None,
            "per_class": self.per_class(arm),
            "per_class_validation": self.per_class(arm, "validation"),
            "calibration": self.calibration(arm),
            "goals": self.goals(arm),
            "start": self.start(arm) or None,
            "versus_reference": None if versus is None else versus_json(versus),
            **self.costs(arm),
            "drawing": self.drawing(arm),
            "measures": self.measures(arm),
            "audits": self.audits(arm),
            "mistakes": self.mistakes(arm),
            "train_real": list(trained.real) if (trained := self.trained(arm)) else [],
            "flaws": list(self.protocol.all_flaws),
        }

    def __str__(self) -> str:
        return self.verdict


def _bounds(made: ClassEstimate | None) -> list[float] | None:
    return list(made.interval) if made and made.interval else None


def _mean_sd(values: Sequence[float]) -> dict[str, float | None]:
    return {
        "mean": float(np.mean(values)) if values else None,
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
    }
