"""Host and path prefixes of a URL, written in one way however the page was linked.

A prefix is a string that begins with the host: `example.org`, `example.org/math/`, `example.org/math/analysis/`. Pages
that are linked with another scheme, letter case, default port, percent code, `www.` or fragment have the same prefixes.
Rules after RFC 3986, section 6.2; host names in ASCII by IDNA.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes, urlsplit

URL_VERSION = "url-1"
DEPTH = 3

_DEFAULT_PORTS = {"http": 80, "https": 443}
ALL_DEFAULT_PORTS = set(_DEFAULT_PORTS.values())  # where no scheme says which
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|//")
_SAFE = "~!$&'()*+,=:@"  # of a path segment, beside letters, digits, - . _; `;` begins a parameter


def host_of(url: str) -> str:
    """The canonical host of a URL, with its port unless that is the scheme's own; "" where it has none."""
    return next(iter(url_prefixes(url, 0)), "")


def url_prefixes(url: str, depth: int = DEPTH) -> tuple[str, ...]:
    """The host and the folders of a URL, the shortest first, `depth` folders at most; () where it has no host.

    The last segment is a file and no folder, unless a slash or a query follows: of `h/forum/show.php?id=7` the script
    is the folder of its pages, `h/forum/show.php?`. Dots are resolved, empty segments and parameters are dropped.
    """
    text = url.strip()
    try:
        parts = urlsplit(text if _SCHEME.match(text) else f"//{text}")
        host, port = ascii_host(parts.hostname or ""), parts.port
    except ValueError:  # brackets without an address, a port that is no number
        return ()
    if not host:
        return ()
    if port is not None and port not in ({_DEFAULT_PORTS.get(parts.scheme)} if parts.scheme else ALL_DEFAULT_PORTS):
        host = f"{host}:{port}"
    prefixes = [host]
    for folder in _folders(parts.path, parts.query)[:depth]:
        prefixes.append(f"{prefixes[-1]}{'/' if len(prefixes) == 1 else ''}{folder}")
    return tuple(prefixes)


def ascii_host(name: str) -> str:
    """A host name in lower-case ASCII, without `www.`; "" for none."""
    name = unicodedata.normalize("NFKC", unquote_to_bytes(name).decode("utf-8", "replace")).lower().strip(".")
    if ":" in name:  # IPv6
        return f"[{name}]"
    try:
        name = name.encode("idna").decode("ascii")
    except UnicodeError:  # an empty or overlong label: not a name of the net, but still one of a source
        name = quote(name, safe=".-_~")
    return name.removeprefix("www.") if name.count(".") > 1 else name


def _folders(path: str, query: str) -> list[str]:
    kept: list[str] = []
    raw = path.split("/")
    for segment in raw[:-1]:
        step(kept, segment)
    last = raw[-1].partition(";")[0]
    if last in {"", ".", ".."}:
        step(kept, last)
    elif query:
        kept.append(f"{canonical_segment(last)}?")
    return [f if f.endswith("?") else f"{f}/" for f in kept]


def step(kept: list[str], segment: str) -> None:
    """Goes from the folders to the one that a segment of a path names: "." and "" stay, ".." goes up."""
    name = canonical_segment(segment.partition(";")[0])
    if name == "..":
        del kept[-1:]
    elif name not in {"", "."}:
        kept.append(name)


def canonical_segment(segment: str) -> str:
    """Percent codes of plain characters decoded, all others encoded in capitals."""
    return quote(unquote_to_bytes(segment), safe=_SAFE)
