"""One requirement in the sense of PEP 508, and the addresses and paths that pip takes in its place."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.target import Target
from threatloop.supply_chain.result import Place

MAX_LENGTH: Final = 4_000
"""Characters of one requirement, without its hashes: parsers take quadratic time in white space."""
MAX_SPECIFIER: Final = 1_000
"""Characters of a version specifier that stands alone."""
_VARIABLE: Final = re.compile(r"\$\{[A-Z0-9_]+\}")
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def read_requirement(
    reading: Reading,
    text: str,
    place: Place,
    target: Target,
    *,
    group: str = "",
    hashes: tuple[str, ...] = (),
    extra: str = "",
) -> None:
    """Add what a requirement asks for; a broken one becomes an error, one for another environment is skipped.

    Args:
        reading: gets the dependency, the error or the reason.
        text: PEP 508, or an address or path as pip takes it.
        place: of the requirement.
        target: for its marker.
        group: see `Dependency`.
        hashes: see `Dependency`.
        extra: the extra whose requirement it is, for its marker.
    """
    text = text.strip()
    if len(text) > MAX_LENGTH:
        return reading.error(place.path, place.line, f"a requirement of {len(text):,} characters; not read")
    if (variable := _VARIABLE.search(text)) is not None:
        reason = f"{_short(text)}: the variable {variable.group()} is not filled in, so what it asks for is unknown"
        return reading.skip(place.path, place.line, reason)
    try:
        asked = Requirement(text)
    except RecursionError:
        return reading.error(place.path, place.line, f"no requirement: {_short(text)} (nested too deeply)")
    except InvalidRequirement as error:
        if _is_place(text):
            return _read_address(reading, text, place, group, hashes)
        reason = str(error).split("\n", 1)[0].strip()
        return reading.error(place.path, place.line, f"no requirement: {_short(text)} ({reason[:160]})")
    marker = str(asked.marker) if asked.marker else ""
    if marker and not _wanted(reading, _short(text), marker, place, target, extra):
        return None
    if asked.url:
        return _read_address(reading, asked.url, place, group, hashes, asked.name, marker)
    version, specifier = exact(str(asked.specifier))
    reading.dependencies.append(Dependency("PyPI", asked.name, place, version, specifier, marker, group, hashes))
    return None


def _wanted(reading: Reading, what: str, marker: str, place: Place, target: Target, extra: str) -> bool:
    try:
        if target.holds(marker, extra):
            return True
        reading.skip(place.path, place.line, f"{what}: not for {target.shown} ({marker[:120]})")
    except ValueError as error:
        reading.error(place.path, place.line, f"{what}: {error}")
    return False


def wanted(reading: Reading, what: str, marker: str, place: Place, target: Target) -> bool:
    """Whether a dependency with this marker counts in the target; if not, the reason is noted."""
    return not marker.strip() or _wanted(reading, what, marker, place, target, "")


def exact(specifier: str) -> tuple[str, str]:
    """A specifier as (version, ""), if it admits one version only, else as ("", specifier).

    Raises:
        ValueError: it is none in the sense of PEP 440.
    """
    if len(specifier) > MAX_SPECIFIER:
        raise ValueError(f"a version specifier of {len(specifier):,} characters")
    try:
        parts = SpecifierSet(specifier)
    except InvalidSpecifier:
        raise ValueError(f"no version specifier: {_short(specifier)}") from None
    for part in parts:
        if part.operator == "===" or (part.operator == "==" and not part.version.endswith(".*")):
            return part.version, ""
    return "", str(parts)


def _is_place(text: str) -> bool:
    """Whether pip would take it for an address or a path."""
    first = next(iter(text.split(";")[0].split()), "")
    path = first.startswith((".", "/", "~")) or "/" in first or "\\" in first
    return bool(_ADDRESS.match(first)) or path or first.lower().endswith(_ARCHIVES)


def _read_address(
    reading: Reading,
    address: str,
    place: Place,
    group: str,
    hashes: tuple[str, ...],
    name: str = "",
    marker: str = "",
) -> None:
    """A dependency on an address or a path: what its file name tells of name and version, else skipped."""
    shown = without_secrets(address)
    parts = urlsplit(address.split(" ;")[0].split(";")[0].strip())
    options = dict(pair.split("=", 1) for pair in parts.fragment.split("&") if "=" in pair)
    found_name, version = _from_file_name(unquote(parts.path.rsplit("/", 1)[-1]))
    name = name or options.get("egg", "").split("[")[0] or found_name
    own = tuple(f"{kind}:{options[kind]}" for kind in ("sha256", "sha384", "sha512") if kind in options)
    if name:
        found = Dependency("PyPI", name, place, version, "", marker, group, hashes or own, (), shown)
        reading.dependencies.append(found)
    if not version:
        what = f"{name} from {shown}" if name else shown
        reading.skip(place.path, place.line, f"{what}: its version is not known, so no advisory was compared")


def _from_file_name(file: str) -> tuple[str, str]:
    try:
        if file.endswith(".whl"):
            name, version, *_ = parse_wheel_filename(file)
            return name, str(version)
        if file.endswith((".tar.gz", ".zip")):
            name, version = parse_sdist_filename(file)
            return name, str(version)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        pass
    return "", ""


def without_secrets(address: str) -> str:
    """An address without user name, password and query, cut to 200 characters."""
    try:
        parts = urlsplit(address)
        host = parts.netloc.rsplit("@", 1)[-1]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))[:200]
    except ValueError:
        return address.rsplit("@", 1)[-1][:200]


def normal(name: str) -> str:
    """The name as PyPI compares it."""
    return canonicalize_name(name)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}…")
