"""One spelling for all addresses of a page, for deduplication by URL.

What differs between addresses of one page without a part in naming it goes: the scheme, `www.`, the default port, user
and fragment, tracking and session parameters, the order of parameters, a slash or an index file at the end. After
RFC 3986, section 6.2, and further than that: an address is compared here and never fetched.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from filters.url_prefix import ALL_DEFAULT_PORTS, ascii_host, canonical_segment, step

__all__ = ["CANONICAL_URL_VERSION", "INDEX_FILES", "NOT_NAMING", "NOT_NAMING_PREFIXES", "canonical_url"]

CANONICAL_URL_VERSION = "canonical-url-1"

# Files that a server gives for their folder.
INDEX_FILES = frozenset(
    f"{name}.{ending}"
    for name in ("index", "default", "home")
    for ending in ("html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cgi")
)

# Parameters, in lower case, that say who comes from where, or in which session, and not which page is meant.
_PARAMETERS = """
    fbclid gclid gclsrc dclid gbraid wbraid msclkid yclid ysclid twclid ttclid igshid igsh li_fat_id epik
    mc_cid mc_eid _ga _gl _hsenc _hsmi hsctatracking mkt_tok vero_id oly_anon_id oly_enc_id wickedid _openstat
    spm spm_id_from scm scm_id vd_source share_source share_medium share_token share_from ref_src ref_url
    cmpid s_cid s_kwcid ncid wt_mc wt_mc_id at_medium at_campaign __hstc __hssc __hsfp fb_action_ids fb_action_types
    jsessionid phpsessid sid sessionid session_id sessid cfid cftoken zenid oscsid osclid
"""
NOT_NAMING = frozenset(_PARAMETERS.split())
NOT_NAMING_PREFIXES = ("utm_", "mtm_", "pk_", "hsa_", "aspsessionid")

_WEB = re.compile(r"https?://", re.IGNORECASE)
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}|\[[0-9a-f:.]+\]")
_SURROGATE = re.compile("[\ud800-\udfff]")  # no character, and UTF-8 cannot hold it
_SAFE_IN_QUERY = "~!$'()*,:@/?;"
_SAFE_IN_FRAGMENT = "~!$&'()*+,=:@/?;"


def canonical_url(url: str) -> str:
    """The one spelling of an http or https URL, without its scheme; "" for anything else, never an error.

    With "http://" before it again the answer stays as it is. Parameters of one name keep their order.
    """
    text = _SURROGATE.sub("\ufffd", url.strip())
    if not _WEB.match(text):
        return ""
    try:
        parts = urlsplit(text)
        host, port = ascii_host(parts.hostname or ""), parts.port
    except ValueError:  # brackets without an address, a port that is no number
        return ""
    while host.startswith("www.") and host.count(".") > 1:
        host = host.removeprefix("www.")
    if not _NAME.fullmatch(host):
        return ""
    if port is not None and port not in ALL_DEFAULT_PORTS:
        host = f"{host}:{port}"
    return "/".join([host, *_path(parts.path)]) + _query(parts.query) + _fragment(parts)


def _path(path: str) -> list[str]:
    kept: list[str] = []
    for segment in path.split("/"):
        name, *parameters = segment.split(";")
        depth = len(kept)
        step(kept, name)
        naming = [canonical_segment(p) for p in parameters if _is_naming(p)]
        if len(kept) > depth and naming:
            kept[-1] = ";".join([kept[-1], *naming])
    while kept and kept[-1].lower() in INDEX_FILES:
        kept.pop()
    return kept


def _query(query: str) -> str:
    kept = []
    for parameter in query.split("&"):
        name, equals, value = (_encoded(part, _SAFE_IN_QUERY) for part in parameter.replace("+", "%20").partition("="))
        if _is_naming(parameter) and not (equals and not value):
            kept.append((name, f"{name}={value}" if equals else name))
    kept.sort(key=lambda pair: pair[0])
    return "?" + "&".join(whole for _, whole in kept) if kept else ""


def _fragment(parts: SplitResult) -> str:
    """The fragment of a page that a script draws, which names it; "" for a place in a page."""
    name = _encoded(parts.fragment, _SAFE_IN_FRAGMENT)
    return f"#{name}" if name.startswith(("!", "/")) and name.strip("!/") else ""


def _is_naming(parameter: str) -> bool:
    name = unquote_to_bytes(parameter.partition("=")[0]).decode("utf-8", "replace").lower()
    return bool(parameter) and name not in NOT_NAMING and not name.startswith(NOT_NAMING_PREFIXES)


def _encoded(text: str, safe: str) -> str:
    return quote(unquote_to_bytes(text), safe=safe)
