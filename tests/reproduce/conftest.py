"""A data folder with the layout of the real one and a few tiny pictures of noise, for every reproduced study."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIGN_CLASSES = ("06", "12", "24")


def picture(seed: int, level: int, size: int = 12, kind: str = "PNG") -> bytes:
    """The bytes of a picture of noise around a level."""
    noise = np.random.default_rng(seed).integers(0, 90, (size, size, 3)) + level
    buffer = io.BytesIO()
    Image.fromarray(noise.astype(np.uint8)).save(buffer, format=kind)
    return buffer.getvalue()


def write_signs(path: Path, train: int = 10, test: int = 4) -> None:
    """Distinct pictures and a manifest in which every training file comes twice, and one test file copies training."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ["split,class_id,path,width,height,sha256,duplicate_of"]
    with zipfile.ZipFile(path, "w") as archive:
        for place, name in enumerate(SIGN_CLASSES):
            for part, num in (("train", train), ("test", test)):
                for at in range(num):
                    own = f"{part}/{name}/{name}_{at}.png"
                    archive.writestr(own, picture(1000 * place + 100 * (part == "test") + at, 40 + 60 * place))
                    rows.append(f"{part},{name},{own},12,12,,")
                    if part == "train":
                        rows.append(f"train,{name},train/{name}/{name}_1_{at}.png,12,12,,{own}")
            rows.append(f"test,{name},test/{name}/{name}_copy.png,12,12,,train/{name}/{name}_0.png")
        archive.writestr("manifest.csv", "\n".join(rows))


def write_folders(path: Path, classes: int, num: int, size: int = 16) -> None:
    """A zip of class folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for place in range(classes):
            for at in range(num):
                archive.writestr(f"class{place}/{at}.jpg", picture(100 * place + at, 30 + 50 * place, size, "JPEG"))


def write_cifar(path: Path, classes: int = 3, num: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for part in ("train", "test"):
            for place in range(classes):
                for at in range(num):
                    data = picture(1000 * place + 100 * (part == "test") + at, 30 + 50 * place, 16, "JPEG")
                    info = tarfile.TarInfo(f"{part}/class{place}/{at}.jpg")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))


def write_fashion(folder: Path, classes: int = 3, num: int = 12) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    for part in ("train", "t10k"):
        labels = np.repeat(np.arange(classes), num).astype(np.uint8)
        pixels = (noise.integers(0, 80, (len(labels), 28, 28)) + 50 * labels[:, None, None]).astype(np.uint8)
        images = b"".join(int(one).to_bytes(4, "big") for one in (2051, len(labels), 28, 28)) + pixels.tobytes()
        named = b"".join(int(one).to_bytes(4, "big") for one in (2049, len(labels))) + labels.tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(named))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all sets."""
    root = tmp_path_factory.mktemp("data")
    write_signs(root / "traffic-signs" / "traffic-signs-10.zip")
    write_cifar(root / "cifar10" / "cifar10.tar.gz")
    write_fashion(root / "fashion-mnist")
    write_folders(root / "uc-merced" / "uc-merced-128.zip", 3, 12)
    write_folders(root / "animals-caltech101" / "animals-caltech101.zip", 3, 12)
    return root


@pytest.fixture
def data(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, named by HANDFUL_DATA; no weights but packaged ones, and no network to fetch others from."""

    def offline(url: str, path: Path) -> None:
        raise OSError("tests have no network")

    monkeypatch.setenv("HANDFUL_DATA", str(pictures))
    monkeypatch.setenv("HANDFUL_WEIGHTS", str(pictures / "no-weights"))
    monkeypatch.setattr("handful.nn.weight_files._download", offline)
    return pictures
