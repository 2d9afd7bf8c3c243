"""Folders and zip archives of image files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import Field

from threatloop.core.errors import InputError
from threatloop.core.schema import ImageSchema
from threatloop.data.archive import Entries, content_digest, opened
from threatloop.data.layout import layout_of
from threatloop.data.source import Raw, Source, strata, stratified
from threatloop.data.spool import spool

MAX_PIXELS = 50_000_000
"""Per image, before it is decoded."""
BLOCK = 256
"""Images decoded at a time."""
MODES = {1: "L", 3: "RGB"}
GREY_MODES = frozenset({"1", "L", "LA"})
SHOWN = 3
"""Failures named in a message; the rest is counted."""


class ImageFiles(Source):
    """Images as files: ``CLASS/NAME.jpg`` or ``train/CLASS/NAME.jpg`` (train, val, test), in a folder or zip.

    Attributes:
        images: the folder or archive.
        size: side in pixels; every image is scaled and cropped around its centre to it. None needs equal sizes.
        channels: 1 for grey, 3 for colour; None takes what the first image has.
    """

    key: ClassVar[str] = "images"

    images: str
    size: int | None = Field(default=None, ge=4, le=2048)
    channels: Literal[1, 3] | None = None

    def _content(self, base: Path) -> str:
        path = self._path(base)
        if not path.exists():
            raise InputError(f"{self.images}: no such file or folder (looked for {path})")
        return content_digest(path)

    def _path(self, base: Path) -> Path:
        return base / Path(self.images).expanduser()

    def _load(self, base: Path, cache: Path | None, digest: str) -> Raw:
        with opened(self._path(base)) as entries, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS refuses them, with a line
            layout = layout_of(entries.names, self.images)
            groups = strata(layout.y, layout.partition)
            rows = stratified(groups, self.limit or len(groups))
            chosen = [entries.names[row] for row in rows]
            decoder = Decoder(self.images, entries, self.size, self.channels)
            channels, height, width = decoder.shape_of(chosen)
            shape = (len(chosen), channels, height, width)
            x = spool(shape, np.uint8, decoder.blocks(chosen, shape[1:]), cache, digest)
        schema = ImageSchema(classes=layout.classes, channels=channels, height=height, width=width)
        partition = None if layout.partition is None else layout.partition[rows]
        return Raw(x, layout.y[rows], schema, partition)


class Decoder:
    """Decodes the images of one source, all to the same shape.

    Args:
        where: the source, for messages.
        entries: its files.
        size: side to scale and crop to, or None.
        channels: 1, 3, or None to take what the first image has.
    """

    def __init__(self, where: str, entries: Entries, size: int | None, channels: int | None) -> None:
        self._where, self._entries, self._size, self._channels = where, entries, size, channels

    def shape_of(self, names: list[str]) -> tuple[int, int, int]:
        """(channels, height, width) that the first image which decodes gives to all."""
        for name in names:
            try:
                with self._open(name) as image:
                    channels = self._channels or (1 if image.mode in GREY_MODES else 3)
                    width, height = (self._size, self._size) if self._size else image.size
                    return channels, height, width
            except (OSError, ValueError, SyntaxError):
                continue
        raise InputError(f"{self._where}: none of the {len(names)} images decodes (first: {names[0]})")

    def blocks(self, names: list[str], shape: tuple[int, ...]) -> Iterator[npt.NDArray[np.uint8]]:
        """uint8 blocks (≤ BLOCK, channels, height, width) in the order of the names.

        Raises:
            InputError: images that do not decode (all are tried, then counted), or one with another size.
        """
        failed: list[str] = []
        for at in range(0, len(names), BLOCK):
            part = names[at : at + BLOCK]
            block: npt.NDArray[np.uint8] = np.zeros((len(part), *shape), dtype=np.uint8)
            for i, name in enumerate(part):
                try:
                    block[i] = self._decoded(name, shape)
                except (OSError, ValueError, SyntaxError) as error:
                    failed.append(f"{name} ({str(error).splitlines()[0][:80] if str(error) else 'damaged'})")
            yield block
        if failed:
            more = f", and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
            shown = ", ".join(failed[:SHOWN])
            raise InputError(
                f"{self._where}: {len(failed)} of {len(names)} images do not decode: {shown}{more}; repair or remove"
            )

    def _decoded(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        channels, height, width = shape
        with self._open(name) as image:
            if self._size is None and image.size != (width, height):
                raise InputError(
                    f"{self._where}: images have mixed sizes ({width}x{height} first, but {name} is "
                    f"{image.size[0]}x{image.size[1]}); set size, for example size: {min(width, height)}"
                )
            if channels == 1 and self._channels is None and image.mode not in GREY_MODES:
                raise InputError(
                    f"{self._where}: images are grey first, but {name} has colour; set channels: 1 or channels: 3"
                )
            return _pixels(image, self._size, channels)

    def _open(self, name: str) -> Image.Image:
        """The image with its header read and no pixel decoded.

        Raises:
            ValueError: too many pixels, or more than 8 bits each.
        """
        try:
            image: Image.Image = Image.open(BytesIO(self._entries.read(name)))
        except Image.DecompressionBombError:
            raise ValueError(f"more than {MAX_PIXELS} pixels") from None
        except UnidentifiedImageError:
            raise ValueError("not an image") from None
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width}x{image.height} pixels; at most {MAX_PIXELS} in all")
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"mode {image.mode}; 8 bits per channel are needed")
        return image


def _pixels(image: Image.Image, size: int | None, channels: int) -> npt.NDArray[np.uint8]:
    mode = MODES[channels]
    if size is not None and image.size != (size, size):
        image.draft(mode, (size, size))  # lets JPEG decode at a fraction of its resolution
        image = ImageOps.fit(image.convert(mode), (size, size), Image.Resampling.BILINEAR)
    pixels: npt.NDArray[Any] = np.asarray(image if image.mode == mode else image.convert(mode), dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
