"""Decoding says what every kind of picture becomes; resizing is checked against Pillow."""

from __future__ import annotations

import struct
import threading
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from handful.data.decode import at_view, decode, decoded, is_picture, pixels_of, resized
from handful.data.images import View
from handful.errors import DataError

GRADIENT = (np.add.outer(np.arange(8) * 20, np.arange(12) * 9)).astype(np.uint8)  # 8 high, 12 wide
RED = np.full((8, 12, 3), (200, 30, 10), np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_rgb_comes_back_as_channels_first(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(saved(Image.fromarray(RED), kind, **options))
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    np.testing.assert_array_equal(picture, RED.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_grey_keeps_one_channel(kind: str) -> None:
    np.testing.assert_array_equal(decode(saved(Image.fromarray(GRADIENT), kind)), GRADIENT[None])


def test_jpeg_is_close_to_what_was_saved() -> None:
    picture = decode(saved(Image.fromarray(RED), "JPEG", quality=95))
    assert np.abs(picture.astype(int) - RED.transpose(2, 0, 1)).max() <= 4


def test_one_bit_becomes_grey() -> None:
    picture = decode(saved(Image.fromarray(GRADIENT > 60)))
    assert picture.shape == (1, 8, 12)
    assert set(np.unique(picture)) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_divided_by_257(kind: str) -> None:
    wide = GRADIENT.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(saved(Image.fromarray(wide), kind)), GRADIENT[None])


def test_big_endian_sixteen_bit_tiff() -> None:
    wide = (GRADIENT.astype(np.uint16) * 257).astype(">u2")
    np.testing.assert_array_equal(decode(saved(Image.fromarray(wide), "TIFF")), GRADIENT[None])


def test_integers_of_32_bit_are_on_the_16_bit_scale_and_others_are_refused() -> None:
    wide = GRADIENT.astype(np.int32) * 257
    np.testing.assert_array_equal(decode(saved(Image.fromarray(wide), "TIFF")), GRADIENT[None])
    with pytest.raises(DataError, match=r"must be in \[0, 65535\]"):
        decode(saved(Image.fromarray(wide * 1000), "TIFF"))


def test_floats_are_in_0_1_or_0_255() -> None:
    for values in (GRADIENT / np.float32(255), GRADIENT.astype(np.float32)):
        np.testing.assert_array_equal(decode(saved(Image.fromarray(values.astype(np.float32)), "TIFF")), GRADIENT[None])
    for bad in (np.full((4, 4), 300, np.float32), np.full((4, 4), -1, np.float32), np.full((4, 4), np.nan, np.float32)):
        with pytest.raises(DataError, match="32 bit floats"):
            decode(saved(Image.fromarray(bad), "TIFF"))


def test_palette_becomes_rgb_and_its_transparency_white() -> None:
    image = Image.fromarray(RED).quantize(4)
    np.testing.assert_array_equal(decode(saved(image)), RED.transpose(2, 0, 1))
    index = int(np.asarray(image)[0, 0])
    assert (decode(saved(image, transparency=index)) == 255).all()
    alphas = bytes(0 if entry == index else 255 for entry in range(index + 1))
    assert (decode(saved(image, transparency=alphas)) == 255).all()


@pytest.mark.parametrize(("alpha", "expected"), [(0, 255), (255, 100), (51, 224)])
def test_alpha_is_laid_over_white(alpha: int, expected: int) -> None:
    rgba = np.full((4, 4, 4), (100, 100, 100, alpha), np.uint8)
    assert (decode(saved(Image.fromarray(rgba))) == expected).all()
    grey = decode(saved(Image.fromarray(rgba[:, :, 2:], "LA")))
    assert grey.shape == (1, 4, 4)
    assert (grey == expected).all()


def test_cmyk_becomes_rgb() -> None:
    picture = decode(saved(Image.fromarray(RED).convert("CMYK"), "JPEG", quality=95))
    assert picture.shape == (3, 8, 12)
    assert np.abs(picture.astype(int) - RED.transpose(2, 0, 1)).max() <= 6


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    image = Image.fromarray(np.stack([GRADIENT, GRADIENT // 2, 255 - GRADIENT], axis=2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(image, kind, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    picture = decode(data)
    np.testing.assert_array_equal(picture, np.asarray(upright).transpose(2, 0, 1))
    assert picture.shape == ((3, 12, 8) if orientation > 4 else (3, 8, 12))


def test_a_spoilt_exif_block_leaves_the_picture_as_stored() -> None:
    data = saved(Image.fromarray(GRADIENT), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert decode(data).shape == (1, 8, 12)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_an_animation(kind: str) -> None:
    frames = [Image.fromarray(np.full((6, 6, 3), value, np.uint8)) for value in (0, 255)]
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert picture.shape == (3, 6, 6)
    assert (picture == 0).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "GIF", "PPM", "WEBP"])
def test_a_file_cut_short_is_refused(kind: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for length in (len(data) // 2, 20):
        with pytest.raises(DataError):
            decode(data[:length])


def test_what_is_no_picture_is_refused_in_a_few_words() -> None:
    for data, why in ((b"", "empty file"), (b"hello, I am text\n" * 20, "not a picture"), (b"%!PS-Adobe-3.0", "not a")):
        with pytest.raises(DataError, match=why) as error:
            decode(data)
        assert len(error.value.faults) == 1


def _claims(width: int, height: int) -> bytes:
    """A PNG of some bytes that says it is this large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [9_450, 12_000, 40_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(DataError, match="megapixels"):
        decode(_claims(side, side))
    assert limit == Image.MAX_IMAGE_PIXELS
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_decoding_in_threads_gives_the_same(recwarn: pytest.WarningsRecorder) -> None:
    data = saved(Image.fromarray(RED))
    found: list[NDArray[np.uint8]] = []
    threads = [threading.Thread(target=lambda: found.extend(decode(data) for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(np.array_equal(picture, found[0]) for picture in found)
    assert not recwarn.list


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"P5 "])
)
def test_any_bytes_are_a_picture_or_a_data_error(tail: bytes, head: bytes) -> None:
    try:
        picture = decode(head + tail)
    except DataError:
        return
    assert picture.dtype == np.uint8
    assert picture.shape[0] in (1, 3)


def test_pictures_are_known_by_their_ending_in_any_case() -> None:
    assert all(is_picture(path) for path in ("a/b.JPG", "x.jpeg", "x.jfif", "y.TiFF", "z.pbm", "a.b/c d.webp"))
    assert not any(is_picture(path) for path in ("a.jpg/readme", "b.txt", "png", ".png", "c.heic", "d.svg"))


@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 30), (7, 9), (1, 200)])
def test_stretch_is_pillows_bicubic(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (3, *shape), dtype=np.uint8)
    expected = Image.fromarray(picture.transpose(1, 2, 0)).resize((16, 16), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(resized(picture, View(size=16), 3), np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize("shape", [(40, 40), (30, 50), (50, 31), (7, 9), (1, 200)])
def test_crop_is_pillows_centred_fit(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (3, *shape), dtype=np.uint8)
    expected = ImageOps.fit(Image.fromarray(picture.transpose(1, 2, 0)), (16, 16), Image.Resampling.BICUBIC)
    cropped = resized(picture, View(size=16, resize="crop"), 3)
    np.testing.assert_array_equal(cropped, np.asarray(expected).transpose(2, 0, 1))


@pytest.mark.parametrize(("shape", "inner"), [((32, 16), (16, 8)), ((16, 32), (8, 16)), ((100, 1), (16, 1))])
def test_pad_keeps_the_aspect_and_fills_with_the_mean(shape: tuple[int, int], inner: tuple[int, int]) -> None:
    picture = np.random.default_rng(4).integers(0, 256, (3, *shape), dtype=np.uint8)
    padded = resized(picture, View(size=16, resize="pad"), 3)
    image = Image.fromarray(picture.transpose(1, 2, 0)).resize(inner[::-1], Image.Resampling.BICUBIC)
    top, left = (16 - inner[0]) // 2, (16 - inner[1]) // 2
    window = padded[:, top : top + inner[0], left : left + inner[1]]
    np.testing.assert_array_equal(window, np.asarray(image).transpose(2, 0, 1))
    outside = np.ones((16, 16), bool)
    outside[top : top + inner[0], left : left + inner[1]] = False
    for channel in range(3):
        assert set(padded[channel][outside]) == {np.uint8(np.rint(picture[channel].mean()))}


def pillows(image: Image.Image, policy: str, size: int) -> NDArray[np.uint8]:
    """What a policy means, in Pillow's own words: uint8 [C, size, size]."""
    if policy == "stretch":
        small = image.resize((size, size), Image.Resampling.BICUBIC)
    elif policy == "crop":
        small = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    else:
        mean = np.rint(np.asarray(image).reshape(image.width * image.height, -1).mean(axis=0)).astype(int).tolist()
        longer = max(image.size)
        inner = [max(1, round(side * size / longer)) for side in image.size]
        small = Image.new(image.mode, (size, size), tuple(mean) if len(mean) > 1 else mean[0])
        place = ((size - inner[0]) // 2, (size - inner[1]) // 2)
        small.paste(image.resize((inner[0], inner[1]), Image.Resampling.BICUBIC), place)
    return np.array(np.asarray(small).reshape(size, size, -1).transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("policy", ["stretch", "crop", "pad"])
@given(st.integers(1, 70), st.integers(1, 70), st.integers(4, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_a_view_of_a_file_is_that_of_its_pixels_and_pillows(
    policy: Any, mode: str, channels: int, kind: str, width: int, height: int, size: int, seed: int
) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data, view = saved(Image.fromarray(noise).convert(mode), kind), View(size=size, resize=policy)
    seen = at_view(decoded(data), view, channels)
    assert seen.shape == (channels, size, size)
    np.testing.assert_array_equal(seen, resized(decode(data), view, channels))
    image = Image.open(BytesIO(data)).convert("L" if channels == 1 else mode)
    np.testing.assert_array_equal(seen, np.broadcast_to(pillows(image, policy, size), seen.shape))


def test_the_pixels_of_an_image_are_those_numpy_sees() -> None:
    noise = np.random.default_rng(8).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    for image in (Image.fromarray(noise), Image.fromarray(noise[:, :, 0])):
        expected = np.asarray(image).reshape(300, 400, -1).transpose(2, 0, 1)
        np.testing.assert_array_equal(pixels_of(image), expected)
        assert pixels_of(image).flags.writeable


@pytest.mark.parametrize("policy", ["stretch", "crop", "pad"])
def test_a_picture_that_fits_is_left_alone(policy: str) -> None:
    picture = np.random.default_rng(5).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    np.testing.assert_array_equal(resized(picture, View(size=16, resize=policy), 3), picture)


def test_channels_are_repeated_or_made_luma() -> None:
    rgb = np.random.default_rng(6).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    luma = np.asarray(Image.fromarray(rgb.transpose(1, 2, 0)).convert("L"))
    np.testing.assert_array_equal(resized(rgb, View(size=16), 1)[0], luma)
    np.testing.assert_array_equal(resized(luma[None], View(size=16), 3), np.stack([luma] * 3))
