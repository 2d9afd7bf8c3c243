"""The page of the graph in a real browser: no message, no request, and everything works by mouse and by keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import driven, needs_browser, opened, requests_of
from threatloop.threats.exporters import export
from threatloop.threats.graph import ThreatGraph
from threatloop.threats.queries.coverage import coverage

ONE = "threat:membership-inference"

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with driven(tmp_path_factory.mktemp("profile"), "--window-size=1300,900") as driver:
        yield driver


@pytest.fixture
def page(browser: Any, graph: ThreatGraph, tmp_path: Path) -> Any:
    (path,) = export(graph, "html", tmp_path / "graph.html")
    opened(browser, path)
    return browser


def _number(page: Any, id_: str) -> int:
    nodes = "JSON.parse(document.getElementById('data').textContent).nodes"
    found: int = page.execute_script(f"return {nodes}.findIndex(n => n.id === arguments[0])", id_)
    return found


def _box(page: Any, id_: str) -> Any:
    return page.execute_script("return document.querySelectorAll('#nodes > .node')[arguments[0]]", _number(page, id_))


def _shown(page: Any, selector: str) -> int:
    seen = "e => getComputedStyle(e).display !== 'none'"
    script = f"return [...document.querySelectorAll(arguments[0])].filter({seen}).length"
    found: int = page.execute_script(script, selector)
    return found


def test_it_opens_without_a_message_or_a_request(page: Any) -> None:
    urls = requests_of(page)
    assert [url for url in urls if not url.startswith(("file://", "data:"))] == []
    assert page.get_log("browser") == []


def test_a_click_shows_what_a_node_is_and_what_it_stands_on(page: Any) -> None:
    _box(page, ONE).click()
    text = page.find_element("id", "details").text
    for word in ("Membership inference", ONE, "Was it a member?", "uses → (1)", "← amplifies (1)"):
        assert word in text, word
    assert "measured · -0.11 AUC [-0.2, -0.02], n = 12 · run r1" in text
    assert _shown(page, ".node.chosen") == 1
    assert _shown(page, ".edge.near") == 8
    page.find_element("css selector", "#details li button").click()
    assert page.execute_script("return document.querySelector('.node.chosen').getAttribute('aria-label')") != ""


def test_hostile_text_is_shown_as_text(page: Any) -> None:
    _box(page, "threat:hostile").click()
    assert "</script><script>alert(1)</script>" in page.find_element("id", "details").text
    assert page.execute_script("return document.querySelectorAll('#details script, #details b').length") == 0


def test_search_finds_names_ids_and_texts(page: Any) -> None:
    page.find_element("id", "search").send_keys("infer MEMBER")
    assert page.find_element("id", "count").text == "2 found"
    assert _shown(page, ".node.hit") == 2
    page.find_element("css selector", "#results button").click()
    assert page.find_element("css selector", "#details h2").text == "Membership inference"


def test_filters_hide_nodes_and_the_edges_between_them(page: Any, graph: ThreatGraph) -> None:
    before = _shown(page, "#edges > path")
    assert before == len(list(graph.edges()))
    page.find_element("css selector", "input[data-kind=stage]").click()
    assert _shown(page, "#nodes > .node") == len(graph) - 10
    assert _shown(page, "#edges > path") == before - 2
    page.find_element("css selector", "input[data-evidence=measured]").click()
    assert _shown(page, "#edges > path.v-measured") == 0
    page.find_element("css selector", "input[data-relation=uses]").click()
    assert _shown(page, "#edges > path") == before - 2 - 3 - 2


def test_it_works_by_keys_alone(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    body = page.find_element("tag name", "body")
    body.send_keys("/")
    assert page.execute_script("return document.activeElement.id") == "search"
    page.execute_script("document.querySelector('#nodes > .node[tabindex=\"0\"]').focus()")
    label = "return document.activeElement.getAttribute('aria-label')"
    start = page.execute_script(label)
    page.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    below = page.execute_script(label)
    assert below != start
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    assert page.execute_script(label).split(":")[0] != below.split(":")[0]
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert _shown(page, ".node.chosen") == 1
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert _shown(page, ".node.chosen") == 0
    assert page.execute_script("return document.querySelectorAll('#nodes > .node[tabindex=\"0\"]').length") == 1


def test_the_heat_map_opens_too(browser: Any, graph: ThreatGraph, tmp_path: Path) -> None:
    (path,) = export(graph, "heat-map", tmp_path / "map.html", coverage(graph, ["lira"]))
    browser.get_log("browser")
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.querySelectorAll('.heat td svg').length") > 3
    colour = "return getComputedStyle(document.querySelector('.s-measured')).fill"
    assert browser.execute_script(colour) == "rgb(47, 107, 79)"
