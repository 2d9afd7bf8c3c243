"""How a scan calls the scanners of dependencies and of model files; a missing library is a reason, not a failure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threatloop.supply_chain.dependencies.components import Component, components
from threatloop.supply_chain.dependencies.installed import read_installed
from threatloop.supply_chain.dependencies.model import Dependency, Reading
from threatloop.supply_chain.dependencies.scan import read_manifests
from threatloop.supply_chain.dependencies.target import target
from threatloop.supply_chain.result import Place, Result, Skipped

NOT_COMPARED = "dependencies were read but compared with no advisories: give --advisories FILE, or --online"


@dataclass(frozen=True)
class Dependencies:
    """What the manifests say.

    Attributes:
        result: findings, errors, skipped, read.
        declared: every dependency.
        components: each package once, for bills of materials.
    """

    result: Result = field(default_factory=Result)
    declared: tuple[Dependency, ...] = ()
    components: tuple[Component, ...] = ()


def scan_manifests(
    files: Sequence[Path], roots: Sequence[Path], advisories: Path | None, online: bool, environment: bool
) -> Dependencies:
    """Read manifests that were found, and compare what they say with advisories.

    Args:
        files: manifests.
        roots: what was asked for; manifests may include files from these folders.
        advisories: an OSV zip or folder.
        online: ask the services of the network as well.
        environment: the packages of the running environment too.

    Raises:
        InputError: the advisories cannot be read.
    """
    aim = target()
    reading = Reading()
    reading.take([read_manifests(files, roots, aim)])
    if environment:
        reading.take([read_installed(aim)])
    result = reading.result()
    if advisories is not None:
        result += _compared(reading.dependencies, advisories)
    if online:
        from threatloop.supply_chain.online import match_online

        result += match_online(reading.dependencies)
    if advisories is None and not online and reading.dependencies:
        places = dict.fromkeys(one.place.path for one in reading.dependencies)
        result += Result(skipped=tuple(Skipped(Place(path), NOT_COMPARED) for path in places))
    return Dependencies(result, tuple(reading.dependencies), components(reading))


def _compared(dependencies: Sequence[Dependency], advisories: Path) -> Result:
    from threatloop.supply_chain.matching import Matcher
    from threatloop.threats.advisories import read_advisories
    from threatloop.threats.advisory_cache import default_folder

    matcher = Matcher(read_advisories(advisories, default_folder()))
    return matcher.problems() + matcher.match(dependencies)


def scan_models(paths: Iterable[Path]) -> Result:
    """Scan model files; the other scanners are started once for all of them."""
    from threatloop.supply_chain.model_files import scan_model_files

    return scan_model_files(paths)
