"""Writes the input of the quickstart, and its seeds, from the texts in `texts/`.

    python make_input.py [--out DIR] [--seeds DIR]

`texts/web/*.txt` hold the web pages (a header, an empty line, a body; `%%%%` between pages), the other folders hold
books, code and notes, which are copied, and the sentence banks of the seeds. The same texts give the same bytes on
every machine: nothing is taken from a clock or a random generator, and the gzip members of the WARC files are stored
and not compressed, since zlib's output differs between its builds.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import json
import re
import shutil
import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
TEXTS = HERE / "texts"
PAGE_FILES = ("en-math.txt", "zh-math.txt", "other.txt")
WARC_FILES = 2
REQUEST_EVERY = 3  # pages that also have a request record
STORED_BLOCK = 65_535  # longest stored block of deflate
PARCELS = 60
WORDS = {  # the words around an article, by language
    "en": ("Home", "Topics", "Archive", "About us", "Read next", "All rights reserved", "We use cookies", "Accept"),
    "zh": ("首页", "栏目", "归档", "关于我们", "相关阅读", "版权所有", "本站使用浏览器缓存", "同意"),
    "fr": ("Accueil", "Sujets", "Archives", "À propos", "À lire aussi", "Tous droits réservés", "Cookies", "Accepter"),
    "de": ("Start", "Themen", "Archiv", "Über uns", "Mehr davon", "Alle Rechte vorbehalten", "Cookies", "Zustimmen"),
}
SUBJECTS = ("Algebra", "Fractions", "Geometry", "Triangles", "Primes", "Integrals", "Matrices", "Probability")
SHEETS = ("worksheets", "exercises", "theorems", "formula sheet")
SEEDS = (  # file, label of the ids, bank, language, number of paragraphs, sentences in each
    ("positive", "math", "positive-en", "en", 92, 4),
    ("positive", "math", "positive-zh", "zh", 50, 3),
    ("positive", "math", "positive-code", "en", 10, 1),
    ("negative", "other", "negative-en", "en", 92, 4),
    ("negative", "other", "negative-zh", "zh", 50, 4),
    ("negative", "other", "negative-code", "en", 10, 1),
)


@dataclass(frozen=True)
class Page:
    """A web page. `address` is its URL, or a file name for a loose page."""

    address: str
    title: str
    body: str  # blocks of simple HTML between empty lines
    lang: str = "en"
    math: str = ""  # mathjax, mathjax-parentheses, katex, mathml or nothing
    charset: str = "utf-8"  # "none": UTF-8 that is not declared
    cookie: bool = False

    @property
    def is_loose(self) -> bool:
        """Whether the page is a file of its own, not a record of a WARC."""
        return not self.address.startswith("https:")

    @property
    def encoding(self) -> str:
        """The encoding of the bytes."""
        return "utf-8" if self.charset == "none" else self.charset


# --- texts ------------------------------------------------------------------------------------------------------------


def read_pages() -> list[Page]:
    """All pages, in the order of their files."""
    pages: dict[str, Page] = {}
    for name in PAGE_FILES:
        text = (TEXTS / "web" / name).read_text(encoding="utf-8")
        for part in text.split("%%%%\n"):
            page = _page(part.strip("\n"), pages)
            pages[page.address] = page
    return list(pages.values())


def _page(part: str, known: dict[str, Page]) -> Page:
    head, _, body = part.partition("\n\n")
    # a line that does not begin with a known name continues the one before
    fields = re.findall(r"^(url|file|base|title|lang|math|charset|cookie|replace): (.*(?:\n(?!\w+: ).*)*)", head, re.M)
    values = dict(fields)
    title = values.get("title", "")
    if "base" in values:
        base = known[values["base"]]
        title, body = title or base.title, base.body
    for old, new in (value.split("=>") for name, value in fields if name == "replace"):
        body = _replaced(body, old.strip(), new.rstrip() if new.startswith("  ") else new.strip())
    return Page(
        address=values.get("url") or values["file"],
        title=title,
        body=body,
        lang=values.get("lang", "en"),
        math=values.get("math", ""),
        charset=values.get("charset", "utf-8"),
        cookie="cookie" in values,
    )


def _replaced(body: str, old: str, new: str) -> str:
    """The body with the only occurrence of `old` replaced; line breaks count as spaces."""
    pattern = r"\s+".join(map(re.escape, old.split()))
    replaced, count = re.subn(pattern, lambda _: re.sub(r"\s+", " ", new), body)
    assert count == 1, f"{count} times in the page: {old}"
    return replaced


# --- HTML -------------------------------------------------------------------------------------------------------------


def render(page: Page) -> bytes:
    """The page as a browser would get it."""
    host = urlsplit(page.address).hostname or "saved-pages.example"
    home, topics, archive, about, more, rights, cookies, accept = WORDS[page.lang]
    menu = "".join(f'<li><a href="/{i}">{word}</a></li>' for i, word in enumerate((home, topics, archive, about)))
    banner = f'<div class="cookie-banner" role="dialog"><p>{cookies}.</p><button>{accept}</button></div>\n'
    meta = "" if page.charset == "none" else f'<meta charset="{page.charset}">\n'
    text = f"""<!DOCTYPE html>
<html lang="{page.lang}">
<head>
{meta}<title>{html.escape(page.title)}</title>
<link rel="stylesheet" href="/style.css">
{_math_script(page.math)}</head>
<body>
<header class="site-header"><a class="logo" href="/">{host}</a>
<nav class="menu"><ul>{menu}</ul></nav></header>
{banner if page.cookie else ""}<main>
<article>
<h1>{html.escape(page.title)}</h1>
{_blocks(page)}
</article>
</main>
<aside class="sidebar"><h3>{more}</h3>
<ul><li><a href="/4">{topics} 1</a></li><li><a href="/5">{topics} 2</a></li></ul></aside>
<footer class="site-footer"><p>{rights}. <a href="/6">{about}</a></p></footer>
</body>
</html>
"""
    return text.encode(page.encoding)


def _math_script(math: str) -> str:
    if math.startswith("mathjax"):
        config = "MathJax = {tex: {inlineMath: [['$', '$'], ['\\\\(', '\\\\)']]}};"
        return f'<script>{config}</script>\n<script id="MathJax-script" async src="/mathjax/tex-chtml.js"></script>\n'
    if math == "katex":
        return '<link rel="stylesheet" href="/katex/katex.min.css">\n'
    return ""


def _blocks(page: Page) -> str:
    blocks = page.body.replace("@parcels", _parcels()).replace("@links", _links()).split("\n\n")
    if page.math == "katex":
        blocks = [re.sub(r"\$([^$]+)\$", _katex, block) for block in blocks]
    elif page.math == "mathjax-parentheses":
        blocks = [re.sub(r"\$([^$]+)\$", r"\\(\1\\)", block) for block in blocks]
    return "\n".join(_block(block.strip("\n")) for block in blocks)


def _block(block: str) -> str:
    if block.startswith("## "):
        return f"<h2>{block[3:]}</h2>"
    if block.startswith("- "):
        items = re.split(r"^- ", block, flags=re.M)[1:]
        return "<ul>\n" + "".join(f"<li>{item.strip()}</li>\n" for item in items) + "</ul>"
    if block.startswith(("<pre", "<table", "<blockquote", "<ul")):
        return block
    return f"<p>{block}</p>"


def _katex(match: re.Match[str]) -> str:
    tex = match[1]
    shown = re.sub(r"[\\{}]", "", tex.replace(r"\sqrt", "√").replace(r"\pm", "±"))
    source = f'<annotation encoding="application/x-tex">{tex}</annotation>'
    mathml = f"<math><semantics><mrow><mtext>{shown}</mtext></mrow>{source}</semantics></math>"
    return (
        f'<span class="katex"><span class="katex-mathml">{mathml}</span>'
        f'<span class="katex-html" aria-hidden="true"><span class="mord">{shown}</span></span></span>'
    )


def _parcels() -> str:
    """Rows of numbers, as a tracking service prints them."""
    rows = []
    for n in range(1, PARCELS + 1):
        scan, weight, postcode = 700_000_000 + 7_919_377 * n, (n * 37) % 50, 10_000 + (n * 7_307) % 89_999
        cells = (n, scan, f"{weight}.{n % 10}", postcode, f"{n % 24:02}:{n * 7 % 60:02}")
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join(rows)


def _links() -> str:
    entries = [(subject, sheet) for subject in SUBJECTS for sheet in SHEETS]
    return "\n\n".join(f'<a href="/{s.lower()}/{t.split()[0]}">{s} {t}</a>' for s, t in entries)


# --- WARC -------------------------------------------------------------------------------------------------------------


def warc(number: int, pages: list[Page]) -> bytes:
    """One crawl file: warcinfo, then the pages, some with their requests, then what a crawl meets beside pages."""
    info = b"software: quickstart make_input\r\nformat: WARC File Format 1.0\r\n"
    records = [_record("warcinfo", f"urn:crawl:{number}", info, "application/warc-fields")]
    for i, page in enumerate(pages):
        if i % REQUEST_EVERY == 0:
            records.append(_request(page.address))
        charset = "" if page.charset == "none" else f"; charset={page.charset}"
        records.append(_response(page.address, "200 OK", f"text/html{charset}", render(page)))
    records += _beside_pages(number)
    return b"".join(map(_gzip_member, records))


def _beside_pages(number: int) -> list[bytes]:
    missing = b"<!DOCTYPE html><html><head><title>404</title></head><body><h1>Page not found</h1></body></html>\n"
    host = ("algebra-notes.example", "kitchen.example")[number]
    records = [_response(f"https://{host}/no-such-page", "404 Not Found", "text/html; charset=utf-8", missing)]
    if number == 0:
        robots = b"User-agent: *\nDisallow: /search\n"
        records.append(_response(f"https://{host}/robots.txt", "200 OK", "text/plain", robots))
    else:
        records.append(_response(f"https://{host}/img/dot.png", "200 OK", "image/png", _png()))
    return records


def _png() -> bytes:
    """A picture of one grey pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = b"\x78\x01" + _stored(b"\x00\x80") + struct.pack(">I", zlib.adler32(b"\x00\x80"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def _request(url: str) -> bytes:
    parts = urlsplit(url)
    http = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.hostname}\r\nUser-Agent: quickstart\r\n\r\n"
    return _record("request", url, http.encode(), "application/http; msgtype=request")


def _response(url: str, status: str, mime: str, body: bytes) -> bytes:
    http = f"HTTP/1.1 {status}\r\nContent-Type: {mime}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    return _record("response", url, http + body, "application/http; msgtype=response")


def _record(kind: str, url: str, block: bytes, mime: str) -> bytes:
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{kind} {url}")
    target = "" if kind == "warcinfo" else f"WARC-Target-URI: {url}\r\n"
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{name}>\r\nWARC-Date: 2024-05-01T12:00:00Z\r\n"
        f"{target}Content-Type: {mime}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def _gzip_member(data: bytes) -> bytes:
    """A gzip member with stored blocks, modification time 0 and no system."""
    header = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
    return header + _stored(data) + struct.pack("<II", zlib.crc32(data), len(data))


def _stored(data: bytes) -> bytes:
    """The data as deflate's stored blocks."""
    parts = [data[i : i + STORED_BLOCK] for i in range(0, len(data), STORED_BLOCK)]
    last = len(parts) - 1
    return b"".join(
        bytes([i == last]) + struct.pack("<HH", len(part), len(part) ^ 0xFFFF) + part for i, part in enumerate(parts)
    )


# --- seeds ------------------------------------------------------------------------------------------------------------


def seed_rows(wanted: str) -> Iterator[dict[str, str]]:
    """The paragraphs of one seed file: sentences of a bank, drawn by digest."""
    for file, label, bank, lang, number, size in SEEDS:
        if file != wanted:
            continue
        sentences = (TEXTS / "seeds" / f"{bank}.txt").read_text(encoding="utf-8").splitlines()
        joint = "" if lang == "zh" else " "
        for i in range(number):
            is_code = bank.endswith("code")
            drawn = [sentences[i]] if is_code else _drawn(sentences, f"{bank}:{i}", size)
            name, source = f"{label}-{bank.split('-')[1]}-{i:03}", "code" if is_code else "sentences"
            yield {"id": name, "text": joint.join(drawn), "language": lang, "source": source}


def _drawn(sentences: list[str], key: str, size: int) -> list[str]:
    """As many sentences, those with the smallest digests."""

    def digest(sentence: str) -> bytes:
        return hashlib.blake2b(f"{key}\0{sentence}".encode(), digest_size=16).digest()

    return sorted(sentences, key=digest)[:size]


# --- files ------------------------------------------------------------------------------------------------------------


def write_input(out: Path) -> None:
    """Writes the whole input folder."""
    pages = read_pages()
    crawled = [page for page in pages if not page.is_loose]
    for folder in ("web", "pages"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for number in range(WARC_FILES):
        (out / "web" / f"crawl-{number:05}.warc.gz").write_bytes(warc(number, crawled[number::WARC_FILES]))
    for page in pages:
        if page.is_loose:
            (out / "pages" / page.address).write_bytes(render(page))
    for folder in ("books", "code", "data"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for path in sorted((TEXTS / folder).iterdir()):
            if path.is_file():
                shutil.copyfile(path, out / folder / path.name)


def write_seeds(out: Path) -> None:
    """Writes both seed files."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("positive", "negative"):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in seed_rows(name)]
        (out / f"{name}.jsonl").write_bytes("".join(lines).encode())


def main() -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "input", help="folder of the input")
    parser.add_argument("--seeds", type=Path, help="folder of the seeds (default: seeds beside the input)")
    options = parser.parse_args()
    write_input(options.out)
    write_seeds(options.seeds or options.out.resolve().parent / "seeds")


if __name__ == "__main__":
    main()
