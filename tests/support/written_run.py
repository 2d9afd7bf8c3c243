"""A made-up run with known interactions, written as a run folder with its report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from matrix_world import World, single
from threatloop.analysis.summary import summarise
from threatloop.report.machine import as_json
from threatloop.runs.folder import CURVES_SCHEMA, RECORDS_SCHEMA, write_run_folder

ATTACK, FIRST = "attack_infer", "poison"


def world(falling: bool = False) -> World:
    """Defences that help, hinder and do nothing, and chains that do."""
    cells = {("help", "infer"): single(4), ("shield", "infer"): single(-4), ("null", "infer"): single(0, 0.3)}
    chains = {"gift": (4.0, 2.0), "nothing": (0.0, 0.0)}
    return World(cells, np.random.default_rng(0), chains=chains, falling=falling)


def write(folder: Path, made: World, *, report: bool = True) -> Path:
    """The run folder of 14 seeds."""
    record, rows = made.record(14), made.rows(range(14))
    write_run_folder(folder, record, rows, CURVES_SCHEMA.empty_table(), RECORDS_SCHEMA.empty_table())
    if report:
        text = as_json(record, summarise(record, rows), (), (), {})
        (folder / "report.json").write_text(text, encoding="utf-8")
    return folder
