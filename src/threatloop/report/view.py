"""Everything the templates need, arranged by section. Nothing here is HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import yaml

from threatloop.analysis.chains import ArmValue, Enablement, Gate
from threatloop.analysis.findings import Figure
from threatloop.analysis.laps import LoopGain
from threatloop.analysis.summary import DIRECTIONS, Summary
from threatloop.analysis.thresholds import ThresholdResult
from threatloop.core.measurement import ORACLE, GalleryItem, MetricNote, RunRecord
from threatloop.report.advice_view import AdvicePanel
from threatloop.report.folds import Fold, direction_of, folds
from threatloop.report.loop_view import Drawing, drawings
from threatloop.report.notices import Grouped, Reason, by_reason, grouped
from threatloop.report.plots import Plot, plots, sweep_plots
from threatloop.report.score_view import ScorePanel, panels
from threatloop.report.texts_view import Shown, TextAlbum, text_albums
from threatloop.report.words import DIRECTION_WORDS, Sentence, against_baseline, opening
from threatloop.runs.folder import RunFolder, gallery_file
from threatloop.runs.images import blurred, fingerprint, opened

ENLARGED: Final = 6
"""Most screen pixels per pixel of a small image."""
_STAGES: Final = (
    *("original", "nearest_member", "protected", "marked", "adversarial", "attacked"),
    *("recovered", "difference", "held_class_mean"),
)
"""Order in which pictures stand side by side: what was, what became of it, what to compare with."""
CAPTIONS: Final = {
    "original": "Original",
    "nearest_member": "Nearest training record",
    "protected": "Under the owner's protection",
    "marked": "Under the owner's mark",
    "adversarial": "Adversarial",
    "attacked": "After the attack",
    "recovered": "Recovered",
    "difference": "Difference (grey: none; stretched)",
    "held_class_mean": "Baseline: mean of the attacker's own records of the class",
}
MOST_FINDINGS, FIRST_FINDINGS = 16, 12
MOST_FIGURES: Final = 60
"""Rows up to which the tables of figures stand open."""
MOST_ALBUMS, FIRST_ALBUMS = 8, 3
MOST_PLOTS, FIRST_PLOTS = 12, 6
GRID_WIDTH: Final = 360
"""Screen pixels across a grid, so that three stand side by side."""


@dataclass(frozen=True)
class ChainView:
    """One chain on one target."""

    target: str
    scenario: str
    figures: tuple[Figure, ...]
    gates: tuple[Gate, ...]
    stopped: Gate | None
    oracle: tuple[ArmValue, ...]
    enablements: tuple[Enablement, ...]
    arms: tuple[ArmValue, ...]
    loops: tuple[LoopGain, ...]


@dataclass(frozen=True)
class Picture:
    """A gallery grid as embedded."""

    item: GalleryItem
    uri: str
    width: int
    height: int
    hidden: bool
    digest: str


@dataclass(frozen=True)
class Album:
    """Pictures shown side by side."""

    target: str
    scenario: str
    lap: int
    seed: int
    pictures: tuple[Picture, ...]

    @property
    def long(self) -> bool:
        """Whether pictures of several steps are here."""
        return len({picture.item.step for picture in self.pictures}) > 1

    @property
    def rows(self) -> tuple[tuple[Picture, ...], ...]:
        """The pictures of one step and arm side by side."""
        return tuple(tuple(row) for _, row in groupby(self.pictures, lambda p: (p.item.step, p.item.arm)))


@dataclass(frozen=True)
class Page:
    """The whole report."""

    record: RunRecord
    summary: Summary
    opening: tuple[Sentence, ...]
    scores: tuple[ScorePanel, ...]
    drawings: tuple[Drawing, ...]
    directions: tuple[tuple[str, str, tuple[Figure, ...]], ...]
    findings: tuple[Figure, ...]
    worst: tuple[Figure, ...]
    others: tuple[Fold[Figure], ...]
    calm: tuple[Figure, ...]
    chains: tuple[ChainView, ...]
    albums: tuple[Fold[Album], ...]
    texts: tuple[Fold[TextAlbum], ...]
    plots: tuple[Fold[Plot], ...]
    errors: tuple[Reason, ...]
    not_assessed: tuple[Reason, ...]
    checks: tuple[Grouped, ...]
    thresholds: tuple[ThresholdResult, ...]
    spec: str
    advice: tuple[AdvicePanel, ...] = ()

    def note(self, metric: str) -> MetricNote:
        """Title, unit, worst case and margin of a metric."""
        unknown = MetricNote(title=metric, unit="", worst=None, margin=0.05, meaning="")
        return self.summary.notes.get(metric) or self.record.metrics.get(metric, unknown)

    @property
    def open_tables(self) -> bool:
        """Whether the tables of figures are short enough to be read at once."""
        return len(self.summary.figures) <= MOST_FIGURES

    @staticmethod
    def caption(name: str) -> str:
        """What a picture shows."""
        return CAPTIONS.get(name, name.replace("_", " "))

    def title(self, attack: str) -> str:
        """The attack's standard name."""
        return str(self.record.attacks.get(attack, {}).get("title", attack))


def page(folder: RunFolder, summary: Summary, thresholds: Sequence[ThresholdResult], shown: Shown) -> Page:
    """Arrange a run for the templates.

    Raises:
        InputError: a gallery image is missing or unreadable.
    """
    record = folder.record
    titles = {name: str(about.get("title", name)) for name, about in record.attacks.items()}
    findings = sorted((f for f in summary.figures if f.headline), key=_alarm)
    alarming = [f for f in findings if against_baseline(f).style != "none"]
    worst = alarming if len(alarming) <= MOST_FINDINGS else alarming[:FIRST_FINDINGS]
    units = {name: note.unit for name, note in summary.notes.items()}
    charts = (*sweep_plots(summary.sweeps, units), *plots(folder.curves))

    def direction(of: Album | Plot | TextAlbum) -> str:
        return direction_of(record, of.scenario)

    return Page(
        record=record,
        summary=summary,
        opening=tuple(opening(record, summary)),
        scores=panels(record, summary.scores),
        drawings=tuple(drawings(record, summary)),
        directions=tuple(
            (d, DIRECTION_WORDS[d], tuple(f for f in summary.figures if f.direction == d)) for d in DIRECTIONS
        ),
        findings=tuple(findings),
        worst=tuple(worst),
        others=folds(alarming[len(worst) :], lambda f: f.direction, lambda f: f.metric, 0, 0),
        calm=tuple(f for f in findings if against_baseline(f).style == "none"),
        chains=tuple(_chains(summary)),
        albums=folds(_albums(folder, shown.records), direction, _stages, MOST_ALBUMS, FIRST_ALBUMS),
        texts=folds(text_albums(folder, shown), direction, lambda one: one.target, MOST_ALBUMS, FIRST_ALBUMS),
        plots=folds(charts, direction, _drawn, MOST_PLOTS, FIRST_PLOTS),
        errors=by_reason(record.errors, titles),
        not_assessed=by_reason(record.not_assessed, titles),
        checks=grouped(record.self_checks),
        thresholds=tuple(thresholds),
        spec=yaml.safe_dump(record.spec, sort_keys=False, allow_unicode=True),
    )


def _alarm(figure: Figure) -> float:
    risk = figure.risk.mean
    return -risk if isinstance(risk, float) else 1.0


def _stages(album: Album) -> tuple[str, ...]:
    return tuple(picture.item.name for picture in album.pictures)


def _drawn(plot: Plot) -> tuple[str, ...]:
    return plot.target, plot.metric, plot.curve


def _chains(summary: Summary) -> list[ChainView]:
    places = dict.fromkeys((f.target, f.scenario) for f in summary.figures if f.steps > 1)
    return [_chain(summary, *place) for place in places]


def _chain(summary: Summary, target: str, scenario: str) -> ChainView:
    gate = summary.gate(target, scenario)
    here = (target, scenario)
    arms = tuple(a for a in summary.arms if (a.target, a.scenario) == here and a.lap == 1)
    return ChainView(
        target,
        scenario,
        tuple(f for f in summary.figures if (f.target, f.scenario) == here and f.headline),
        tuple(g for g in summary.gates if (g.target, g.scenario) == here and g.lap == 1),
        gate if gate and gate.status == "stopped" else None,
        tuple(a for a in arms if a.arm == ORACLE),
        tuple(e for e in summary.enablements if (e.target, e.scenario) == here),
        arms,
        tuple(loop for loop in summary.loops if (loop.target, loop.scenario) == here),
    )


def _albums(folder: RunFolder, show_records: bool) -> list[Album]:
    # One seed shows what there is to see; the others only make the file heavy.
    groups: dict[tuple[str, str, int], list[GalleryItem]] = {}
    for item in folder.record.gallery:
        groups.setdefault((item.target, item.scenario, item.lap), []).append(item)
    albums = []
    for (target, scenario, lap), items in groups.items():
        seed = min(item.seed for item in items)
        shown = sorted((item for item in items if item.seed == seed), key=_turn)
        albums.append(Album(target, scenario, lap, seed, tuple(_picture(folder, i, show_records) for i in shown)))
    return albums


def _turn(item: GalleryItem) -> tuple[int, str, int, str]:
    """By step and arm; within them in the order in which a picture changes."""
    place = _STAGES.index(item.name) if item.name in _STAGES else len(_STAGES)
    return item.step, item.arm, place, item.name


def _picture(folder: RunFolder, item: GalleryItem, show_records: bool) -> Picture:
    file = gallery_file(folder.path, item.file)
    content = file.read_bytes()
    size = opened(content, str(file)).size
    public = folder.record.targets.get(item.target, {}).get("public") is True
    hidden = item.private and not public and not show_records
    shown = blurred(content, str(file)) if hidden else content
    uri = f"data:image/png;base64,{base64.b64encode(shown).decode('ascii')}"
    zoom = max(1, min(ENLARGED, GRID_WIDTH // size[0]))
    return Picture(item, uri, size[0] * zoom, size[1] * zoom, hidden, fingerprint(content))
