"""A drawing as pixels: PNG and GIF, painted with Pillow and the fixed-width font that matplotlib brings along.

Both come with the extra `pictures`. The same drawing, with the same versions of the two, is the same bytes.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from render.drawing import WIDTH, Drawing

SCALE = 2
"""Pixels to a unit in a still picture: half of what people look at is printed or on a dense screen."""
_SIZE, _BASELINE = 13, 12
_COLORS = 256


def png(drawn: Drawing, file: BinaryIO) -> None:
    """Write a PNG file."""
    image(drawn, SCALE).save(file, "PNG", optimize=True)


def gif(samples: Sequence[Drawing], frames: Iterable[Drawing], frame_ms: int, file: BinaryIO) -> None:
    """Write a GIF that shows each frame for `frame_ms`, the last for two seconds, and begins anew.

    All have one palette, made of what the samples show: else colours flicker from frame to frame. A frame is kept as a byte
    a pixel.
    """
    palette = _palette(samples)
    first, *rest = [image(each, 1).quantize(palette=palette, dither=Image.Dither.NONE) for each in frames]
    durations = [frame_ms] * len(rest) + [2_000]
    first.save(file, "GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)


def _palette(samples: Sequence[Drawing]) -> Image.Image:
    pictures = [image(each, 1) for each in samples]
    wide = Image.new("RGB", (pictures[0].width, pictures[0].height * len(pictures)))
    for number, each in enumerate(pictures):
        wide.paste(each, (0, number * each.height))
    return wide.quantize(_COLORS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def image(drawn: Drawing, scale: int) -> Image.Image:
    """Return the picture, `scale` pixels to a unit."""
    picture = Image.new("RGB", (max(1, drawn.width * scale), max(1, drawn.height * scale)), _rgb(drawn.background))
    canvas = ImageDraw.Draw(picture)
    for shape in drawn.rectangles:
        x, y = shape.x * scale, shape.y * scale
        edge = (x + shape.width * scale - 1, y + shape.height * scale - 1)
        canvas.rectangle(((x, y), edge), fill=_rgb(shape.color))
    for text in drawn.texts:
        font = _font(text.bold, scale)
        for number, character in enumerate(text.text):
            place = ((text.x + number * WIDTH) * scale, (text.y + _BASELINE) * scale)
            canvas.text(place, character, _rgb(text.color), font, anchor="ls")
    return picture


@lru_cache(maxsize=8)
def _font(bold: bool, scale: int) -> ImageFont.FreeTypeFont:
    name = "DejaVuSansMono-Bold.ttf" if bold else "DejaVuSansMono.ttf"
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
    return ImageFont.truetype(str(path), _SIZE * scale, layout_engine=ImageFont.Layout.BASIC)


def _rgb(code: int) -> tuple[int, int, int]:
    return code >> 16, code >> 8 & 0xFF, code & 0xFF
