"""The formulas of things that lie on the glass, on the sensor or in the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from corruptions.extended.literature.illumination import shade
from corruptions.literature import to_levels
from corruptions.spec import BackendUnavailable, Images


def bubble(images: Images, words: NDArray[np.uint32], *, max_radius: int, max_bubbles: int) -> Images:
    """Paste white ellipses of Pillow over the image: 7 to `max_bubbles` of radius 3 to `max_radius`, rims of 2 [MM].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 76).
    """
    _, height, width, channels = images.shape
    uniform = (words >> 16) / 65536
    fewest = min(7, max_bubbles)
    out = np.empty_like(images)
    for image, parts, pasted in zip(images, uniform, out, strict=True):
        overlay = Image.new("RGBA", (width, height), (255, 255, 255, 0))
        pen = ImageDraw.Draw(overlay)
        for a, b, c in parts[1:].reshape(-1, 3)[: fewest + int(parts[0] * (max_bubbles - fewest + 1))]:
            radius = 3 + int(a * (max_radius - 2))
            x = radius + int(b * max(1, width - 2 * radius + 1))
            y = radius + int(c * max(1, height - 2 * radius + 1))
            for reach, opacity in ((radius + 2, 130), (radius, 100)):
                pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(255, 255, 255, opacity))
        picture = Image.fromarray(image.repeat(3, axis=-1) if channels == 1 else image)
        picture.paste(overlay, (0, 0), overlay)
        pasted[...] = np.asarray(picture)[..., :channels]
    return out


def stain_deposit(images: Images, words: NDArray[np.uint32], *, count: int) -> Images:
    """Darken the image by `count` marks, each of five discs with soft edges; [MM] lays pictures of ink there.

    `images` uint8 (N, H, W, C); `words` uint32 (N, 30).
    """
    _, height, width, _ = images.shape
    unit = max(1, min(height, width) // 28)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    ink = np.zeros(images.shape[:3])
    for n, marks in enumerate(words[:, : 6 * count].astype(np.int64).reshape(len(words), count, 6)):
        for place, *lobes in marks.tolist():
            x, y = int((place >> 16) / 65536 * width), int((place & 65535) / 65536 * height)
            for lobe in lobes:
                right = x + np.floor(((lobe >> 24) / 128 - 1) * unit)
                below = y + np.floor(((lobe >> 16 & 255) / 128 - 1) * unit)
                radius = 1 + unit // 2 + int((lobe & 65535) / 65536 * unit)
                square = ((rows - below) ** 2 + (columns - right) ** 2) / radius**2
                np.maximum(ink[n], np.clip(2 * (1 - square), 0, 1), out=ink[n])
    return to_levels(images / 255 * (1 - ink[..., None]))


def black_corner(images: Images, *, percent: int) -> Images:
    """Blacken what lies outside a filled circle of OpenCV, of `percent` percent of the largest radius that fits [MM].

    `images` uint8 (N, H, W, C).
    """
    try:
        import cv2
    except ImportError as missing:
        raise BackendUnavailable(
            f"black_corner of backend 'literature' needs OpenCV ({missing}): pip install opencv-python-headless"
        ) from missing
    height, width = images.shape[1:3]
    centre = (width // 2, height // 2)
    radius = min(*centre, width - centre[0], height - centre[1])
    circle = cv2.circle(np.zeros((height, width), np.uint8), centre, radius * percent // 100, 255, thickness=-1)
    return np.where(circle[..., None] == 255, images, 0).astype(np.uint8)


def grid_lines(images: Images, words: NDArray[np.uint32], *, depth: float) -> Images:
    """Darken by a cosine of 4 to 8 pixels a period, along or across, tilted by up to a period in 128 pixels [new].

    `images` uint8 (N, H, W, C); `words` uint32 (N, 2); `depth` a fraction of the level.
    """
    place, speed = words[:, 0, None, None], words[:, 1, None, None]
    step, tilt = ((speed >> 16) / 65536 + 1) / 8, ((speed & 65535) / 32768 - 1) / 128
    rows, columns = np.arange(images.shape[1])[:, None], np.arange(images.shape[2])
    level = (place & 1) == 1
    phase = (place >> 16) / 65536 + rows * np.where(level, step, tilt) + columns * np.where(level, tilt, step)
    return shade(images, 1 - depth * (1 + np.cos(2 * np.pi * phase)) / 2)
