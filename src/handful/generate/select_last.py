"""The candidates drawn last."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from handful.data.images import LabeledImages
from handful.generate.selection import MOST, Judged, Known, Ranking


class LastDrawn(Ranking):
    """The last k of n candidates, as S0 kept reconstructions: a choice that looks at no picture."""

    kind: Literal["last"] = "last"
    candidates: Annotated[float, Field(ge=1, le=MOST)] = 150 / 80

    def judge(self, candidates: LabeledImages, known: Known) -> Judged:
        places = np.arange(1, len(candidates) + 1)
        kept = places > len(candidates) - self.num_kept(known.wanted, len(candidates))
        said = [f"drawn {place} of {len(candidates)}, the last {int(kept.sum())} are kept" for place in places]
        return Judged.of(self.kind, kept, places.astype(np.float64), said)
