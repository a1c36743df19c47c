"""Reports in a real browser: hostile text is inert while our own script runs, and a reader finds, sorts and filters."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import Browser, start
from fake_build import DOCUMENTS, write_build
from hostile import HOSTILE, PAYLOADS, hostile_build
from report_shapes import additions, folder

from pipelines.audit.figures import figures
from pipelines.audit.report import page

MARK = "window.ran = (n) => { (window.marks ??= []).push(n); };"


class Net:
    """A proxy that notes what is asked for and gives nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def _note(self) -> None:
                asked.append(self.path)
                self.send_error(404)

            do_GET = do_POST = do_CONNECT = do_HEAD = do_OPTIONS = _note  # noqa: N815 - names of http.server

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of_pages(self) -> list[str]:
        """What pages asked for; the browser itself may ask for other things."""
        return [a for a in self.asked if "evil.test" in a]


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    """The network of the browser."""
    made = Net()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def browser(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that reaches nothing but `net`, and in which scripts can call `ran`."""
    proxy = f"--proxy-server=http://127.0.0.1:{net.server.server_port}"
    started = start(tmp_path_factory.mktemp("profile"), proxy, "--proxy-bypass-list=<-loopback>")
    started.ask("Page.addScriptToEvaluateOnNewDocument", source=MARK)
    yield started
    started.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages in which every text that a document, a file or a recipe can bring is hostile."""
    build = figures(hostile_build(tmp_path_factory.mktemp("hostile")))
    build["build"] |= {"name": HOSTILE, "engine": HOSTILE, "skipped": {HOSTILE: 1}}
    build["build"]["unread_files"] = {"count": 1, "first": [HOSTILE]}
    return {"build": page({**build, **additions(HOSTILE, "k1", "r1")}), "folder": page(folder(HOSTILE))}


def opened(browser: Browser, html: str, path: Path) -> Path:
    """The page, opened from a file."""
    path.write_text(html, "utf-8")
    browser.open(path.as_uri())
    return path


def test_the_traps_spring_where_a_page_is_not_escaped(browser: Browser, net: Net, tmp_path: Path) -> None:
    """Else the tests below would show nothing: in a bare page the payloads run, and requests leave."""
    opened(
        browser, "<!doctype html><body>" + "".join(p for p in PAYLOADS if "refresh" not in p), tmp_path / "bare.html"
    )

    assert {1, 3} <= set(browser.value("window.marks"))
    assert any("evil.test/a" in a or "evil.test/c" in a for a in net.of_pages())


@pytest.mark.parametrize("kind", ["build", "folder"])
@pytest.mark.parametrize("bypass", [False, True], ids=["with policy", "without policy"])
def test_hostile_text_is_inert(
    browser: Browser, net: Net, hostile: dict[str, str], tmp_path: Path, kind: str, bypass: bool
) -> None:
    """No script of a document runs and no request leaves, also by escaping alone; and ours has run all the while."""
    net.asked.clear()
    browser.ask("Page.setBypassCSP", enabled=bypass)
    path = opened(browser, hostile[kind], tmp_path / "report.html")
    browser.value("for (const d of document.querySelectorAll('details')) d.open = true")
    browser.value("for (const b of document.querySelectorAll('thead button, #theme')) b.click()")
    browser.value("for (const a of document.querySelectorAll('a')) a.click()")
    browser.value("scrollTo(0, 1e9)")
    browser.picture(tmp_path / "drawn.png")
    browser.ask("Page.setBypassCSP", enabled=False)
    tags = set(browser.value("[...document.querySelectorAll('*')].map((e) => e.localName)"))
    attributes = set(browser.value("[...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())"))

    assert browser.value("window.marks ?? []") == []
    assert net.of_pages() == []
    assert [r["request"]["url"] for r in browser.said("Network.requestWillBeSent")] == [path.as_uri()]
    assert not tags & {"img", "iframe", "object", "embed", "link", "base", "form", "math", "animate", "mtext"}
    assert not {a for a in attributes if a.startswith("on")}
    assert browser.value("document.scripts.length") == browser.value("document.querySelectorAll('style').length") == 1
    assert browser.value("[...new Set([...document.links].map((a) => a.getAttribute('href')[0]))].join()") == "#"
    assert browser.said("Runtime.exceptionThrown") == browser.said("Log.entryAdded") == []
    assert browser.value("document.querySelectorAll('th[aria-sort]').length") > 5
    assert browser.value("document.getElementById('drawer').open") is True
    assert browser.value("document.querySelectorAll('#drawer-inside .document').length") > 0


def test_hostile_text_is_shown_as_it_is(browser: Browser, hostile: dict[str, str], tmp_path: Path) -> None:
    """Every payload can be read; only what would hide or turn text is replaced."""
    opened(browser, hostile["build"], tmp_path / "report.html")
    shown = browser.value("document.querySelector('.document .text').textContent")
    name = browser.value("document.querySelector('h1').textContent")

    for text in (shown, name):
        assert text.startswith("".join(PAYLOADS[:3]))
    assert browser.value("document.body.textContent").count("nul ␀ bidi �") > 10
    assert browser.value("document.title").startswith("<script>ran(1)</script>")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a small build."""
    return page(figures(write_build(tmp_path_factory.mktemp("build"), DOCUMENTS)))


@pytest.fixture
def plain(browser: Browser, small: str, tmp_path: Path) -> Browser:
    """A browser with the page of a small build open."""
    opened(browser, small, tmp_path / "report.html")
    return browser


REASONS = "[...document.querySelector('#removed ~ .scroll table').tBodies[0].rows].filter((r) => !r.hidden)"
COLUMN = REASONS + ".map((r) => r.cells[{column}].textContent).join(' ')"


def press(browser: Browser, key: str) -> None:
    """Presses and lets go of a key."""
    text = {"Enter": "\r", " ": " "}.get(key, "")
    browser.ask(
        "Input.dispatchKeyEvent", type="keyDown", key=key, code=key, text=text, windowsVirtualKeyCode=CODES[key]
    )
    browser.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=CODES[key])


CODES = {"Enter": 13, " ": 32, "Escape": 27}


def test_a_table_sorts_by_click_and_by_key(plain: Browser) -> None:
    """Numbers from the largest, then from the smallest; words by the alphabet; aria-sort says which."""
    head = "document.querySelectorAll('#removed ~ .scroll table th')"
    stages = [plain.value(COLUMN.format(column=0))]
    plain.value(f"{head}[0].querySelector('button').click()")
    stages.append(plain.value(COLUMN.format(column=0)))
    plain.value(f"{head}[2].querySelector('button').focus()")
    press(plain, "Enter")
    down = plain.value(COLUMN.format(column=2)), plain.value(f"{head}[2].getAttribute('aria-sort')")
    press(plain, " ")
    up = plain.value(COLUMN.format(column=2)), plain.value(f"{head}[2].getAttribute('aria-sort')")

    assert stages == [
        "minhash_dedup decontaminate exact_dedup language quality",
        "decontaminate exact_dedup language minhash_dedup quality",
    ]
    assert (down, up) == (("2 1 1 1 1", "descending"), ("1 1 1 1 2", "ascending"))
    assert plain.value(f"{head}[0].getAttribute('aria-sort')") is None


def test_a_number_opens_its_documents_and_closes_again(plain: Browser) -> None:
    """Beside the page, with the focus back on the number; Escape closes."""
    plain.value("window.link = document.querySelector('a[data-what=\"Removed by minhash_dedup: near_duplicate\"]')")
    plain.value("link.focus()")
    press(plain, "Enter")
    titles = plain.value("[...document.querySelectorAll('#drawer-inside h3')].map((h) => h.textContent).join()")
    told = plain.value("document.getElementById('drawer-told').textContent")
    ids = plain.value("document.querySelectorAll('#drawer-inside [id^=d-]').length")
    press(plain, "Escape")

    assert (titles, told, ids) == ("o/r4,o/r5", "2 documents behind this number.", 0)
    assert plain.value("document.getElementById('drawer').open") is False
    assert plain.value("document.activeElement === link") is True


def test_a_long_table_filters(browser: Browser, tmp_path: Path) -> None:
    """A box above it; words in any order; the number of rows is told."""
    found = folder()
    rows = [{"value": f"host{n}.org", "documents": n, "tokens": n, "characters": n, "shown": []} for n in range(40)]
    found["measures"]["by"]["host"] = rows
    opened(browser, page(found), tmp_path / "report.html")
    boxes = browser.value("document.querySelectorAll('input[type=search]').length")
    browser.value("document.querySelector('input[type=search]').focus()")
    browser.ask("Input.insertText", text="ORG host3")
    shown = "[...document.querySelectorAll('tbody tr')].filter((r) => /host/.test(r.textContent) && r.offsetHeight)"

    assert boxes == 1
    assert browser.value(f"{shown}.length") == 11
    assert browser.value("document.querySelector('.filter output').textContent") == "11 of 40 rows"


def test_light_and_dark(plain: Browser) -> None:
    """As the reader's screen is, until the switch says otherwise."""
    colour = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for dark in (False, True):
        plain.screen(1280, 800, dark)
        seen.append(plain.value(colour))
    plain.value("document.getElementById('theme').click()")
    switched = plain.value(colour)
    plain.screen(1280, 800)

    assert len(set(seen)) == 2
    assert switched in seen


@pytest.mark.parametrize("kind", ["build", "folder"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_the_screen(
    browser: Browser, hostile: dict[str, str], tmp_path: Path, kind: str, width: int
) -> None:
    """A telephone scrolls tables inside their frame, never the page, whatever names are as long as they can be."""
    browser.screen(width, 800)
    opened(browser, hostile[kind], tmp_path / "report.html")
    plain_width = browser.value("document.documentElement.scrollWidth")
    browser.value("for (const d of document.querySelectorAll('details')) d.open = true")

    assert plain_width == browser.value("document.documentElement.scrollWidth")
    assert plain_width <= width


def test_without_scripts_all_is_readable(browser: Browser, small: str, tmp_path: Path) -> None:
    """No dead buttons, every row, and numbers lead to documents by their links."""
    path = tmp_path / "report.html"
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    opened(browser, small, path)
    buttons = browser.value("[...document.querySelectorAll('button, input')].filter((b) => b.offsetHeight).length")
    rows = browser.value(f"{REASONS}.length")
    browser.open(path.as_uri() + "#d-r6")
    target = browser.value("document.querySelector(':target').getBoundingClientRect().top < innerHeight")
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)

    assert (buttons, rows, target) == (0, 5, True)


def test_on_paper_nothing_is_cut(plain: Browser) -> None:
    """Tables are whole, what was folded is open, and buttons are gone."""
    plain.ask("Emulation.setEmulatedMedia", media="print")
    cut = (
        "[...document.querySelectorAll('.scroll')].filter((s) => s.offsetHeight && s.scrollHeight > s.clientHeight + 1)"
    )
    wide = (
        "[...document.querySelectorAll('.scroll')].filter((s) => s.offsetHeight && s.scrollWidth > s.clientWidth + 1)"
    )
    closed = "[...document.querySelectorAll('details .inside')].filter((d) => !d.offsetHeight)"
    found = [plain.value(f"{e}.length") for e in (cut, wide, closed)]
    theme = plain.value("document.getElementById('theme').offsetHeight")
    told = plain.value("document.querySelector('.on-paper').offsetHeight > 0")
    plain.ask("Emulation.setEmulatedMedia", media="")

    assert (found, theme, told) == ([0, 0, 0], 0, True)
