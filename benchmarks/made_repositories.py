"""Repositories with realistic manifests, made from a seed: the same names, formats and sizes for every run."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

from threatloop.threats.advisories import AdvisorySet

INDEX = "https://index.example/all"
"""Of no real place."""
POPULAR = [
    "numpy",
    "scipy",
    "pandas",
    "torch",
    "tensorflow",
    "keras",
    "transformers",
    "scikit-learn",
    "pillow",
    "requests",
    "urllib3",
    "pyyaml",
    "jinja2",
    "flask",
    "django",
    "fastapi",
    "starlette",
    "aiohttp",
    "gradio",
    "mlflow",
    "ray",
    "lightgbm",
    "onnx",
    "paddlepaddle",
    "langchain",
    "llama-index",
    "jupyterlab",
    "notebook",
    "ipython",
    "nltk",
    "joblib",
    "protobuf",
    "grpcio",
    "cryptography",
    "certifi",
    "werkzeug",
    "sqlalchemy",
    "lxml",
    "opencv-python",
    "dask",
    "tornado",
    "gunicorn",
    "twisted",
    "paramiko",
    "pydantic",
    "rsa",
    "idna",
    "mistune",
    "bleach",
    "setuptools",
    "wheel",
    "pip",
    "markdown",
    "pygments",
    "httpx",
]
"""Packages of machine-learning projects; most of them have advisories."""
SUFFIXES = ("utils", "core", "client", "tools", "plugin", "ext", "api", "lite", "kit", "io")


@dataclass(frozen=True)
class Pin:
    """One package of a repository, in one version, and what it needs."""

    name: str
    version: str
    needs: tuple[str, ...]

    @property
    def digests(self) -> list[str]:
        """Made-up SHA-256 of the package's files: one source distribution and some wheels."""
        count = 2 + int(hashlib.sha256(self.name.encode()).hexdigest()[0], 16) // 2
        return [hashlib.sha256(f"{self.name}{self.version}{place}".encode()).hexdigest() for place in range(count)]


class Maker:
    """Draws repositories.

    Args:
        advisories: known versions of the popular packages come from their lists.
        seed: of everything.
    """

    def __init__(self, advisories: AdvisorySet, seed: int) -> None:
        self._draw = random.Random(seed)
        self._versions = {name: _versions(advisories, name) for name in POPULAR}
        others = sorted(name for _, name in advisories.packages() if name not in POPULAR)
        self._versions |= {name: found for name in others if (found := _versions(advisories, name))}
        self._named = [name for name in self._versions if name not in POPULAR]

    def repository(self, folder: Path) -> int:
        """Write one repository; how many packages it has: 5 to 300, half of them below about 35."""
        draw = self._draw
        count = min(300, max(5, round(draw.lognormvariate(3.5, 0.9))))
        pins = self._pins(count)
        folder.mkdir(parents=True)
        for write in draw.choices(list(FORMATS), list(FORMATS.values()), k=draw.choices((1, 2, 3), (60, 30, 10))[0]):
            write(folder, pins, draw)
        (folder / "README.md").write_text("# made up\n", encoding="utf-8")
        return count

    def _pins(self, count: int) -> list[Pin]:
        draw = self._draw
        names = dict.fromkeys(draw.sample(POPULAR, min(len(POPULAR), count // 2)))
        while len(names) < count:
            if draw.random() < 0.15:
                names.setdefault(draw.choice(self._named))
            else:
                names.setdefault(f"lib{draw.randrange(4000)}-{draw.choice(SUFFIXES)}")
        order = list(names)
        return [self._pin(name, order[place + 1 :]) for place, name in enumerate(order)]

    def _pin(self, name: str, later: list[str]) -> Pin:
        draw = self._draw
        known = self._versions.get(name) or ["1.0.0", "1.1.0", "2.0.3", "2.1.0"]
        # Projects use rather new versions: the newest third four times as often as the rest.
        version = draw.choice(known[-max(1, len(known) // 3) :] if draw.random() < 0.8 else known)
        return Pin(name, version, tuple(draw.sample(later, min(len(later), draw.randrange(4)))))


def _versions(advisories: AdvisorySet, name: str) -> list[str]:
    found = set()
    for _, affected in advisories.of("PyPI", name):
        events = (event.version for one in affected.ranges if one.type != "GIT" for event in one.events)
        for text in (*affected.versions, *events):
            try:
                found.add(Version(text))
            except InvalidVersion:
                continue
    return [str(one) for one in sorted(found) if one.release != (0,)]


def _hashes(pin: Pin) -> str:
    return ", ".join(
        f'{{file = "{pin.name}-{place}.whl", hash = "sha256:{one}"}}' for place, one in enumerate(pin.digests)
    )


def _requirements(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    lines = ["# made up"]
    for pin in pins:
        form = draw.choices(("{0}=={1}", "{0}>={1}", "{0}", "{0}=={1} ; python_version >= '3.8'"), (60, 20, 10, 10))[0]
        lines.append(form.format(pin.name, pin.version))
    half = len(lines) // 2 if draw.random() < 0.3 else 0
    if half:
        (folder / "requirements").mkdir(exist_ok=True)
        _write(folder / "requirements" / "base.txt", "\n".join(lines[:half]))
    _write(folder / "requirements.txt", "\n".join(["-r requirements/base.txt"] * bool(half) + lines[half:]))


def _hashed(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    del draw
    rows = (
        f"{pin.name}=={pin.version} \\\n" + " \\\n".join(f"    --hash=sha256:{one}" for one in pin.digests)
        for pin in pins
    )
    _write(folder / "requirements-lock.txt", "\n".join(rows))


def _poetry(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    top = draw.sample(list(pins), max(1, len(pins) // 4))
    wishes = "\n".join(f'{pin.name} = "^{pin.version}"' for pin in top)
    _write(
        folder / "pyproject.toml",
        f'[tool.poetry]\nname = "made"\n[tool.poetry.dependencies]\npython = "^3.9"\n{wishes}',
    )
    rows = []
    for pin in pins:
        needs = "".join(f'{other} = "*"\n' for other in pin.needs)
        part = f"\n[package.dependencies]\n{needs}" if needs else ""
        rows.append(
            f'[[package]]\nname = "{pin.name}"\nversion = "{pin.version}"\ndescription = ""\noptional = false\n'
            f'python-versions = ">=3.9"\ngroups = ["main"]\nfiles = [{_hashes(pin)}]\n{part}'
        )
    _write(folder / "poetry.lock", "\n".join(rows) + '\n[metadata]\nlock-version = "2.1"\n')


def _uv(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    top = draw.sample(list(pins), max(1, len(pins) // 4))
    listed = ", ".join(f'"{pin.name}>={pin.version}"' for pin in top)
    _write(folder / "pyproject.toml", f'[project]\nname = "made"\nversion = "1"\ndependencies = [{listed}]\n')
    needs = "".join(f'    {{ name = "{pin.name}" }},\n' for pin in top)
    rows = [
        'version = 1\nrequires-python = ">=3.9"\n\n[[package]]\nname = "made"\nversion = "1"\n'
        f'source = {{ virtual = "." }}\ndependencies = [\n{needs}]\n'
    ]
    for pin in pins:
        below = "".join(f'    {{ name = "{other}" }},\n' for other in pin.needs)
        wheels = "".join(
            f'    {{ url = "https://example.org/{pin.name}-{place}.whl", hash = "sha256:{one}", size = 1000, '
            f'upload-time = "2024-01-0{1 + place % 9}T00:00:00Z" }},\n'
            for place, one in enumerate(pin.digests)
        )
        rows.append(
            f'[[package]]\nname = "{pin.name}"\nversion = "{pin.version}"\n'
            f'source = {{ registry = "{INDEX}" }}\n'
            f"dependencies = [\n{below}]\nwheels = [\n{wheels}]\n"
        )
    _write(folder / "uv.lock", "\n".join(rows))


def _pipenv(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    wishes = "\n".join(f'{pin.name} = "*"' for pin in draw.sample(list(pins), max(1, len(pins) // 3)))
    source = f'[[source]]\nurl = "{INDEX}"\nname = "pypi"\n'
    _write(folder / "Pipfile", f"{source}\n[packages]\n{wishes}\n")
    default = {
        pin.name: {"version": f"=={pin.version}", "hashes": [f"sha256:{one}" for one in pin.digests]} for pin in pins
    }
    _write(folder / "Pipfile.lock", json.dumps({"_meta": {}, "default": default, "develop": {}}, indent=4))


def _conda(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    conda = [f"  - {pin.name}={pin.version}" for pin in pins[: len(pins) // 2]]
    pip = [f"    - {pin.name}{draw.choice(('==', '>='))}{pin.version}" for pin in pins[len(pins) // 2 :]]
    rows = [
        "name: made",
        "channels: [conda-forge]",
        "dependencies:",
        "  - python=3.10",
        *conda,
        "  - pip",
        "  - pip:",
        *pip,
    ]
    _write(folder / "environment.yml", "\n".join(rows))


def _setup(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    listed = ",\n        ".join(
        f'"{pin.name}>={pin.version}"' for pin in draw.sample(list(pins), max(1, len(pins) // 3))
    )
    call = f"setup(\n    name='made',\n    install_requires=[\n        {listed},\n    ],\n)\n"
    _write(folder / "setup.py", f"from setuptools import setup\n\n{call}")


def _sbom(folder: Path, pins: Sequence[Pin], draw: random.Random) -> None:
    del draw
    parts = [
        {"type": "library", "name": pin.name, "version": pin.version, "purl": _purl(pin), "bom-ref": pin.name}
        for pin in pins
    ]
    graph = [{"ref": pin.name, "dependsOn": list(pin.needs)} for pin in pins]
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": parts, "dependencies": graph}
    _write(folder / "bom.json", json.dumps(bill, indent=2))


def _purl(pin: Pin) -> str:
    return f"pkg:pypi/{pin.name}@{pin.version}"


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


FORMATS: dict[Callable[[Path, Sequence[Pin], random.Random], None], int] = {
    _requirements: 50,
    _hashed: 5,
    _poetry: 12,
    _uv: 10,
    _pipenv: 5,
    _conda: 10,
    _setup: 12,
    _sbom: 3,
}
"""How a repository's manifests are written, and how often."""
