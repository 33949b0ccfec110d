"""What a study has left in its store: keys, predictions, what was trained on, measured and drawn, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from handful.config import recipe_from
from handful.errors import StoreError, unknown
from handful.influence import predicted_of
from handful.study.embedding import Embedding, get_embedding
from handful.study.explained import Explained, get_explained, mistake_rows
from handful.study.measure_rows import audit_rows, mean_rows
from handful.study.measured import get_measures
from handful.study.parts import fitted_parts
from handful.study.protocol import Protocol
from handful.study.store import Store
from handful.study.stored import get_images, get_synthetic
from handful.study.study import ResolvedStudy


@dataclass(frozen=True)
class Trained:
    """What a classifier saw in one repeat: K numbers of real pictures, and of those made (synthetic ones, copies)."""

    repeat: int
    real: tuple[int, ...]
    made: tuple[int, ...]


class Kept:
    """What is there of a study in a store, without judging it. Reading it computes no job."""

    def __init__(self, store: Store, page: dict[str, Any]) -> None:
        self.store, self.page = store, page
        self.study = recipe_from(ResolvedStudy, page["study"])
        self.class_names: tuple[str, ...] = tuple(page["source"]["class_names"])
        self._chains = {(chain["arm"], chain["repeat"]): chain["keys"] for chain in page["chains"]}

    @classmethod
    def of(cls, store: Store, digest: str | None = None) -> Self:
        """Return the result of a study, by default of the one run last in this store."""
        return cls(store, store.study(digest))

    @property
    def protocol(self) -> Protocol:
        return self.study.protocol

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(arm.name for arm in self.study.arms)

    def keys(self, arm: str, stage: str) -> dict[int, str]:
        """Return the keys of an arm's finished results of one stage, by repeat."""
        if arm not in self.arms:
            raise StoreError(unknown("arm", arm, self.arms))
        pairs = ((repeat, keys.get(stage)) for (name, repeat), keys in self._chains.items() if name == arm)
        return {repeat: key for repeat, key in pairs if key and self.store.has(key)}

    def predictions(self, arm: str) -> dict[int, dict[str, NDArray[Any]]]:
        """Return an arm's test predictions by repeat: `rows`, `labels`, `probs`."""
        if arm not in self._predictions:
            self._predictions[arm] = {
                repeat: self.store.arrays(key) for repeat, key in self.keys(arm, "predictions").items()
            }
        return self._predictions[arm]

    @cached_property
    def _predictions(self) -> dict[str, dict[int, dict[str, NDArray[Any]]]]:
        return {}

    def probs(self, arm: str, repeats: Sequence[int]) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
        """Return probabilities [R, m, K], NaN where a picture was not in that repeat's test part, and labels int [m].

        The m pictures are those of any repeat's test part, in the order of the source.
        """
        found = [self.predictions(arm)[repeat] for repeat in repeats]
        return _at_rows(self._tested, [(made["rows"], made["probs"]) for made in found]), self._labels

    def predicted(self, arm: str, repeats: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return predicted classes int [R, m], -1 where `probs` has NaN, and labels int [m]."""
        probs, labels = self.probs(arm, repeats)
        return predicted_of(probs), labels

    @cached_property
    def _tested(self) -> NDArray[np.int64]:
        found = [self.store.arrays(split["key"])["test"] for split in self.page["splits"]]
        return np.unique(np.concatenate(found))

    @cached_property
    def _labels(self) -> NDArray[np.int64]:
        labels = np.zeros(len(self._tested), dtype=np.int64)
        for arm in self.arms:
            for made in self.predictions(arm).values():
                labels[np.searchsorted(self._tested, made["rows"])] = made["labels"]
        return labels

    def validation_probs(self, arm: str) -> tuple[NDArray[np.floating], NDArray[np.int64]] | None:
        """Return what `probs` does of the validation parts of all finished repeats.

        None without one, and where a flaw draws validation anew, made pictures included.
        """
        fits = [key for _, key in sorted(self.keys(arm, "classifier").items())]
        jobs = [self.store.record(key) for key in fits]
        rows = [self.store.arrays(job["inputs"]["split"])["val"] for job in jobs]
        if not any(map(len, rows)) or any(job["spec"]["val_fraction"] is not None for job in jobs):
            return None
        found = [self.store.arrays(key, "val") for key in fits]
        known = np.unique(np.concatenate(rows))
        labels = np.zeros(len(known), dtype=np.int64)
        for own, made in zip(rows, found, strict=True):
            labels[np.searchsorted(known, own)] = made["labels"]
        return _at_rows(known, [(own, made["probs"]) for own, made in zip(rows, found, strict=True)]), labels

    def start(self, arm: str) -> dict[str, str]:
        """Return `source` and `digest` of the weights that an arm's networks started from; empty where it has none."""
        keys = self.keys(arm, "classifier")
        if not keys:
            return {}
        return dict(self.store.record(keys[min(keys)])["result"].get("start", {}))

    @property
    def classes(self) -> list[dict[str, Any]]:
        """Name and real pictures per part of each class, in the first repeat."""
        counts = {}
        split = self.store.arrays(self.page["splits"][0]["key"])
        labels = self.labels
        for part in ("train", "val", "test"):
            counts[part] = np.bincount(labels[split[part]], minlength=len(self.class_names))
        return [
            {"name": name, **{part: int(counts[part][place]) for part in counts}}
            for place, name in enumerate(self.class_names)
        ]

    @property
    def arms_by_synthetic(self) -> dict[str, list[str]]:
        """The arms that train on each result of the stage `synthetic` in the first repeat."""
        made: dict[str, list[str]] = {}
        for arm in self.arms:
            if key := self.keys(arm, "synthetic").get(0):
                made.setdefault(key, []).append(arm)
        return made

    @cached_property
    def _images_key(self) -> str:
        return str(self.page["jobs"][-1]["inputs"]["images"])

    def trained(self, arm: str) -> Trained | None:
        """Return what an arm's classifier saw in its first finished repeat, None where none is finished."""
        keys = self.keys(arm, "classifier")
        if not keys:
            return None
        repeat = min(keys)
        record = self.store.record(keys[repeat])
        spec, inputs, result = record["spec"], record["inputs"], record["result"]
        seen = np.array(result["train"], dtype=np.int64)
        if "train_real" in result:
            real = np.array(result["train_real"], dtype=np.int64)
        elif not spec["real"]:
            real = np.zeros_like(seen)
        elif "synthetic" not in inputs:
            real = seen
        elif spec["val_fraction"] is None:
            labels = get_images(self.store, inputs["images"]).labels
            real = np.bincount(labels[self.store.arrays(inputs["split"])["train"]], minlength=len(seen))
        elif self.store.has(inputs["synthetic"]):  # the flaw synthetic-in-val: real and synthetic in one pot
            part, _ = fitted_parts(spec, inputs, self.store)
            real = part.take(np.flatnonzero(part.origin.real)).counts
        else:
            return None
        return Trained(repeat, tuple(real.tolist()), tuple((seen - real).tolist()))

    def costs(self, arm: str) -> dict[str, Any]:
        """Return steps and pictures seen by one classifier (means over repeats), and the seconds of all its jobs."""
        records = [self.store.record(key)["result"] for key in self.keys(arm, "classifier").values()]
        generators = [self.store.record(key)["result"] for key in self.keys(arm, "generator").values()]
        before = [self.store.record(key)["result"] for key in self.keys(arm, "pretraining").values()]
        stages = {stage for (name, _), keys in self._chains.items() if name == arm for stage in keys}
        return {
            "steps": float(np.mean([made["steps"] for made in records])) if records else 0.0,
            "pictures_seen": float(np.mean([made["pictures_seen"] for made in records])) if records else 0.0,
            "generator_steps": float(np.mean([made["steps"] for made in generators])) if generators else 0.0,
            "pretraining_steps": float(np.mean([made["steps"] for made in before])) if before else 0.0,
            "seconds": sum(self.store.seconds(key) for stage in stages for key in self.keys(arm, stage).values()),
            "train": records[0]["train"] if records else [],
        }

    def drawing(self, arm: str) -> list[dict[str, Any]]:
        """Return what was drawn for an arm, a row per class, summed over repeats; empty where it has no generator.

        `wanted` and `kept` synthetic pictures, the candidates that were `drawn` for them, and those of them that the
        gate turned away (`gated`).
        """
        records = [self.store.record(key)["result"] for key in self.keys(arm, "synthetic").values()]
        names = ("wanted", "drawn", "gated", "kept")
        totals = {name: np.sum([made[name] for made in records], axis=0) for name in names if records}
        return [
            {"name": label, **{name: int(totals[name][place]) for name in names}}
            for place, label in enumerate(self.class_names)
            if records
        ]

    def measures(self, arm: str) -> list[dict[str, Any]]:
        """Return what was measured of an arm's synthetic pictures, see `measure_rows.mean_rows`; often empty."""
        return mean_rows(self.measured(arm), self.class_names)

    def audits(self, arm: str) -> list[dict[str, Any]]:
        """Return the copying audits of an arm's kept pictures, see `measure_rows.audit_rows`; often empty."""
        return audit_rows(self.measured(arm), self.class_names)

    def measured(self, arm: str) -> dict[int, dict[str, Any]]:
        """Return what the stage `measures` found for an arm, by repeat."""
        if arm not in self._measured:
            keys = self.keys(arm, "measures")
            self._measured[arm] = {repeat: get_measures(self.store, key) for repeat, key in keys.items()}
        return self._measured[arm]

    @cached_property
    def _measured(self) -> dict[str, dict[int, dict[str, Any]]]:
        return {}

    def explained(self, arm: str) -> dict[int, Explained]:
        """Return the most confident mistakes of an arm with where its network looked, by repeat; often of one."""
        return {repeat: get_explained(self.store, key) for repeat, key in self.keys(arm, "explanations").items()}

    def mistakes(self, arm: str) -> list[dict[str, Any]]:
        """Return the most confident mistakes of an arm on test, see `explained.mistake_rows`; often empty."""
        return [
            row
            for repeat, found in self.explained(arm).items()
            for row in mistake_rows(found, self.labels, self.class_names, self.picture_names, repeat)
        ]

    @property
    def embedding(self) -> Embedding | None:
        """The plane in which real and all synthetic pictures of the first repeat lie; None where there is none."""
        keys = [job["key"] for job in self.page["jobs"] if job["stage"] == "embedding"]
        return get_embedding(self.store, keys[0]) if keys and self.store.has(keys[0]) else None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of every picture of the source, int64."""
        return get_images(self.store, self._images_key).labels

    @property
    def picture_names(self) -> tuple[str, ...] | None:
        """The name of every picture of the source; None in a store that does not keep them."""
        return self.store.ids(self.study.data)

    @property
    def failed(self) -> list[dict[str, Any]]:
        """Every failed job: stage, arm, repeat, error and traceback."""
        found = [(job, self.store.failure(job["key"])) for job in self.page["jobs"]]
        names = ("stage", "arm", "repeat", "key")
        return [
            {**{name: job[name] for name in names}, "error": failure["error"], "traceback": failure["traceback"]}
            for job, failure in found
            if failure is not None
        ]

    @property
    def jobs(self) -> dict[str, int]:
        """How many jobs are finished, failed and open."""
        keys = [job["key"] for job in self.page["jobs"]]
        finished, failed = sum(self.store.has(key) for key in keys), len(self.failed)
        return {"finished": finished, "failed": failed, "open": len(keys) - finished - failed}

    @property
    def progress(self) -> list[dict[str, Any]]:
        """How many repeats of each arm are finished."""
        last = {
            arm.name: "predictions" if arm.judged_by == "classifier" else "reconstruction" for arm in self.study.arms
        }
        return [
            {"name": arm, "finished": len(self.keys(arm, stage)), "repeats": self.protocol.repeats}
            for arm, stage in last.items()
        ]

    def synthetic(self, arm: str, repeat: int = 0) -> Any:
        """Return the synthetic pictures of an arm in one repeat, None where it has none."""
        key = self.keys(arm, "synthetic").get(repeat)
        return get_synthetic(self.store, key, self.class_names) if key else None


def _at_rows(
    known: NDArray[np.int64], parts: Sequence[tuple[NDArray[np.int64], NDArray[np.floating]]]
) -> NDArray[np.floating]:
    """Lay probabilities [n, K] at the rows [n] of several repeats into [R, m, K] over `known` rows [m], else NaN."""
    first = parts[0][1]
    out = np.full((len(parts), len(known), first.shape[1]), np.nan, dtype=first.dtype)
    for place, (rows, probs) in enumerate(parts):
        out[place, np.searchsorted(known, rows)] = probs
    return out
