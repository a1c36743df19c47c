"""What a good extractor makes of the pages of the shared data: main text and formulas, read with a rule for each site.

`extraction_truth.json` names, for each host, the element that holds the main text, what inside it is chrome, and the
kind of pages. The rules are for measuring only: the extractor knows no host. Formulas are those that the page states
itself (scripts, annotations, attributes, delimiters in the text), read by lines that share nothing with the extractor.
Pages where emphasis or a link cuts a formula in two do not tell their TeX, and count for the text alone.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from extraction_scorer import CONTEXT_WORDS, Expected
from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser, LexborNode

RULES = json.loads((Path(__file__).parent / "extraction_truth.json").read_text(encoding="utf-8"))
MIN_BYTES = 300  # of main text; shorter pages say nothing
HTTP_OK = 200
# chrome and doublets that stand inside the main element on many sites
_WITHOUT = (
    "a.headerlink, a.header-link, a.anchor, .headerlink, a.header-anchor, .gutter, .lntd:first-child, .linenos, "
    ".lineno, "
    "#toc, .toc, .post-toc, .tag-list, .post-meta, script, style, noscript, button, .mw-editsection, .post-copyright, "
    ".copyright, .license-box, .post-metas, nav, .reward, .post-tags, .post-nav, .sr-only, .autopermalink, "
    ".ptx-permalink, "
    "template, iframe, svg, .hidden-content.process-math"
)
_LINES = (
    "p, div, li, td, th, dd, dt, pre, br, h1, h2, h3, h4, h5, h6, "
    "blockquote, tr, figure, section, article, "
    "table, ul, ol"
)
_RAW = re.compile(
    r"(?<!\\)\$\$(.+?)\$\$|\\\[(.+?)\\\]|(\\begin\{(equation|align|gather)\*?\}.+?\\end\{\4\*?\})|\\\((.+?)\\\)|"
    r"(?<![\\$a-zA-Z])\$(?!\s)([^$\n]{1,300}?)(?<![\s\\])\$(?![0-9$])",
    re.DOTALL,
)
_PRICE = re.compile(r"\d[\d.,]*\s[^\\^_=]*[^\W\d_]{2}")  # a number, and words behind it
_LEFT_OVER = re.compile(r"(?<![\\\d])\$(?!\d)")  # of a formula that an element cuts, so that its TeX cannot be told
_MARK = re.compile("\ue010(\\d+)\ue011")


@dataclass(frozen=True, slots=True)
class Truth:
    """A page and what is in it: `text` with the TeX in its place; `formulas` with their neighbour words.

    `convention` is how most of its formulas stand in the page, "" where it has none.
    """

    url: str
    host: str
    kind: str
    html: bytes
    text: str
    formulas: list[Expected]
    convention: str


def pages(data: Path) -> Iterator[tuple[str, bytes]]:
    """(URL, body) of the HTML pages of the folder's WARC files."""
    for path in sorted(data.glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                headers = record.http_headers
                if headers and headers.status_code == HTTP_OK and "html" in (record.http_content_type or ""):
                    yield record.headers.get("WARC-Target-URI"), bytes(record.reader.read())


def sample(data: Path, per_host: int, seed: int = 3) -> list[Truth]:
    """Up to `per_host` pages of each host of which the truth is known, drawn by the seed."""
    by_host: dict[str, list[tuple[str, bytes]]] = {}
    for url, body in pages(data):
        by_host.setdefault(urlsplit(url).hostname or "", []).append((url, body))
    rng, found = random.Random(seed), []
    for host in sorted(by_host):
        drawn = sorted(by_host[host])
        rng.shuffle(drawn)
        truths = (truth_of(url, body) for url, body in drawn)
        known = (truth for truth in truths if truth is not None)
        found += [truth for _, truth in zip(range(per_host), known, strict=False)]
    return found


def truth_of(url: str, body: bytes) -> Truth | None:
    """The truth of a page, or None where its host has no rule, its element is not there once, or holds little text."""
    host = urlsplit(url).hostname or ""
    rule = RULES.get(host)
    html = body.decode("utf-8", "replace")
    tree = LexborHTMLParser(html)
    if rule is None or tree.body is None:
        return None
    states: list[str] = []
    conventions: list[str] = []
    _mark_carriers(tree, states, conventions)
    main = next((found[0] for s in rule["main"].split(",") if len(found := tree.css(s.strip())) == 1), None)
    if main is None:
        return None
    for chrome in main.css(", ".join(filter(None, (_WITHOUT, rule.get("without"))))):
        if chrome.mem_id != main.mem_id:
            chrome.decompose()
    whole_formulas = _mark_raw(main, states)
    conventions += ["raw"] * (len(states) - len(conventions))
    for line in main.css(_LINES):
        line.insert_before("\n")
        line.insert_after("\n")
    text = main.text()
    if len(_MARK.sub(" ", text).encode("utf-8", "replace")) < MIN_BYTES:
        return None
    stated = list(_in_context(text, states)) if whole_formulas and rule.get("formulas", True) else []
    whole = _MARK.sub(lambda mark: f" {states[int(mark[1])]} ", text)
    inside = Counter(conventions[int(mark[1])] for mark in _MARK.finditer(text))
    convention = max(sorted(inside), key=inside.__getitem__, default="")
    return Truth(url, host, rule["kind"], body, whole, stated, convention)


def _mark_carriers(tree: LexborHTMLParser, states: list[str], conventions: list[str]) -> None:
    """Puts a mark in the place of each formula that stands in an element of its own, and says how it is stated."""

    def put(node: LexborNode, tex: str | None, convention: str) -> None:
        if tex and tex.strip():
            node.replace_with(f"\ue010{len(states)}\ue011")
            states.append(_bare(tex))
            conventions.append(convention)

    for script in tree.css('script[type^="math/tex"]'):
        put(script, script.text(), "math/tex")
    for copy in tree.css(
        ".MathJax_Preview, .MathJax:not(mjx-container), .MathJax_Display, .MathJax_SVG, .MathJax_CHTML"
    ):
        copy.decompose()
    for rendered in [*tree.css(".katex-display"), *tree.css(".katex"), *tree.css("math"), *tree.css("mjx-container")]:
        if rendered.parent is None:
            continue
        stated = rendered.css_first('annotation[encoding="application/x-tex"]')
        latex = rendered.css_first("[data-latex]")
        alttext = rendered.attributes.get("alttext")
        if stated is not None:
            put(rendered, stated.text(), "annotation")
        elif alttext:
            put(rendered, alttext, "alttext")
        else:
            put(rendered, latex.attributes["data-latex"] if latex is not None else None, "data-latex")


def _mark_raw(main: LexborNode, states: list[str]) -> bool:
    """Puts a mark in the place of each delimited formula in a text outside code; False where a `$` is left over."""

    def put(match: re.Match[str]) -> str:
        tex = match[1] or match[2] or match[3] or match[5] or match[6]
        if match[6] is not None and _PRICE.match(tex):
            return match[0]
        states.append(_bare(tex))
        return f"\ue010{len(states) - 1}\ue011"

    code = {node.mem_id for box in main.css("pre, code, textarea") for node in box.traverse(include_text=True)}
    texts = [n for n in main.traverse(include_text=True) if n.tag == "-text" and n.mem_id not in code]
    whole = True
    for node in texts:
        text = node.text_content or ""
        if "$" in text or "\\" in text:
            marked = _RAW.sub(put, text)
            whole = whole and not _LEFT_OVER.search(marked)
            if marked != text:
                node.replace_with(marked)
    return whole


def _bare(tex: str) -> str:
    """TeX without the wrapper that kramdown puts around it."""
    return re.sub(r"%\s*<!\[CDATA\[|%?\s*\]\]>", "", tex).strip()


def _in_context(text: str, states: list[str]) -> Iterator[Expected]:
    """The formulas that are left in the main text, each with the words beside it in its line."""
    marks = list(_MARK.finditer(text))
    for number, mark in enumerate(marks):
        before = text[marks[number - 1].end() if number else 0 : mark.start()]
        after = text[mark.end() : marks[number + 1].start() if number + 1 < len(marks) else len(text)]
        left = before.rsplit("\n", 1)[-1].split()[-CONTEXT_WORDS:]
        right = after.split("\n", 1)[0].split()[:CONTEXT_WORDS]
        yield Expected(states[int(mark[1])], " ".join(left), " ".join(right))
