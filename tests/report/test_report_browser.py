"""The report opened in a real browser: no console message, no request, no sideways scrolling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic import default_run, default_summary

from browsers import driven, needs_browser, opened, requests_of
from threatloop.report.build import build

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    report = build(default_run().write(tmp_path_factory.mktemp("browser") / "run"), summary=default_summary())
    with driven(tmp_path_factory.mktemp("profile")) as driver:
        opened(driver, report)
        yield driver


def test_it_opens_without_a_message_or_a_request(browser: Any) -> None:
    urls = requests_of(browser)
    assert any(url.startswith("file://") and url.endswith("report.html") for url in urls)
    assert [url for url in urls if not url.startswith(("file://", "data:"))] == []
    assert sum(url.startswith("file://") for url in urls) == 1
    assert browser.get_log("browser") == []


def test_everything_drawn_is_there(browser: Any) -> None:
    count = "return document.querySelectorAll(arguments[0]).length"
    assert browser.execute_script(count, ".loop svg path[marker-end]") == 12
    assert browser.execute_script(count, "script") == 0
    assert browser.execute_script("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.execute_script("return getComputedStyle(document.images[0]).imageRendering") == "pixelated"
    assert "attacker gains" in browser.find_element("id", "opening").text


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_width_of_the_screen(browser: Any, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_sections_fold(browser: Any) -> None:
    find = "const d = document.getElementById('chains');"
    fold = "const height = d.offsetHeight; d.open = false; return [height, d.offsetHeight]"
    before, after = browser.execute_script(f"{find} {fold}")
    assert after < before / 4


def test_a_threat_behind_a_finding_is_opened(browser: Any) -> None:
    name = browser.execute_script(
        "const a = document.querySelector('#findings a[href^=\"#threat:\"]'); a.click(); return a.hash.slice(1)"
    )
    height = "return document.getElementById(arguments[0]).getBoundingClientRect().height"
    assert browser.execute_script(height, name) > 0


def test_the_folder_holds_just_what_was_built(tmp_path: Path) -> None:
    path = default_run().write(tmp_path / "run")
    before = {p.name for p in path.iterdir()}
    build(path, summary=default_summary())
    assert {p.name for p in path.iterdir()} - before == {"report.html", "report.json", "junit.xml"}
