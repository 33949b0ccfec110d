"""handful: the best image classifier that a small, imbalanced set of pictures allows, and what made it better.

    import handful

    study = handful.Study("pictures/", arms=["baseline", "augment", handful.Arm("vae", generator=handful.VAE())])
    result = handful.run(study, "store")
    print(result.verdict)

Names are imported when they are first used, so that `import handful` does not load torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Huge pages for the buffers of torch, which reads this when it first allocates: without them a step on a CPU spends up
# to half of its time on page faults (docs/memory.md). Set to 0 beforehand, it stays so.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from handful.classify.cnn import CNN as CNN
    from handful.classify.contract import evaluate as evaluate
    from handful.classify.table import load_classifier as load_classifier
    from handful.data.augment import Augmentation as Augmentation
    from handful.data.images import LabeledImages as LabeledImages
    from handful.data.images import View as View
    from handful.data.load import load as load
    from handful.data.source import Source as Source
    from handful.data.source import open_source as open_source
    from handful.errors import HandfulError as HandfulError
    from handful.estimator import HandfulClassifier as HandfulClassifier
    from handful.generate.interpolate import Interpolation as Interpolation
    from handful.generate.select_ssim import BestSSIM as BestSSIM
    from handful.generate.table import load_generator as load_generator
    from handful.generate.vae import VAE as VAE
    from handful.measure.measure_sets import measure_sets as measure_sets
    from handful.nn.training import Training as Training
    from handful.study.arms import Arm as Arm
    from handful.study.protocol import Protocol as Protocol
    from handful.study.result import Result as Result
    from handful.study.run import run as run
    from handful.study.study import Study as Study
    from handful.study.study import read_study as read_study

_WHERE = {
    "Arm": "handful.study.arms",
    "Augmentation": "handful.data.augment",
    "BestSSIM": "handful.generate.select_ssim",
    "CNN": "handful.classify.cnn",
    "HandfulClassifier": "handful.estimator",
    "HandfulError": "handful.errors",
    "Interpolation": "handful.generate.interpolate",
    "LabeledImages": "handful.data.images",
    "Protocol": "handful.study.protocol",
    "Result": "handful.study.result",
    "Source": "handful.data.source",
    "Study": "handful.study.study",
    "Training": "handful.nn.training",
    "VAE": "handful.generate.vae",
    "View": "handful.data.images",
    "evaluate": "handful.classify.contract",
    "load": "handful.data.load",
    "load_classifier": "handful.classify.table",
    "load_generator": "handful.generate.table",
    "measure_sets": "handful.measure.measure_sets",
    "open_source": "handful.data.source",
    "read_study": "handful.study.study",
    "run": "handful.study.run",
}

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'handful' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
