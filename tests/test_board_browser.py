"""The site as people meet it: in a real browser, from file://, with and without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from browser import CHROMIUM
from example_results import make_results, metric_result, word_rows
from tiny_video import pictures, write_video

from mmdia_eval.details import Details, HeardWord, Judged, ScriptTurn, Voice, details_jsonl
from mmdia_eval.leaderboard.build import build_leaderboard
from mmdia_eval.leaderboard.published import FOLDER
from mmdia_eval.leaderboard.reading import entry_id
from mmdia_eval.results import ProtocolRecord, Row, SystemRecord
from mmdia_eval.results_files import write_results

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: apt-get install chromium"
)

SHOTS = Path(__file__).parents[1] / "build" / "screenshots"
STRICT = ProtocolRecord(name="strict", version="1", sha256="b" * 64, comparable=True)
HOSTILE = (
    "<script>window.xss=1</script>",
    "<img src=x onerror=window.xss=1>",
    "\"'><svg onload=window.xss=1>",
    "javascript:window.xss=1",
    "</table></style></script><script>window.xss=1</script>",
    "{{ 7*7 }}{% raw %}${window.xss=1}",
    "<details open ontoggle=window.xss=1>",
    '=HYPERLINK("https://evil.example")',
    "نظام <b>الحوار</b>",
)
REACHES = (
    "(player, time) => new Promise(done => { player.ontimeupdate = () => {"
    " if (player.currentTime >= time) done(); }; player.ontimeupdate(); })"
)
"""Wait until a player is there; `wait_for_function` would need what the policy forbids."""
ERRORS = {"alpha": 20, "beta": 4, "gamma": 5, "delta": 12}


def write_system(folder: Path, name: str, errors: int, **changes: Any) -> Path:
    """A system that gets about `errors` of 40 words wrong in each of 24 dialogues."""
    noise = np.random.default_rng(errors + len(name))
    counts = {f"d{n:02}": int(errors + noise.integers(-2, 3)) for n in range(24)}
    rows: list[Row] = [*word_rows(counts), *word_rows(counts, "cpwer")]
    metrics = [
        metric_result(label, rows, signature=f"{label}@1|for:{name}") for label in ("wer", "cpwer")
    ]
    record = SystemRecord(
        name=name,
        organization=name,
        url="https://example.org/<x>",
        kind=changes.pop("kind", "system"),
    )
    results = make_results(metrics=metrics, system=record, **{"protocol": STRICT, **changes})
    path = folder / f"{len(list(folder.glob('*.json'))):03}.json"
    details = Details(
        dialogue="d00",
        seconds=2.0,
        script=[ScriptTurn(speaker=name, text=f"Hello there. {name}")],
        words=[HeardWord(text="hello", start=0, end=1), HeardWord(text=name, start=1, end=2)],
        voices=[Voice(start=0, end=1, speaker="0"), Voice(start=1, end=2, speaker=name)],
        judged=[Judged(role="judge", answers={"quality": 4}, rationale=name)],
    )
    write_results(path, results, rows, details=details_jsonl([details]))
    return path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for name, errors in ERRORS.items():
        write_system(folder, name, errors)
        write_system(folder, name, errors, style="triplet")
    write_system(folder, "the reference", 1, kind="ground_truth")
    write_system(folder, "hard one", 9, split="hard", verification="re-scored")
    for number, name in enumerate(HOSTILE):
        write_system(folder, name, number, task=3)
    (folder / "audit").mkdir()
    tone = 0.3 * np.sin(np.arange(32000) / 9)
    soundfile.write(folder / "audit" / "d00.flac", tone, 16000)
    (folder / "audit" / "d01.flac").write_text("<script>window.xss=1</script>")
    write_video(folder / "audit" / "d02.mp4", pictures(50), sound=tone.astype(np.float32))
    (folder / "audit" / "d02.html").write_text("<script>window.xss=1</script>")
    return folder


@pytest.fixture(scope="module")
def site(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    build_leaderboard([results], out, published=FOLDER, release="first")
    return out


@pytest.fixture(scope="module")
def with_states(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with an entry withdrawn, one disputed and one verified."""
    out = tmp_path_factory.mktemp("states")
    for name, status in (("alpha", "withdrawn"), ("beta", "disputed"), ("gamma", "active")):
        change = {"status": status, "reason": "why <b>", "who": "M", "when": "2026-11-21"}
        id_ = entry_id(Path("x.json"), SystemRecord(name=name, organization=name))
        (out / f"{id_}.json").write_text(json.dumps({"schema_version": "1.0", "changes": [change]}))
    build_leaderboard([results], out / "site", published=FOLDER, entries=out)
    return out / "site"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A page that fails the test when a script fails, the policy is broken or a request leaves."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:")) else faults.append(asked.url)
        ),
    )
    yield page
    context.close()
    assert faults == []


def names(page: Any, board: str = "#task1 .board[data-split=test]") -> list[str]:
    found: list[str] = page.locator(
        f"{board} tbody:last-of-type tr:visible th > a bdi"
    ).all_inner_texts()
    return [name for name in found if name in ERRORS]


def head(page: Any, name: str) -> Any:
    return page.locator(f"#task1 .board[data-split=test] th[data-name={name}] .sort")


def test_columns_sort_both_ways_with_the_pointer_and_the_keyboard(site: Path, tab: Any) -> None:
    tab.goto((site / "index.html").as_uri())
    assert names(tab) == ["beta", "gamma", "delta", "alpha"]
    head(tab, "system").click()
    assert names(tab) == ["alpha", "beta", "delta", "gamma"]
    head(tab, "wer").focus()
    tab.keyboard.press("Enter")
    assert names(tab) == ["beta", "gamma", "delta", "alpha"]
    tab.keyboard.press("Enter")
    assert names(tab) == ["alpha", "delta", "gamma", "beta"]
    sorted_head = tab.locator("th[aria-sort]")
    assert sorted_head.count() == 1
    assert sorted_head.get_attribute("aria-sort") == "descending"
    first = tab.locator("#task1 .board[data-split=test] tbody.pinned tr th > a bdi").first
    assert first.inner_text() == "the reference", "the ground truth stays on top"


def test_ranks_tell_apart_what_is_apart(site: Path, tab: Any) -> None:
    tab.goto((site / "index.html").as_uri())
    board = tab.locator("#task1 .board[data-split=test] tbody:last-of-type tr")
    ranks = board.locator("td:nth-child(2) .rank").all_inner_texts()
    assert ranks == ["rank 1", "rank 2", "rank 3", "rank 4"]
    assert board.locator("td.tied").count() == 2, "the best under each of two metrics"
    assert tab.locator("#task1 tbody.pinned .rank").count() == 0


def test_filters_and_the_link_that_brings_them_back(site: Path, tab: Any, browser: Any) -> None:
    tab.goto((site / "index.html").as_uri())
    tab.locator("select[name=split]").select_option("test")
    tab.locator("input[name=system]").fill("ET")
    head(tab, "wer").click()
    head(tab, "wer").click()
    assert names(tab) == ["beta"]
    assert tab.locator("#task1 .board:visible").count() == 1
    assert tab.locator("#count").inner_text() == "1 of 5 rows"
    other = browser.new_page()
    other.goto(tab.url)
    assert other.locator("input[name=system]").input_value() == "ET"
    assert names(other) == ["beta"]
    other.locator("input[name=system]").fill("")
    assert names(other) == ["alpha", "delta", "gamma", "beta"], "sorted as the link says"
    other.locator("select[name=split]").select_option("")
    other.locator("select[name=verification]").select_option("re-scored")
    assert other.locator("#task1 tbody tr:visible th > a bdi").first.inner_text() == "hard one"
    other.close()


def test_tabs(site: Path, tab: Any) -> None:
    tab.goto((site / "index.html").as_uri())
    titles = tab.locator("nav.tabs a").all_inner_texts()
    assert titles == ["Task 1", "Task 1, triplet", "Task 3", "Published"]
    tab.locator("nav.tabs a", has_text="Published").click()
    assert tab.locator("main > section:visible").count() == 1
    assert "#published" in tab.url
    assert not tab.locator("#filters").is_visible(), "nothing there to filter"
    assert tab.locator("#published .board").count() == 0
    assert "Dia-SFT" in tab.locator("#published").inner_text()
    tab.goto((site / "index.html").as_uri() + "#task1-triplet")
    tab.reload()
    assert tab.locator("main > section:visible").get_attribute("id") == "task1-triplet"


def test_the_signature_opens_by_focus_and_is_copied(site: Path, browser: Any) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    button = page.locator("#task1 .board[data-split=test] .how").first
    button.focus()
    note = page.locator(".signature:popover-open")
    assert "wer@1|for:beta" in note.inner_text()
    note.get_by_role("button").click()
    note.get_by_text("Copied").wait_for()
    assert "wer@1|for:beta" in page.evaluate("navigator.clipboard.readText()")
    page.keyboard.press("Escape")
    assert page.locator(".signature:popover-open").count() == 0
    context.close()


def test_the_signature_opens_under_the_pointer_and_goes_with_it(site: Path, tab: Any) -> None:
    tab.goto((site / "index.html").as_uri())
    tab.locator("#task1 .board[data-split=test] .how").first.hover()
    note = tab.locator(".signature:popover-open")
    note.wait_for()
    assert "Errors between the script" in note.inner_text(), "what the metric measures"
    note.hover()
    tab.wait_for_timeout(500)
    assert note.is_visible(), "so that it can be copied"
    tab.locator("h1").hover()
    note.wait_for(state="hidden")


def test_hostile_names_run_nothing(site: Path, tab: Any) -> None:
    pages = [site / "index.html", *sorted((site / "e").glob("*.html"))]
    shown = ""
    for page in pages:
        tab.goto(page.as_uri())
        assert tab.evaluate("window.xss") is None, page.name
        bad = "a[href^='javascript:' i], a[href^='data:' i], [onerror], [onload], [ontoggle]"
        assert tab.locator(bad).count() == 0
        shown += tab.locator("body").text_content()
    for name in HOSTILE:
        assert name in shown
    assert {path.name for path in (site / "e").rglob("d0*")} == {"d00.flac", "d02.mp4"}


def test_without_javascript_everything_is_there(site: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert page.locator("main > section:visible").count() == 4
    assert page.locator("form:visible").count() == 0
    assert page.locator(".board tbody tr:visible").count() == 2 * len(ERRORS) + 2 + len(HOSTILE)
    page.locator("#task1 .how").first.click()
    assert page.locator(".signature:visible").count() == 1
    page.locator("#task1 .board[data-split=test] tbody a").first.click()
    assert page.locator("h1").inner_text() == "the reference"
    context.close()


def test_the_entry_page_plays_and_explains(site: Path, tab: Any) -> None:
    tab.goto(next((site / "e").glob("gamma-*.html")).as_uri())
    audio = tab.locator("audio").first
    seconds = audio.evaluate(
        "a => new Promise(done => { a.onloadedmetadata = () => done(a.duration);"
        " a.onerror = () => done(a.error.message); a.preload = 'auto'; a.load(); })"
    )
    assert seconds == pytest.approx(2.0, abs=0.01)
    script = tab.locator("dl.script").first
    script.locator("[data-at]").last.click()
    audio.evaluate(REACHES, 1)
    assert script.locator("del").all_inner_texts() == ["there."]
    said = " ".join(tab.locator("main").inner_text().split())
    assert "against the next better, beta" in said
    assert "against the next worse, delta" in said
    assert "against the ground truth, the reference" in said
    assert tab.locator("svg.lanes rect").count() >= 2
    assert "The clip is not shown" in tab.locator("main").inner_text()
    tab.locator("summary", has_text="quality 4").first.click()
    assert tab.locator(".rationale:visible").first.inner_text() == "gamma"


def test_a_video_is_shown_and_plays(site: Path, tab: Any) -> None:
    tab.goto(next((site / "e").glob("gamma-*.html")).as_uri())
    video = tab.locator("video").first
    video.scroll_into_view_if_needed()
    loaded = (
        "v => new Promise(done => { const say = () => done([v.videoWidth, v.videoHeight]);"
        " v.onerror = () => done(v.error.message); v.onloadeddata = say;"
        " if (v.readyState > 1) say(); })"
    )
    assert video.evaluate(loaded) == [64, 48]
    video.evaluate("v => { v.muted = true; return v.play(); }")
    video.evaluate(REACHES, 0.2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "page",
    [
        "index.html",
        "index.html#task3",
        "index.html#published",
        "index.html#withdrawn",
        "changelog.html",
        "e/alpha-*.html",
        "e/gamma-*.html",
        "releases/first/index.html",
    ],
)
def test_axe_finds_nothing(
    site: Path, with_states: Path, browser: Any, scheme: Any, page: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    name, _, tab = page.partition("#")
    folder = site if "release" in page else with_states
    opened.goto(f"{next(folder.glob(name)).as_uri()}#{tab}")
    if tab:
        assert opened.locator("main > section:visible").get_attribute("id") == tab
    opened.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = Axe().run(opened)
    assert found.violations_count == 0, found.generate_report()
    context.close()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("light", {"viewport": {"width": 1280, "height": 900}}),
        ("dark", {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}),
        ("phone", {"viewport": {"width": 390, "height": 800}, "has_touch": True}),
    ],
)
def test_no_page_is_wider_than_its_screen(
    site: Path, browser: Any, name: str, options: dict[str, Any]
) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(**options)
    page = context.new_page()
    for what, path in (
        ("index", site / "index.html"),
        ("entry", next((site / "e").glob("gamma-*.html"))),
    ):
        page.goto(path.as_uri())
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) == 0
        page.screenshot(path=SHOTS / f"{what}-{name}.png", full_page=what == "entry")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 26)"
    assert dark == (name == "dark")
    context.close()


def test_releases_are_listed_and_lead_back(site: Path, tab: Any) -> None:
    tab.goto((site / "index.html").as_uri())
    tab.locator(".menu summary").click()
    tab.locator(".menu a", has_text="first").click()
    assert tab.url.endswith("/releases/first/index.html")
    tab.locator(".menu summary").click()
    tab.locator(".menu a", has_text="latest").click()
    assert Path(tab.url.removeprefix("file://")) == site / "index.html"
    assert json.loads((site / "releases/first/leaderboard.json").read_text())["tables"]
