"""Package URLs and the ecosystems of advisories.

Specification: https://github.com/package-url/purl-spec (ECMA-427).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

_ECOSYSTEMS: Final[Mapping[str, str]] = {
    "pypi": "PyPI",
    "conda": "conda",
    "npm": "npm",
    "cargo": "crates.io",
    "gem": "RubyGems",
    "golang": "Go",
    "maven": "Maven",
    "nuget": "NuGet",
    "composer": "Packagist",
    "hex": "Hex",
    "pub": "Pub",
    "deb": "Debian",
    "apk": "Alpine",
    "githubactions": "GitHub Actions",
}
_JOINED_BY: Final[Mapping[str, str]] = {"maven": ":"}


def from_purl(purl: str) -> tuple[str, str, str]:
    """Ecosystem as OSV names it, name as its advisories write it, and version; the first empty where OSV has none.

    Raises:
        ValueError: it is no package URL.
    """
    kind, _, rest = purl.removeprefix("pkg:").lstrip("/").partition("/")
    if not purl.startswith("pkg:") or not kind or not rest:
        raise ValueError(f"no package URL: {purl[:80]!r}")
    rest = rest.split("#", 1)[0].split("?", 1)[0]
    path, at, version = rest.rpartition("@")
    if not at or not path or "/" in version:
        path, version = rest, ""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if not all(parts):
        raise ValueError(f"no package URL: {purl[:80]!r}")
    name = _JOINED_BY.get(kind.lower(), "/").join(parts)
    if kind.lower() in ("deb", "apk") and len(parts) > 1:
        name = parts[-1]
    return _ECOSYSTEMS.get(kind.lower(), ""), name, unquote(version)


def purl_type(ecosystem: str) -> tuple[str, str]:
    """The type of package URLs of an ecosystem, and what joins the parts of its names, empty where they have none."""
    kind = next((kind for kind, name in _ECOSYSTEMS.items() if name == ecosystem), "generic")
    return kind, "" if kind in ("pypi", "conda") else _JOINED_BY.get(kind, "/")
