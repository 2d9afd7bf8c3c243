"""Prints how a 36 dB mark survives every removal operator, and what an attacker who works on decoys would choose.

    python benchmarks/watermark.py [DATA_FOLDER] [--images 300] [--only digits,pneumoniamnist,cifar10] [--no-choice]
    python benchmarks/watermark.py [DATA_FOLDER] --matrix [--schemes ...] [--removals ...]

With --matrix: every scheme of the catalogue against every removal: the owner's z, whether the mark escapes at 1 % false
positives, PSNR to the original, and the notes that the removal left.

Digits are embedded; `pneumoniamnist.npz` and `cifar10_jpeg.zip` are read from DATA_FOLDER and skipped where absent.
z is the owner's evidence over the whole set (2.33 is the threshold at 1 % false positives), bits the payload accuracy,
PSNR is against the marked images.
"""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from threatloop.algorithms.decoy import choose_on_decoy, default_pipelines
from threatloop.algorithms.regeneration import train_denoiser
from threatloop.algorithms.removal import Pipeline, fit_erase_band
from threatloop.algorithms.watermark import HostStatistics, detect, embed, host_statistics
from threatloop.core.access import Ledger
from threatloop.core.assets import Dataset
from threatloop.core.bench import Bench, Resource
from threatloop.core.catalogue import ATTACKS, DEFENCES
from threatloop.core.errors import NotAssessable
from threatloop.core.protection import Detector, Marker, Registration
from threatloop.core.schema import ImageSchema
from threatloop.core.seeds import Streams

Images = NDArray[np.float32]
OWNER_KEY = b"the owner's key"


def digits(_: Path, count: int, rng: np.random.Generator) -> Images:
    pixels = (load_digits().data / 16).reshape(-1, 1, 8, 8)
    return np.asarray(pixels[rng.permutation(len(pixels))[:count]], dtype=np.float32)


def pneumoniamnist(folder: Path, count: int, rng: np.random.Generator) -> Images:
    with np.load(folder / "pneumoniamnist.npz", allow_pickle=False) as arrays:
        pixels = arrays["train_images"]
    return np.asarray(pixels[rng.permutation(len(pixels))[:count], None] / 255, dtype=np.float32)


def cifar10(folder: Path, count: int, rng: np.random.Generator) -> Images:
    with zipfile.ZipFile(folder / "cifar10_jpeg.zip") as archive:
        names = [name for name in archive.namelist() if "train/" in name and name.endswith(".jpg")]
        chosen = [names[i] for i in rng.permutation(len(names))[:count]]
        pixels = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in chosen]
    return np.asarray(np.stack(pixels).transpose(0, 3, 1, 2) / 255, dtype=np.float32)


READERS: dict[str, Callable[[Path, int, np.random.Generator], Images]] = {
    "digits": digits,
    "pneumoniamnist": pneumoniamnist,
    "cifar10": cifar10,
}


def psnr(a: Images, b: Images) -> float:
    return -10 * float(np.log10(max(float(((a - b) ** 2).mean()), 1e-10)))


def print_row(name: str, images: Images, marked: Images, reference: HostStatistics) -> None:
    found = detect(images, OWNER_KEY, reference)
    fidelity = min(psnr(images, marked), 99.0)
    print(f"  {name:34s} z {found.z_set:6.2f}   bits {found.bit_accuracy:4.2f}   PSNR {fidelity:5.1f}", flush=True)


def measure(name: str, images: Images, choose: bool) -> None:
    """One table: the set before any removal, under a wrong key, and after every operator of the attacker's grid."""
    clean, own, auxiliary = np.split(images, [len(images) // 4, len(images) // 2])
    reference = host_statistics(own)
    start = time.process_time()
    marked = embed(clean, OWNER_KEY, reference)
    seconds, distortion = time.process_time() - start, psnr(marked, clean)
    print(f"{name}: {len(clean)} images {clean.shape[1:]}, marked in {seconds * 1e3:.0f} ms at {distortion:.2f} dB")
    print_row("unmarked", clean, marked, reference)
    print_row("marked", marked, marked, reference)
    rng = np.random.default_rng(1)
    start = time.process_time()
    denoiser = train_denoiser(auxiliary, rng)
    print(f"  (denoiser trained in {time.process_time() - start:.1f} CPU seconds)")
    pipelines = default_pipelines(denoiser, fit_erase_band(auxiliary, host_statistics(auxiliary)))
    for pipeline in pipelines:
        print_row(pipeline.label, pipeline(marked, rng), marked, reference)
    if choose:
        print_choice(clean, marked, auxiliary, reference)


SCHEMES = ("spread_spectrum", "dwt_dct_svd", "learned_mark")
REMOVALS = (
    "compression",
    "denoising",
    "geometric",
    "regeneration=autoencoder",
    "regeneration=diffusion",
    "collusion",
    "watermark_removal",
    "detector_removal",
)


def records(images: Images) -> Dataset:
    _, channels, height, width = images.shape
    schema = ImageSchema(classes=("a", "b"), channels=channels, height=height, width=width)
    n = len(images)
    return Dataset(np.rint(images * 255).astype(np.uint8), np.zeros(n, np.int64), schema, np.arange(n))


def print_matrix(name: str, images: Images, schemes: Sequence[str], removals: Sequence[str]) -> None:
    """One line for each scheme and removal; a quarter of the images is marked, three quarters are the attacker's."""
    clean, pool = records(images[: len(images) // 4]), records(images[len(images) // 4 :])
    for scheme in schemes:
        marker = DEFENCES.load(scheme)()
        assert isinstance(marker, Marker)
        try:
            marked = marker.protect(clean, OWNER_KEY)
        except NotAssessable as reason:
            print(f"{name} {scheme}: not assessed, {reason}")
            continue
        found = marker.detect(marked, OWNER_KEY, clean)
        print(f"{name} {scheme}: z {found.z_set:.2f}, bits {found.bit_accuracy:.2f}, {distance(marked, clean):.1f} dB")
        for removal in removals:
            print_removal(removal, marker, marked, clean, pool)


def print_removal(removal: str, marker: Marker, marked: Dataset, clean: Dataset, pool: Dataset) -> None:
    row, _, generator = removal.partition("=")
    attack = ATTACKS.load(row)(**({"generator": generator} if generator else {}))
    ledger, start = Ledger(getattr(attack, "queries", None)), time.process_time()
    owner = Registration(OWNER_KEY, clean, marker)
    held = {Resource.QUERY_POOL: pool, Resource.PROTECTION: marker, Resource.DETECTOR: Detector(owner, ledger)}
    bench = Bench(Streams(1).child(row), held)
    result = attack.run(marked, bench).result
    found, seconds = marker.detect(result, OWNER_KEY, clean), time.process_time() - start
    notes = " ".join(f"{name} {value:.2f}" for name, value in bench.progress.notes.items())
    line = f"  {removal:26s} z {found.z_set:6.2f}   {'caught' if found.detected() else 'ESCAPES'}"
    print(f"{line}   PSNR {distance(result, clean):5.1f}   {seconds:5.1f} s   {notes}", flush=True)


def distance(a: Dataset, b: Dataset) -> float:
    first, second = (np.asarray(one.x / 255, dtype=np.float32) for one in (a, b))
    return psnr(first, second)


def print_choice(clean: Images, marked: Images, auxiliary: Images, reference: HostStatistics) -> None:
    start = time.process_time()
    choice = choose_on_decoy(auxiliary, len(clean), np.random.default_rng(2))
    trial, seconds = choice.trial, time.process_time() - start
    verdict = "removes the decoys" if choice.removed else "nothing removes the decoys; the strongest"
    print(f"  chosen in {seconds:.1f} CPU seconds ({verdict}): decoy z {trial.z_before:.2f} -> {trial.z_after:.2f}")
    pipeline: Pipeline = choice.pipeline
    print_row(pipeline.label, pipeline(marked, np.random.default_rng(3)), marked, reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path())
    parser.add_argument("--images", type=int, default=300, help="marked images (four times as many are read)")
    parser.add_argument("--only", default=",".join(READERS))
    parser.add_argument("--no-choice", action="store_true", help="skip the choice on decoys")
    parser.add_argument("--matrix", action="store_true", help="schemes against removals instead of operators")
    parser.add_argument("--schemes", default=",".join(SCHEMES))
    parser.add_argument("--removals", default=",".join(REMOVALS))
    arguments = parser.parse_args()
    for name in arguments.only.split(","):
        try:
            images = READERS[name](arguments.data, 4 * arguments.images, np.random.default_rng(0))
        except FileNotFoundError as error:
            print(f"{name}: skipped, {error.filename} is absent")
            continue
        if arguments.matrix:
            print_matrix(name, images, arguments.schemes.split(","), arguments.removals.split(","))
        else:
            measure(name, images, not arguments.no_choice)


if __name__ == "__main__":
    main()
