"""From a page to Markdown of its main content with every formula: charset, tree, formulas, region, text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import AnyStr

import numpy as np
from numpy.typing import NDArray
from selectolax.lexbor import LexborHTMLParser

from filters import formulas, main_content, markdown, page_config
from filters.charset import decode
from filters.content_tree import flatten, words
from filters.page_limits import within

EXTRACT_VERSION = "extract-4"
MAX_HTML = 2_000_000  # bytes, or characters of a text; what stands behind them is not read
LONG_SCRIPT = 5_000  # longer ones, of a page that is too long, hold no formula and no configuration of MathJax
MAX_MARKS = 100_000  # `<` and `$`; and neither what stands behind so many; they take about a second
MAX_DEPTH = 300  # open elements; pages have 50, browsers stop at 512, and the parser's time is quadratic in it
MAX_CLONES = 100_000  # formatting elements that the parser opens again in each block where a page never closes them
MAX_ATTRIBUTES = 2_000  # of one tag; the parser compares each with all before it
SHORT_ATTRIBUTE = 2  # characters, with the blank before it
MANY_TAGS = 1_000  # from here on a page's depth is measured
_META_BYTES = 4096  # browsers look for the declaration in the first 1,024; pages with long comments put it later
_META_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_TAG = re.compile(r"<(/?[a-zA-Z][\w-]{0,40})")
_ATTRIBUTE = r"""\s++[^\s>=]*+(?:=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"']*+))?+"""  # possessive: no page makes it go back
_WHOLE_TAG = re.compile(rf"<[a-zA-Z][^\s>]*+(?:{_ATTRIBUTE})*+")
_ATTRIBUTES = re.compile(_ATTRIBUTE)
MAX_NAMES = 10_000
MAX_CPU_S = 2.0  # of a page; those at all other limits take less, so that it decides nothing on any usual machine
# elements without an end tag, or whose end tag pages leave out
_VOID = words("area base br col embed hr img input link meta source track wbr p li dt dd td th tr option param rp rt")
_FORMATTING = words("a b big code em font i nobr s small strike strong tt u")
# what a tag does: nothing, opens or closes a block, opens or closes formatting; and what that adds to each count
_OPENS, _CLOSES, _FORMATS, _UNFORMATS = 1, 2, 3, 4
_DEPTH_STEPS, _FORMAT_STEPS = np.array([0, 1, -1, 1, -1]), np.array([0, 0, 0, 1, -1])


class _Kinds(dict[str, int]):
    """What a tag does, by its name with the slash of an end tag; worked out once for each name."""

    def __missing__(self, name: str) -> int:
        bare, closes = name.lstrip("/").lower(), name[0] == "/"
        if bare in _FORMATTING:
            kind = _UNFORMATS if closes else _FORMATS
        elif bare in _VOID:
            kind = 0
        else:
            kind = _CLOSES if closes else _OPENS
        if len(self) < MAX_NAMES:
            self[name] = kind
        return kind


_KINDS = _Kinds()
_MARK = re.compile(r"[<$]")
_MARKS = "\ue000\ue001\ue002\0"  # what marks formulas and line breaks on the way; in a page they mean nothing
_HIDDEN_TYPE = "hide-type"  # class of PreTeXt's headings
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?:[-_][\w-]{1,20})?$")


@dataclass(frozen=True, slots=True)
class Page:
    """What `extract` makes of a page.

    text: Markdown, "" where there is none; title: of the `title` element; language: as the page says it ("en-GB"), "";
    found, kept, failed: formulas by kind of markup: on the page, in the text, and those that could not be read;
    reason: why there is no text, else "": `undecodable`, `nested_too_deep`, `too_many_attributes`, `too_slow`,
    `no_content`, `extract_error:TYPE`;
    cut: whether the page was longer than what is read of a page.
    """

    text: str = ""
    title: str = ""
    language: str = ""
    found: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    reason: str = ""
    cut: bool = False


def extract(
    html: bytes | str,
    url: str | None = None,  # noqa: ARG001
    *,
    charset: str | None = None,
    main_content: bool = True,
) -> Page:
    """The main content of a page as Markdown, formulas as `$...$` and `$$...$$`.

    `url` decides nothing: no rule knows a host. `charset` is that of the HTTP header, for bytes. Any input gives a Page
    and no exception; a page is done within two CPU seconds and 300 MB. `main_content=False` keeps navigation and the
    like.
    """
    html, cut = _short(html)
    text = decode_html(html, charset) if isinstance(html, bytes) else html
    if text is None:
        return Page(reason="undecodable", cut=cut)
    text, shortened = _few_tags(_without_marks(text))
    cut = cut or shortened
    if len(text) > SHORT_ATTRIBUTE * MAX_ATTRIBUTES and _crowded(text):
        return Page(reason="too_many_attributes", cut=cut)
    if text.count("<") > MANY_TAGS and too_deep(text) and too_deep("".join(_pieces(text, "<script", "</script", 0))):
        return Page(reason="nested_too_deep", cut=cut)
    try:
        page = within(MAX_CPU_S, lambda: _extract(text, whole=not main_content, cut=cut))
    except (ValueError, RuntimeError, RecursionError) as error:
        return Page(reason=f"extract_error:{type(error).__name__}", cut=cut)
    return page or Page(reason="too_slow", cut=cut)


def _extract(html: str, *, whole: bool, cut: bool) -> Page:
    tree = LexborHTMLParser(html)
    title = _title(tree)
    config = page_config.read(html)
    found = formulas.replace(tree, config)
    if _HIDDEN_TYPE in html:
        _drop_hidden_types(tree)
    outline = flatten(tree)
    choice = main_content.everything(outline) if whole else main_content.choose(outline)
    text, kept = markdown.write(outline, choice, found)
    if not text and outline.tags:  # an article without text: what stands around it, less the chrome
        text, kept = markdown.write(outline, main_content.Choice([0], choice.dropped), found)
    return Page(
        text=text,
        title=title,
        language=_language(tree),
        found=_by_kind(found, range(len(found))),
        kept=_by_kind(found, sorted(kept)),
        failed=_by_kind(found, [n for n, formula in enumerate(found) if not formula.ok]),
        reason="" if text else "no_content",
        cut=cut,
    )


def _drop_hidden_types(tree: LexborHTMLParser) -> None:
    """Takes the word that PreTeXt's style sheet hides out of headings that say it in their title again."""
    for kind in tree.css(f".{_HIDDEN_TYPE} > .type"):
        title = kind.parent.css_first(".title") if kind.parent is not None else None
        if title is not None and title.text().split() == kind.text().split():
            kind.decompose()


def _by_kind(found: Sequence[formulas.Formula], numbers: Sequence[int]) -> dict[str, int]:
    return dict(sorted(Counter(found[number].kind for number in numbers).items()))


def _title(tree: LexborHTMLParser) -> str:
    element = tree.head.css_first("title") if tree.head is not None else None
    return " ".join(element.text().split()) if element is not None else ""


def _language(tree: LexborHTMLParser) -> str:
    """What the html element, a meta element or Open Graph says of the page's language."""
    root, head = tree.root, tree.head
    meta = head.css_first('meta[http-equiv="content-language" i]') if head is not None else None
    graph = head.css_first('meta[property="og:locale"]') if head is not None else None
    said = (
        root.attributes.get("lang") or root.attributes.get("xml:lang") if root is not None else None,
        meta.attributes.get("content") if meta is not None else None,
        graph.attributes.get("content") if graph is not None else None,
    )
    named = (name.strip() for name in said if name)
    return next((name.replace("_", "-") for name in named if _LANGUAGE.match(name)), "")


def decode_html(data: bytes, http_charset: str | None = None) -> str | None:
    """The page as text, None where no charset reads it; the HTTP header's charset counts before the page's own."""
    match = _META_CHARSET.search(data[:_META_BYTES])
    return decode(data, http_charset, match[1].decode("ascii", "replace") if match else None)


def looks_like_html(data: bytes) -> bool:
    """Whether the first bytes could be a page: it has a tag, and is no PDF, image or archive."""
    head = data[:_META_BYTES].lstrip()
    return b"<" in head and not head.startswith((b"%PDF", b"PK\x03\x04", b"\x89PNG", b"GIF8", b"\xff\xd8\xff"))


def _short(html: bytes | str) -> tuple[bytes | str, bool]:
    """The page within the size that is read, long scripts and styles left out first; and whether more was left out."""
    if len(html) <= MAX_HTML:
        return html, False
    if isinstance(html, bytes):
        html = b"".join(_pieces(html, b"<script", b"</script", LONG_SCRIPT))
        html = b"".join(_pieces(html, b"<style", b"</style", LONG_SCRIPT))
    else:
        html = "".join(_pieces(html, "<script", "</script", LONG_SCRIPT))
        html = "".join(_pieces(html, "<style", "</style", LONG_SCRIPT))
    return html[:MAX_HTML], len(html) > MAX_HTML


def _pieces(html: AnyStr, opens: AnyStr, closes: AnyStr, longest: int) -> Iterator[AnyStr]:
    """What stands around and in the scripts or styles that are no longer than `longest`."""
    lower, done = html.lower(), 0
    while (start := lower.find(opens, done)) >= 0 and (end := lower.find(closes, start)) >= 0:
        yield html[done : end if end - start <= longest else start]
        done = end if end - start <= longest else end + len(closes) + 1
    yield html[done:]


def _without_marks(html: str) -> str:
    for mark in _MARKS:
        if mark in html:
            html = html.replace(mark, "")
    return html


def _few_tags(html: str) -> tuple[str, bool]:
    """The page up to its last tag or dollar that is read, and whether anything stands behind it."""
    if html.count("<") + html.count("$") <= MAX_MARKS:
        return html, False
    return html[: next(islice(_MARK.finditer(html), MAX_MARKS, None)).start()], True


def _crowded(html: str) -> bool:
    """Whether a tag has more attributes than are read. One pass, since each match begins where the last one ended."""
    tags, least = _WHOLE_TAG.findall(html), SHORT_ATTRIBUTE * MAX_ATTRIBUTES
    if max(map(len, tags), default=0) <= least:
        return False
    return any(len(tag) > least and len(_ATTRIBUTES.findall(tag)) > MAX_ATTRIBUTES for tag in tags)


def too_deep(html: str) -> bool:
    """Whether elements are nested deeper than pages are, as the tags stand (elements that are never closed count)."""
    if _cannot_be_deep(html):
        return False
    names = _TAG.findall(html)
    kinds = np.fromiter(map(_KINDS.__getitem__, names), dtype=np.int8, count=len(names))
    if not len(kinds) or _heights(_DEPTH_STEPS[kinds]).max() > MAX_DEPTH:
        return bool(len(kinds))
    again = _heights(_FORMAT_STEPS[kinds])[(kinds == _OPENS) | (kinds == 0)]
    return int(again.sum()) > MAX_CLONES


def _cannot_be_deep(html: str) -> bool:
    """A bound by the first three letters of the tags, at a fifth of the cost: enough for nearly all pages."""
    data = np.frombuffer(html.encode("utf-8", "replace") + b"<    ", dtype=np.uint8)
    at = np.flatnonzero(data == ord("<"))[:-1]
    closes = data[at + 1] == ord("/")
    codes, going = np.zeros(len(at), dtype=np.int32), np.ones(len(at), dtype=bool)
    for place in (1, 2, 3):
        letters = data[at + closes + place] | 0x20  # in lower case
        going &= (letters >= ord("a")) & (letters <= ord("z"))
        codes = codes * 256 + letters * going
    steps = np.where(closes, -1, 1)
    formatting = _heights(np.where(np.isin(codes, _FORMATTING_CODES), steps, 0))
    depth = _heights(np.where(np.isin(codes, _VOID_CODES), 0, steps))
    return not len(at) or bool(depth.max() <= MAX_DEPTH and formatting.sum() <= MAX_CLONES)


def _codes(names: frozenset[str]) -> NDArray[np.int32]:
    """The first three letters of each name as a number."""
    return np.array(
        sorted({int.from_bytes(name[:3].encode().ljust(3, b"\0"), "big") for name in names}), dtype=np.int32
    )


def _heights(steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """The height after each step up or down, where a step down from the ground leads nowhere."""
    levels = np.cumsum(steps)
    return levels - np.minimum.accumulate(np.minimum(levels, 0))


_FORMATTING_CODES = _codes(_FORMATTING)
_VOID_CODES = _codes(words("br hr img wbr p li td th tr dt dd"))  # no other element begins as one of these does
