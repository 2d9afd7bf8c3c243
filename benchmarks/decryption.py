"""Prints what every attack on an encoding recovers: SSIM, PSNR and what the recovered images are worth for training.

    python benchmarks/decryption.py [DATA_FOLDER] [--images 1000] [--only cifar10] [--accuracy] [--cases N]

`pneumoniamnist.npz` and `cifar10_jpeg.zip` are read from DATA_FOLDER and skipped where absent. The owner encodes so
many images; the attacker has as many others. `encoded` is the SSIM of the encoded images, `average` that of the
average of the attacker's own images of the same class. Accuracies are of the default network, trained on the recovered
images and tested on plain ones, beside the owner's on his originals and that of training and testing on encodings.
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from threatloop.algorithms.fit import fit
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.protection import Encoding
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams
from threatloop.modality import of
from threatloop.models.defaults import default_architecture, default_recipe
from threatloop.models.responder import LocalResponder
from threatloop.numerics.image_quality import psnr, ssim

KEY, STREAMS = b"the owner's key.", Streams(0, ("benchmark",))
TEST = 600
PER_IMAGE = 300
CASES: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("block_scramble", {}, ("known_plaintext", "jigsaw")),
    ("etc", {}, ("known_plaintext", "jigsaw")),
    ("pixel_encryption", {}, ("known_plaintext", "jigsaw")),
    ("etc", {"per_image": True}, ("known_plaintext", "jigsaw")),
    ("pixel_encryption", {"per_image": True}, ("known_plaintext", "jigsaw")),
    ("instahide", {"mixed": 2, "partners": 20}, ("known_plaintext", "instahide_decoding")),
    ("instahide", {"mixed": 2}, ("known_plaintext", "instahide_decoding")),
    ("instahide", {}, ("known_plaintext", "instahide_decoding")),
)


def pneumoniamnist(folder: Path, count: int, rng: np.random.Generator) -> Dataset:
    with np.load(folder / "pneumoniamnist.npz", allow_pickle=False) as arrays:
        x, y = arrays["train_images"][:, None], arrays["train_labels"].reshape(-1)
    rows = rng.permutation(len(x))[:count]
    return _dataset(x[rows], y[rows])


def cifar10(folder: Path, count: int, rng: np.random.Generator) -> Dataset:
    with zipfile.ZipFile(folder / "cifar10_jpeg.zip") as archive:
        names = sorted(name for name in archive.namelist() if "train/" in name and name.endswith(".jpg"))
        chosen = [names[i] for i in rng.permutation(len(names))[:count]]
        pixels = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in chosen]
    labels = np.unique([name.split("/")[-2] for name in chosen], return_inverse=True)[1]
    return _dataset(np.stack(pixels).transpose(0, 3, 1, 2), labels)


def _dataset(x: Any, y: Any) -> Dataset:
    channels, height, width = x.shape[1:]
    classes = tuple(str(c) for c in range(int(y.max()) + 1))
    schema = ImageSchema(classes=classes, channels=channels, height=height, width=width)
    return Dataset(np.ascontiguousarray(x), np.asarray(y, np.int64), schema, np.arange(len(x)))


READERS: dict[str, Callable[[Path, int, np.random.Generator], Dataset]] = {
    "pneumoniamnist": pneumoniamnist,
    "cifar10": cifar10,
}


def accuracy(train: Dataset, test: Dataset) -> float:
    """Of the default network on the test records."""
    architecture = default_architecture(train.schema)
    recipe = default_recipe(train.schema, architecture, len(train))
    answers = LocalResponder(fit(architecture, train, recipe, STREAMS), "cpu").log_probs(test.x)
    return float((answers.argmax(axis=1) == test.y).mean())


def quality(found: Dataset, original: Dataset) -> tuple[float, float]:
    """Mean SSIM, and PSNR of the pooled error in dB."""
    a, b = (of(one.schema).watermark_view(one.x, one.schema) for one in (found, original))
    pooled = psnr(a.reshape(1, 1, -1, a.shape[-1]), b.reshape(1, 1, -1, b.shape[-1]))
    return float(ssim(a, b).mean()), float(pooled[0])


def measure(name: str, data: Dataset, images: int, train: bool, most: int) -> None:
    original, pool, test = (
        data.take(slice(i, j)) for i, j in ((0, images), (images, 2 * images), (2 * images, 2 * images + TEST))
    )
    average = ATTACKS.load("class_average")().run(original, Bench(STREAMS, {Resource.QUERY_POOL: pool})).result
    holder = f", key holder's accuracy {accuracy(original, test):.3f}" if train else ""
    print(f"\n{name}: {images} images, {images} of the attacker's; average {quality(average, original)[0]:.3f}{holder}")
    for scheme, parameters, attacks in CASES[:most]:
        protection = DEFENCES.load(scheme).model_validate(parameters)
        assert isinstance(protection, Encoding)
        # A key per image is attacked image by image, which takes long and says the same of fewer.
        owned = original.take(slice(0, PER_IMAGE)) if parameters.get("per_image") else original
        coded = protection.protect(owned, KEY)
        as_is = f" as is {accuracy(coded, protection.protect(test, KEY)):.3f}" if train else ""
        print(
            f"  {scheme} {parameters or ''}, {len(owned)} images: encoded {quality(coded, owned)[0]:.3f}{as_is}",
            flush=True,
        )
        held = {
            Resource.PROTECTION: protection,
            Resource.QUERY_POOL: pool,
            Resource.KNOWN_PAIRS: (pool, protection.protect(pool, KEY)),
        }
        for attack in (ATTACKS.load(row)() for row in attacks):
            start = time.process_time()
            declared = {resource: held[resource] for resource in attack.info.resources}
            found = attack.run(coded, Bench(STREAMS.child(name), declared)).result
            seconds, (similar, decibels) = time.process_time() - start, quality(found, owned)
            worth = f"  accuracy {accuracy(found, test):.3f}" if train else ""
            row = ATTACKS.name_of(type(attack))
            print(f"    {row:20s} SSIM {similar:.3f}  PSNR {decibels:6.2f} dB{worth}  {seconds:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path())
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--only", default=",".join(READERS))
    parser.add_argument("--accuracy", action="store_true", help="train on what was recovered, too")
    parser.add_argument("--cases", type=int, default=len(CASES), help="only so many of the encodings, in order")
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        try:
            data = READERS[name](arguments.data, 2 * arguments.images + TEST, np.random.default_rng(0))
        except FileNotFoundError as error:
            print(f"{name}: skipped, {error.filename} is absent")
            continue
        measure(name, data, arguments.images, arguments.accuracy, arguments.cases)


if __name__ == "__main__":
    main()
