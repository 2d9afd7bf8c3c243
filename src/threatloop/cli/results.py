"""The results table of a run for a terminal of 100 columns."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from threatloop.analysis.findings import Figure
from threatloop.analysis.index import REFUSED
from threatloop.analysis.summary import Summary
from threatloop.core.measurement import RunRecord
from threatloop.numerics.undefined import Undefined
from threatloop.report import numbers
from threatloop.report.score_view import caveats, shown
from threatloop.report.words import against_baseline

ORDER = ("D→D", "D→M", "M→M", "M→D")


def results_table(record: RunRecord, summary: Summary) -> Table:
    """The headline figure of every step of every scenario, by direction and metric."""
    title = escape(record.name) + f": {numbers.count(record.seeds, 'seed')}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("scenario", "target"):
        table.add_column(column, overflow="fold")
    for column in ("value [95 %]", "baseline"):
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    headlines = [figure for figure in summary.figures if figure.headline]
    group = ""
    for figure in sorted(headlines, key=lambda f: (ORDER.index(f.direction), f.metric, f.scenario, f.step, f.target)):
        if group != (group := f"{figure.direction} {figure.metric}"):
            table.add_section()
            table.add_row(f"[bold]{group}[/]")
        table.add_row(*(escape(text) for text in _row(record, figure)))
    return table


def score_lines(summary: Summary) -> list[str]:
    """The composite score of every target, always as a range where a direction was not assessed."""
    lines = []
    for score in summary.scores:
        known = [one for one in score.directions if not isinstance(one.risk.mean, Undefined)]
        parts = ", ".join(f"{one.direction} {numbers.number(one.risk.mean, 2)}" for one in known)
        lines.append(
            f"[bold]score {escape(score.target)}[/]: " + escape(f"{shown(score)}" + f" ({parts})" * bool(parts))
        )
        lines += [escape(f"  {caveat}") for caveat in caveats(score)]
    return lines


def _row(record: RunRecord, figure: Figure) -> tuple[str, ...]:
    note = record.metrics.get(figure.metric)
    unit = note.unit if note else ""
    where = figure.scenario if figure.steps == 1 else f"{figure.scenario} {figure.step}/{figure.steps}"
    gate = " (refused by the gate)" if figure.gate == REFUSED else ""
    if isinstance(figure.value.mean, Undefined):
        value = str(figure.value.mean)
    elif figure.value.n == 1:
        value = numbers.mean(figure.value, unit)
    else:
        value = numbers.with_interval(figure.value, unit)
    baseline = "–" if isinstance(figure.baseline.mean, Undefined) else numbers.mean(figure.baseline, unit)
    words = against_baseline(figure)
    return f"  {where}{gate}", figure.target, value, baseline, f"{words.mark} {words.phrase}"
