"""From the bytes of a picture file to pixels, and from pixels to the size a recipe sees them at."""

from __future__ import annotations

import posixpath
import threading
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from handful.data.images import View
from handful.errors import DataError

# every cached scan and view depends on this: raise the number when the same bytes start to mean other pixels
VERSION = f"1, Pillow {PIL.__version__}"
MAX_PIXELS = 89_000_000  # just below where Pillow itself starts to warn
PICTURE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pbm"}
)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
_GREY = frozenset({"1", "L", "LA", "La"})
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112
MadeT = TypeVar("MadeT")
_warning_filters = threading.Lock()


def is_picture(path: str) -> bool:
    """Return whether a path ends like a picture file; whether it holds one is for `decode` to find out."""
    return posixpath.splitext(path)[1].lower() in PICTURE_SUFFIXES


def decode(data: bytes) -> NDArray[np.uint8]:
    """Return the decoded original of a picture file: uint8 [C, H, W], C is 1 (grey) or 3 (RGB).

    The EXIF orientation is applied. A palette becomes RGB, 1 bit becomes grey, CMYK and other colour spaces become
    RGB; transparency is laid over white; of several frames the first is taken. Grey of 16 bit is divided by 257 and
    rounded, of 32 bit integers likewise (they must be in [0, 65535]); grey of floats is multiplied by 255 where no
    value is above 1, else taken as [0, 255]. Colour of 16 bit per channel keeps its upper 8 bits (Pillow).

    Args:
        data: the whole file: JPEG, PNG, WebP, BMP, TIFF, GIF, PPM, PGM or PBM, whatever its name says.

    Raises:
        DataError: the reason, short and without the file's name: not a picture, cut short, or too many pixels.
    """
    return _made(data, lambda image: pixels_of(_loaded(image)))


def decoded(data: bytes) -> Image.Image:
    """Return what `decode` does, as a Pillow image of mode L or RGB: the shorter way to a view of it."""
    return _made(data, _loaded)


def _made(data: bytes, make: Callable[[Image.Image], MadeT]) -> MadeT:
    if not data:
        raise DataError("empty file (0 bytes)")
    try:
        with _opened(data) as image:
            return make(image)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError("not a picture of a known format") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(_too_large("too many pixels")) from None
    except Exception as error:  # Pillow's readers raise nearly anything on spoilt bytes, which are untrusted input
        raise DataError(f"cannot be decoded ({_first_line(error)})") from None


def of_image(image: Image.Image) -> NDArray[np.uint8]:
    """Return the decoded original of a Pillow image, uint8 [C, H, W], by the rules of `decode`.

    Raises:
        DataError: too many pixels, or an image that cannot be loaded.
    """
    try:
        return pixels_of(_loaded(image))
    except DataError:
        raise
    except Exception as error:  # an image opened by someone else reads its untrusted file only now
        raise DataError(f"cannot be decoded ({_first_line(error)})") from None


def resized(picture: NDArray[np.uint8], view: View, channels: int) -> NDArray[np.uint8]:
    """Return a picture at the size of a view: uint8 [channels, size, size].

    Bicubic with antialiasing (Pillow). `stretch` brings both sides to size; `crop` brings the centre square, as long
    as the shorter side, to size; `pad` brings the longer side to size and fills the rest, equally on both ends, with
    the picture's mean colour. A square picture of that size is left as it is by all three.

    Args:
        picture: uint8 [C, H, W], C is 1 or 3.
        view: size and policy.
        channels: 1 or 3. Grey to RGB repeats the channel, RGB to grey is ITU-R 601 luma, before the resize.
    """
    if picture.shape == (channels, view.size, view.size):
        return picture
    return at_view(_image(picture), view, channels)


def at_view(image: Image.Image, view: View, channels: int) -> NDArray[np.uint8]:
    """Return what `resized` does, of a Pillow image of mode L or RGB."""
    if channels == 1:
        image = image if image.mode == "L" else image.convert("L")
    small = _fitted(image, view)
    return small if len(small) == channels else np.repeat(small, channels, axis=0)


def _fitted(image: Image.Image, view: View) -> NDArray[np.uint8]:
    size = view.size
    width, height = image.size
    if width == height == size:
        return pixels_of(image)
    if view.resize == "stretch":
        return pixels_of(image.resize((size, size), Image.Resampling.BICUBIC))
    if view.resize == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        return pixels_of(image.resize((size, size), Image.Resampling.BICUBIC, box=box))
    across, down = padded_sides(width, height, size)
    inner = pixels_of(image.resize((across, down), Image.Resampling.BICUBIC))
    mean = np.rint(pixels_of(image).mean(axis=(1, 2))).astype(np.uint8)
    padded = np.repeat(mean, size * size).reshape(len(mean), size, size)
    top, left = (size - down) // 2, (size - across) // 2
    padded[:, top : top + down, left : left + across] = inner
    return padded


def padded_sides(width: int, height: int, size: int) -> tuple[int, int]:
    """Return the width and height, in pixels, that `pad` gives a picture inside a view of `size`."""
    longer = max(width, height)
    return max(1, round(width * size / longer)), max(1, round(height * size / longer))


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels of a Pillow image of mode L or RGB: uint8 [C, H, W], C is 1 or 3."""
    planes = planes_of(image)
    joined = bytearray().join(planes)  # unlike bytes, an array of it can be written
    return np.frombuffer(joined, np.uint8).reshape(len(planes), image.height, image.width)


def planes_of(image: Image.Image) -> list[bytes]:
    """Return the pixels of each band, row by row: half the time of one interleaved array and its transpose."""
    return [image.tobytes("raw", band) for band in image.getbands()]


def _loaded(image: Image.Image) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(_too_large(f"{width} x {height} pixels"))
    image.load()
    return _upright(_eight_bit(image), _orientation(image))


def _opened(data: bytes) -> Image.Image:
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(BytesIO(data), formats=FORMATS)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none that can be read; Pillow has already turned a TIFF."""
    with _warning_filters, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            found = image.getexif().get(_ORIENTATION, 1)
        except Exception:  # a spoilt EXIF block is no reason to refuse a picture whose pixels are whole
            return 1
    return found if found in _UPRIGHT else 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """The same picture in mode L or RGB."""
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_scaled(np.asarray(image)))
    mode = "L" if image.mode in _GREY else "RGB"
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, over).convert("RGB")
        return image.getchannel(0) if mode == "L" else image
    if image.mode == mode and not getattr(image, "is_animated", False):
        return image  # nothing of it is still to be read
    return image.convert(mode)


def _scaled(values: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = values.min(), values.max()
    if values.dtype.kind == "f":
        if not (low >= 0 and high <= 255):
            raise DataError(f"grey of 32 bit floats from {low:g} to {high:g}: must be in [0, 1] or [0, 255]")
        scaled: NDArray[np.uint8] = np.rint(values * (255 if high <= 1 else 1)).astype(np.uint8)
        return scaled
    if not (low >= 0 and high <= 65535):
        raise DataError(f"grey of 32 bit integers from {low} to {high}: must be in [0, 65535]")
    return ((values.astype(np.int64) + 128) // 257).astype(np.uint8)


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation != 1 else image


def _image(picture: NDArray[np.uint8]) -> Image.Image:
    bands = [Image.fromarray(np.ascontiguousarray(channel)) for channel in picture]
    return bands[0] if len(bands) == 1 else Image.merge("RGB", bands)  # half the time of one interleaved array


def _too_large(what: str) -> str:
    return f"{what}: more than the {MAX_PIXELS // 1_000_000} megapixels that are allowed"


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:120] if lines else type(error).__name__
