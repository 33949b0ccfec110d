"""The diagnosis of every run of a study, and of an arm as the mean of its runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handful.classify.diagnose import Diagnosis, Evidence, diagnose, evidence_of, mean_evidence

if TYPE_CHECKING:
    from handful.study.result import Result


@dataclass(frozen=True)
class ArmDiagnosis:
    """What is to be said of an arm: of the mean of its runs, and of each run by its repeat."""

    whole: Diagnosis
    runs: dict[int, Diagnosis]

    @property
    def differing(self) -> dict[int, Diagnosis]:
        """The runs whose word or grade is not that of the whole, by repeat."""
        whole = (self.whole.word, self.whole.grade)
        return {at: run for at, run in self.runs.items() if (run.word, run.grade) != whole}

    def to_json(self) -> dict[str, Any]:
        return {**self.whole.to_json(), "runs": [{"repeat": at, **run.to_json()} for at, run in self.runs.items()]}


def diagnoses_of(result: Result) -> dict[str, ArmDiagnosis]:
    """Return a diagnosis of every arm with a finished classifier, beside the best validation accuracy of any."""
    evidence = {arm: found for arm in result.arms if (found := _evidence(result, arm))}
    means = {arm: mean_evidence(list(found.values())) for arm, found in evidence.items()}
    reached = [(one.val_accuracy, one.num_val) for one in means.values() if one.val_accuracy is not None]
    best = max(reached, default=None)
    return {
        arm: ArmDiagnosis(diagnose(means[arm], best), {at: diagnose(run, best) for at, run in found.items()})
        for arm, found in evidence.items()
    }


def _evidence(result: Result, arm: str) -> dict[int, Evidence]:
    found = {}
    for repeat, key in sorted(result.keys(arm, "classifier").items()):
        path = result.store.folder(key) / "classifier.json"
        history = json.loads(path.read_text(encoding="utf-8")).get("history") if path.exists() else None
        if history and history.get("final"):
            found[repeat] = evidence_of(history)
    return found
