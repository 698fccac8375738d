"""The HTML report: what is on the page, and what a person can do there in a real browser."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from findings import FLOW, MISMATCH, NOTEBOOK, PADDED, REPORT, UNCLIPPED, Report, excerpts
from needed import needed

from rnnlint import engine
from rnnlint.commands.pages import pages_of
from rnnlint.diagnostic import Location, Notice, Span, Stage, TrailStep
from rnnlint.flow import Flow
from rnnlint.reporting.html import render
from rnnlint.reporting.html.markdown import html as from_markdown
from rnnlint.reporting.html.standing import stations
from rnnlint.reporting.style import PLAIN

CHECKOUT = Path(__file__).parent.parent
VOID = {"meta", "input"}


class Tree(HTMLParser):
    """Reads a page, and sees to it that every element is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            if name == "href" and (value or "").startswith("#"):
                self.targets.append((value or "")[1:])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)


def article_report(folder: Path) -> engine.Outcome:
    """The report on a project of three programs, with the pages of its rules."""
    shutil.copytree(CHECKOUT / "fixtures" / "article", folder / "article")
    outcome = engine.check(engine.Request(cwd=str(folder), isolated=True, no_cache=True))
    rules = pages_of((each.code for each in outcome.diagnostics), ())
    return msgspec.structs.replace(outcome, rules=rules)


@pytest.fixture(scope="module")
def article(tmp_path_factory: pytest.TempPathFactory) -> str:
    return render(article_report(tmp_path_factory.mktemp("article")), PLAIN)


# --- what is on the page ---------------------------------------------------


@pytest.mark.parametrize("report", [REPORT, Report(), Report((MISMATCH,))])
def test_a_page_is_well_formed_and_its_links_lead_somewhere(report: Report) -> None:
    tree = Tree(render(report, PLAIN))
    assert len(set(tree.ids)) == len(tree.ids)
    assert set(tree.targets) <= set(tree.ids)


def test_the_page_of_a_project_is_well_formed(article: str) -> None:
    tree = Tree(article)
    assert len(set(tree.ids)) == len(tree.ids)
    assert set(tree.targets) <= set(tree.ids)
    assert "rule-RNN101" in tree.ids


def test_a_page_needs_nothing_beside_itself(article: str) -> None:
    tree = Tree(article)
    loading = {(tag, name) for tag, name, _ in tree.attributes if name in ("src", "srcset", "data")}
    assert not loading
    assert "link" not in {tag for tag, _, _ in tree.attributes}
    styles = re.search(r"<style>(.*?)</style>", article, re.DOTALL)
    assert styles is not None
    assert "url(" not in styles[1]
    assert "@import" not in styles[1]
    assert "default-src 'none'" in article


def test_findings_keep_their_order_and_say_all_there_is() -> None:
    words = " ".join(Tree(render(REPORT, PLAIN)).words)
    places = [words.index(each.message[1:]) for each in REPORT.diagnostics]
    assert places == sorted(places)
    for said in (
        "pads the sequences of a batch",
        "Build the layer with batch_first=True.",
        "15 in 100 were about mixed-up axes",
        "explore.ipynb:cell 2:1",
        "legacy/latin.py",
        "rnnlint check --fix --unsafe-fixes --select RNN104",
    ):
        assert said in words


def test_what_is_meant_is_marked() -> None:
    page = render(Report((MISMATCH,), excerpts=excerpts()), PLAIN)
    marked = re.findall(r"<mark>(.*?)</mark>", page)
    assert marked == [
        "pad_sequence(sequences, batch_first=True)",
        "model(ids, lengths)",
        "self.lstm(embedded)",
    ]


def test_nothing_in_the_source_becomes_markup() -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'\x1b[2J"
    span = Span(f"{hostile}.py", Location(1, 1), Location(1, 9))
    found = msgspec.structs.replace(
        MISMATCH,
        span=span,
        message=hostile,
        help=f"{hostile}\n  {hostile}",
        name=hostile,
        trail=(TrailStep(span, hostile),),
        effect=hostile,
    )
    stop = msgspec.structs.replace(FLOW.stops[0], span=span, name=hostile)
    report = Report(
        (found,), (Notice(hostile, hostile),), {span.path: {1: hostile}}, flows=(Flow((stop,)),)
    )
    page = render(report, PLAIN)
    assert page.count("<script") == page.count("</script") == 1
    assert "<img" not in page
    assert "\x1b" not in page
    assert not [name for _, name, _ in Tree(page).attributes if name.startswith("on")]


def test_pages_of_rules_are_written_out() -> None:
    page = "Sums `a*b` up.\n\n## What\n- one\n  item\n- two [x](https://x.org)\n\n"
    page += "| a |\n|---|\n| <b> |\n\n```py\na < b\n```"
    assert from_markdown(page) == (
        "<p>Sums <code>a*b</code> up.</p><h3>What</h3>"
        '<ul><li>one item</li><li>two <a href="https://x.org">x</a></li></ul>'
        '<div class="wide"><table><tr><th scope="col">a</th></tr><tr><td>&lt;b&gt;</td></tr>'
        '</table></div><pre class="example" tabindex="0"><code>a &lt; b</code></pre>'
    )


# --- the picture -----------------------------------------------------------


def test_a_stage_is_missing_only_if_a_rule_says_so() -> None:
    way = {each.stage: each for each in stations(FLOW, REPORT.diagnostics, True)}
    assert way[Stage.CLIP].is_missing
    assert REPORT.diagnostics[way[Stage.CLIP].found[0]] is UNCLIPPED
    assert not way[Stage.CLEAR].is_missing
    assert not way[Stage.CLEAR].stops
    page = render(REPORT, PLAIN)
    assert 'class="box missing advice"' in page
    assert 'class="box unseen"' in page


def test_what_is_missing_in_one_loop_is_not_missing_in_another() -> None:
    other = msgspec.structs.replace(FLOW, stops=FLOW.stops[:1])
    way = {each.stage: each for each in stations(other, (UNCLIPPED,), False)}
    assert not way[Stage.CLIP].is_missing


def test_a_finding_stands_at_its_stage_or_where_its_evidence_passes() -> None:
    found = (MISMATCH, PADDED, NOTEBOOK)
    way = {each.stage: each.found for each in stations(FLOW, found, True)}
    assert way[Stage.LAYERS] == (0, 1)
    elsewhere = msgspec.structs.replace(MISMATCH, span=NOTEBOOK.span)
    way = {each.stage: each.found for each in stations(FLOW, (elsewhere,), True)}
    assert way[Stage.LOSS] == (0,)
    assert sum(map(len, way.values())) == 1


def test_many_loops_are_drawn_when_they_are_asked_for() -> None:
    many = msgspec.structs.replace(REPORT, flows=(FLOW,) * 5)
    assert "2 more training loops" in render(many, PLAIN)


# --- colours ---------------------------------------------------------------


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_text_can_be_read_in_the_light_and_in_the_dark(article: str) -> None:
    themes = [
        dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r"\{([^{}]*--ground:[^{}]*)\}", article)
    ]
    assert len(themes) == 3
    assert themes[1] == themes[2]  # chosen by the system, and by hand
    for theme in themes:
        for words in ("words", "faint", "link", "error", "warning", "advice"):
            for ground in ("ground", "raised"):
                assert contrast(theme[words], theme[ground]) >= 4.5, (words, ground)
        for ground in ("meant", "mark", "added", "removed"):
            assert contrast(theme["words"], theme[ground]) >= 4.5, ground


# --- in a browser ----------------------------------------------------------

Browse = Callable[[str, int, str], Any]

WRAPPER = """\
<body><iframe src="page.html" style="border: 0; width: {width}px; height: 900px"></iframe>
<script>onmessage = (event) => (document.body.dataset.result = event.data);</script>
"""
SCENE = """\
<script>
addEventListener("error", (event) => parent.postMessage(JSON.stringify(event.message), "*"));
const pause = () => new Promise((done) => setTimeout(done, 50));
const press = (key) => {{
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {{ key, bubbles: true }}));
  return pause();
}};
const opened = (path) => [...path.querySelectorAll("details")].map((step) => step.open);
addEventListener("load", async () => {{
  const result = await (async () => {{ {scene} }})().catch((error) => String(error));
  parent.postMessage(JSON.stringify(result), "*");
}});
</script>
"""


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Play a scene on a page in a browser, and return what the scene returns."""
    browser = needed("chromium", "chromium-browser", "google-chrome")

    def play(page: str, width: int, scene: str) -> Any:
        script = SCENE.format(scene=scene)
        (tmp_path / "page.html").write_text(page.replace("</body>", f"{script}</body>"))
        wrapper = tmp_path / "wrapper.html"
        wrapper.write_text(WRAPPER.format(width=width))
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--window-size=1400,1000",
            "--virtual-time-budget=20000",
            "--dump-dom",
            wrapper.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        found = re.search(r'data-result="([^"]*)"', done.stdout)
        assert found, done.stdout[-2000:] + done.stderr[-2000:]
        return json.loads(html.unescape(found[1]))

    return play


@pytest.mark.parametrize("width", [320, 390, 820, 1280])
def test_nothing_is_wider_than_the_screen(article: str, browse: Browse, width: int) -> None:
    scene = """
        document.querySelectorAll("details").forEach((each) => each.removeAttribute("name"));
        document.querySelectorAll("details").forEach((each) => (each.open = true));
        await pause();
        const shown = (kind) => getComputedStyle(document.querySelector(".flow." + kind)).display;
        return {
          wide: document.documentElement.scrollWidth,
          seen: innerWidth,
          flows: [shown("wide"), shown("tall")],
        };
    """
    result = browse(article, width, scene)
    assert result["wide"] <= result["seen"] == width
    assert result["flows"] == (["none", "block"] if width < 736 else ["block", "none"])


def test_a_path_can_be_clicked_and_walked_through(article: str, browse: Browse) -> None:
    scene = """
        const path = document.querySelector(".path");
        const [start, back, forward] = path.nextElementSibling.querySelectorAll("button");
        const seen = [opened(path)];
        for (const act of [
          () => start.click(), () => forward.click(), () => back.click(),
          () => path.querySelectorAll("summary")[2].click(),
        ]) { act(); await pause(); seen.push(opened(path)); }
        return { seen, back: back.disabled, source: path.querySelectorAll("mark").length };
    """
    result = browse(article, 1280, scene)
    at = [[step for step, is_open in enumerate(each) if is_open] for each in result["seen"]]
    steps = len(result["seen"][0])
    assert steps >= 4
    assert at == [[steps - 1], [0], [1], [0], [2]]
    assert result["back"] is False
    assert result["source"] == steps


def test_a_page_can_be_used_by_the_keyboard(article: str, browse: Browse) -> None:
    scene = """
        const at = () => document.activeElement.id;
        const seen = [];
        for (const key of ["j", "j", "k"]) { await press(key); seen.push(at()); }
        await press("ArrowLeft");
        const path = document.activeElement.querySelector(".path");
        const before = opened(path);
        await press("ArrowRight");
        const after = opened(path);
        await press("?");
        const helped = document.querySelector("dialog").open;
        document.querySelector("dialog").close();
        await press("t");
        return { seen, before, after, helped, theme: document.documentElement.dataset.theme };
    """
    result = browse(article, 1280, scene)
    assert result["seen"] == ["finding-1", "finding-2", "finding-1"]
    assert result["before"] == [*[False] * (len(result["before"]) - 2), True, False]
    assert result["after"] == [*[False] * (len(result["after"]) - 1), True]
    assert result["helped"]
    assert result["theme"] == "dark"


def test_a_box_of_the_picture_leads_to_its_finding_or_its_places(
    article: str, browse: Browse
) -> None:
    scene = """
        const box = document.querySelector(".flow.wide .box.seen:not(.warning)");
        box.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
        location.hash = box.getAttribute("href");
        await pause();
        const row = document.activeElement;
        const place = row.querySelector("details");
        const finding = document.querySelector(".flow.wide .box.warning");
        location.hash = finding.getAttribute("href");
        await pause();
        return {
          row: "#" + row.id === box.getAttribute("href"),
          visible: row.getBoundingClientRect().height > 0,
          place: place.open,
          finding: "#" + document.activeElement.id === finding.getAttribute("href"),
        };
    """
    result = browse(article, 1280, scene)
    assert result == {"row": True, "visible": True, "place": True, "finding": True}


def test_levels_can_be_hidden(article: str, browse: Browse) -> None:
    scene = """
        const count = () =>
          [...document.querySelectorAll(".finding")].filter((each) => each.offsetParent).length;
        const before = count();
        document.querySelector("#show-advice").click();
        await pause();
        const after = count();
        await press("j");
        return { before, after, at: document.activeElement.className };
    """
    result = browse(article, 1280, scene)
    assert result["before"] == 10
    assert result["after"] == 5
    assert result["at"] == "finding warning"


def test_the_theme_of_the_system_is_heeded(article: str, browse: Browse) -> None:
    scene = """
        const ground = () => getComputedStyle(document.body).backgroundColor;
        const light = ground();
        document.documentElement.dataset.theme = "dark";
        const system = matchMedia("(prefers-color-scheme: dark)").matches;
        return { light, dark: ground(), system };
    """
    result = browse(article, 1280, scene)
    assert result["system"] is False
    assert result["light"] == "rgb(255, 255, 255)"
    assert result["dark"] == "rgb(13, 17, 23)"
