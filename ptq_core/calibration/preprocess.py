"""A picture file becomes a model input: open, convert, resize, crop, normalise.

The pixels are taken as stored: like torchvision and Pillow themselves, an EXIF orientation tag is not applied (the
photographs of ImageNet were evaluated that way too). Resizing is Pillow's bilinear filter, which averages when it
shrinks (antialiased).

For calibration a JPEG that is at least six times as large as the resize asks for is decoded at a reduced scale (the DCT
itself leaves out what the resize would average away), never below three times the resize's size. The
tolerance: values change by less than 1 of 255 in the mean and by at most 5 for 99.9 % of them (measured: up to 0.8 and 5
on noise with detail at every scale, 0.2 and 2 on photographs). `ptq eval` never does it: its numbers are those of the plain way.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ptq_core.errors import InputError
from ptq_core.inputs import is_lack
from ptq_core.options.preprocess import PreprocessOptions

LEFT_TO_RESIZE = 3
"""A reduced decoding leaves at least this factor to the resize, whose filter then sets the result."""


class BadPictureError(InputError):
    """A file that cannot be decoded as a picture; `skip_bad_images` leaves these out."""


def read_picture(
    path: Path,
    options: PreprocessOptions,
    sample_shape: tuple[int, ...],
    *,
    reduced: bool = False,
    content: bytes | None = None,
) -> NDArray[np.float32]:
    """As `read_open_picture`, of ``sample_shape``, the model's input shape without the batch; InputError for another."""
    array = read_open_picture(path, options, reduced=reduced, content=content)
    check_sample_shape(array.shape, options, sample_shape, str(path))
    return array


def read_open_picture(
    path: Path, options: PreprocessOptions, *, reduced: bool = False, content: bytes | None = None
) -> NDArray[np.float32]:
    """Read ``path`` and preprocess it to float32 of whatever shape that gives.

    With ``reduced`` a large JPEG may be decoded at a reduced scale (see above). ``content`` is what ``path`` holds, if the
    caller has read it.
    Raises BadPictureError if it cannot be decoded, InputError if it is smaller than `center_crop`.
    """
    try:
        with Image.open(path if content is None else BytesIO(content)) as image:
            resized = _resized(image.size, options)
            if reduced and resized is not None:
                image.draft(None, (LEFT_TO_RESIZE * resized[0], LEFT_TO_RESIZE * resized[1]))
            pixels = _to_mode(image, options)
    except BadPictureError:
        raise
    except UnidentifiedImageError as error:
        raise _bad_picture(path, "its format is unknown, or its beginning is damaged") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error …
        if is_lack(error):
            raise
        raise _bad_picture(path, " ".join(str(error).split()) or type(error).__name__) from error
    return preprocess_picture(pixels, options, str(path), resized)


def preprocess_picture(
    image: Image.Image,
    options: PreprocessOptions,
    name: str = "the picture",
    resized: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Resize, crop and normalise ``image`` to float32 [C, H, W] (`layout: NCHW`) or [H, W, C]: (x − mean) / std.

    C is 3 (RGB, BGR) or 1 (GRAY). ``resized`` (width, height) is given where ``image`` has a reduced scale.
    Raises InputError if the picture is smaller than `center_crop`.
    """
    image = _to_mode(image, options)
    resized = resized or _resized(image.size, options)
    if resized is not None:
        image = image.resize(resized, Image.Resampling.BILINEAR)
    if options.center_crop is not None:
        image = _center_crop(image, options.center_crop, name)
    pixels = np.asarray(image, np.uint8)
    pixels = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    if options.channel_order == "BGR":
        pixels = pixels[:, :, ::-1]
    mean, std = np.asarray(options.mean, np.float32), np.asarray(options.std, np.float32)
    if options.layout == "NCHW":
        pixels = pixels.transpose(2, 0, 1)
        mean, std = mean[:, np.newaxis, np.newaxis], std[:, np.newaxis, np.newaxis]
    result = np.empty(pixels.shape, np.float32)
    np.subtract(pixels, mean, out=result, dtype=np.float32)
    return np.divide(result, std, out=result)


def check_sample_shape(
    made: tuple[int, ...], options: PreprocessOptions, wanted: tuple[int, ...], name: str
) -> None:
    """Raise InputError unless the preprocessed shape ``made`` is the model's ``wanted`` (both without the batch)."""
    if made == wanted:
        return
    if len(made) != 3:  # an array, which nothing preprocessed
        raise InputError(
            f"{name} has the shape {list(made)}, but the model takes {list(wanted)}",
            rule="a sample has the shape of the model's input without the batch",
            fix="write the array in the model's shape",
        )
    fix = "set preprocess.resize (or resize_short) and center_crop to the model's height and width"
    swapped = (made[2], *made[:2]) if options.layout == "NHWC" else (*made[1:], made[0])
    if swapped == wanted:
        other = "NCHW" if options.layout == "NHWC" else "NHWC"
        fix = f"set preprocess.layout: {other}"
    elif len(wanted) == 3:
        channels = wanted[0] if options.layout == "NCHW" else wanted[2]
        if channels in (1, 3) and channels != (made[0] if options.layout == "NCHW" else made[2]):
            fix = f"set preprocess.channel_order: {'GRAY' if channels == 1 else 'RGB'}"
    raise InputError(
        f"preprocessing makes {list(made)} of {name}, but the model takes {list(wanted)}",
        rule=f"a preprocessed picture has the shape of the model's input without the batch ({options.layout})",
        fix=fix,
    )


def _to_mode(image: Image.Image, options: PreprocessOptions) -> Image.Image:
    """Decode ``image`` to 8-bit RGB or grey; an alpha channel is dropped."""
    if image.mode.startswith(("I", "F")):  # Pillow would cut 16-bit values off at 255
        raise _bad_picture(getattr(image, "filename", "picture"), f"pixel format {image.mode} is not 8-bit")
    mode = "L" if options.channel_order == "GRAY" else "RGB"
    if image.mode != mode:
        return image.convert(mode)
    image.load()  # convert() to the same mode would copy a large picture
    return image


def _resized(size: tuple[int, int], options: PreprocessOptions) -> tuple[int, int] | None:
    """(width, height) after the resize of a picture of ``size``, None without one.

    `resize_short` rounds the longer side down, as torchvision does.
    """
    if options.resize is not None:
        return options.resize[1], options.resize[0]
    if options.resize_short is None:
        return None
    (width, height), short = size, options.resize_short
    if width <= height:
        return short, max(short, short * height // width)
    return max(short, short * width // height), short


def _center_crop(image: Image.Image, size: tuple[int, ...], name: str) -> Image.Image:
    height, width = size
    if image.width < width or image.height < height:
        raise InputError(
            f"{name} is {image.height}x{image.width} (height x width) before center_crop [{height}, {width}]",
            rule="center_crop cuts from a picture that is at least as large",
            fix="set preprocess.resize or resize_short to the crop's size or more",
        )
    # Half to even, as torchvision does; one pixel more or less moves the accuracy of ImageNet models by a point.
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


def _bad_picture(path: object, reason: str) -> BadPictureError:
    return BadPictureError(
        f"cannot decode picture {path}: {reason}",
        rule="every picture must be a complete 8-bit JPEG, PNG, BMP or WebP file",
        fix="repair or remove it, or set skip_bad_images: true",
    )
