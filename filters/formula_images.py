"""Formulas drawn as images: the TeX stands in the address that drew them, an attribute, or the alternative text."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters import asciimath, mathml
from filters.formula_source import MAX_ALT_CHARS, Attributes, Carrier, attribute_tex, looks_like_tex
from filters.tex import clean, unwrapped

# what an address has in it, kind, the parameter that holds the TeX ("" where all of the query does)
_ADDRESSES = (
    ("latex.php", "latex.php", "latex"), (".latex?", "codecogs", ""), (".image?", "codecogs", ""),
    ("mimetex", "mimetex", ""),
    ("mathtex", "mathtex", ""), ("cht=tx", "chart", "chl"), ("equation?tex=", "zhihu", "tex"),
    ("render/math", "github", "math"), ("math.now.sh", "math.now.sh", "from"),
    ("math.vercel.app", "math.now.sh", "from"), ("jianshu.com/math", "jianshu", "formula"),
    ("csdn.net/eq?", "csdn", ""), ("gr/latex?", "yuque", ""), ("eqnedit.php", "codecogs", "latex"),
    ("tex2img", "tex2img", "eq"), ("texify", "texify", ""), ("tex.cgi", "tex.cgi", ""),
)  # fmt: skip
# the first is a blank where the image is loaded late
_SOURCES = ("src", "data-src", "data-lazy-src", "data-original", "data-actualsrc")
_UPMATH = re.compile(r"(?:upmath\.me|s2cms\.ru)/(?:svg|png)/(.+)$")
_QUERY_TEX = re.compile(r"[?&](?:tex|latex|math|formula)=([^&]+)")
_DRESS = re.compile(r"^(?:\\(?:dpi|bg|fg|color|inline|fn|huge|large|LARGE|small|tiny)(?:_[a-z]+|\{[^{}]*\})?\s*)+")
_CLASS_NAMES = """
latex latexcenter latexinline latex_image LaTeX tex Tex tex-image math math-inline math-display math-img img-math
mathimg mathjax mathcode mimetex formula formulaInl formulaDsp inline-formula display-formula equation equation_image
eq texrender ee_img mwe-math-fallback-image-inline mwe-math-fallback-image-display ql-img-inline-formula
ql-img-displayed-equation
"""
_CLASSES = frozenset(_CLASS_NAMES.split())
_COLOURED = re.compile(r"\\bgroup\s*\\color\{[^{}]*\}(.*)\\egroup", re.DOTALL)  # latex2html with coloured text
_MATHWORLD = frozenset(["inlineformula", "numberedequation", "displayformula"])
_DISPLAY = re.compile(
    r"latexcenter|formulaDsp|display(?!-?inline)|numberedequation|ql-img-displayed|block", re.IGNORECASE
)
_COMMENT = re.compile(r"^\s*MATH\b(.*)$", re.DOTALL)
_WIRIS = str.maketrans("«»¨§`", "<>\"&'")


def image(node: LexborNode, attributes: Attributes) -> Carrier | None:
    """The formula that an `img` shows; None where it is a picture."""
    found = _stated(attributes)
    for name in _SOURCES:
        found = found or _drawn(attributes.get(name) or "")
    found = found or _alternative(node, attributes)
    if found is None:
        return None
    tex, kind = found
    tex, stated = unwrapped(_COLOURED.sub(r"\1", clean(tex)))
    if kind == "zhihu" and tex.endswith("\\\\"):  # two backslashes at the end are how its editor says display
        tex, stated = tex[:-2], True
    if stated is None or (not stated and "displaystyle" in tex):
        stated = bool(_DISPLAY.search(attributes.get("class") or "")) or _alone(node)
    return Carrier(tex, stated, kind)


def _stated(attributes: Attributes) -> tuple[str, str] | None:
    if tex := attribute_tex(attributes):
        return tex, "data-tex"
    if encoded := attributes.get("data-mathml"):
        tree = LexborHTMLParser(encoded.translate(_WIRIS) if "«" in encoded else encoded)
        element = tree.css_first("math")
        tex = mathml.to_tex(element) if element is not None else None
        return (tex, "mathml") if tex else None
    return None


def _drawn(address: str) -> tuple[str, str] | None:
    """(TeX, kind) of the address of a service that draws TeX."""
    if "?" not in address and "/svg/" not in address and "/png/" not in address:
        return None
    if path := _UPMATH.search(address):
        return unquote(path[1]), "upmath"
    query = address.partition("?")[2]
    for part, kind, parameter in _ADDRESSES:
        if part in address:
            tex = _parameter(query, parameter) if parameter else _query(query)
            tex = _DRESS.sub("", tex.replace("&plus;", "+")).strip()
            return (tex, kind) if tex else None
    if (value := _QUERY_TEX.search(address)) and "\\" in (tex := unquote_plus(value[1])):
        return tex, "image"
    return None


def _query(query: str) -> str:
    """TeX that is all of a query; what yuque writes behind a # is its own."""
    return unquote(query.partition("#card")[0].replace("&space;", "%20"))


def _parameter(query: str, name: str) -> str:
    for pair in query.split("&"):
        key, _, value = pair.removeprefix("amp;").partition("=")
        if key == name:
            return unquote_plus(value)
    return ""


def _alternative(node: LexborNode, attributes: Attributes) -> tuple[str, str] | None:
    """(TeX, kind) of the alternative text: delimited, or on an image whose class speaks of mathematics."""
    alt = attributes.get("alt") or attributes.get("title") or ""
    classes = (attributes.get("class") or "").split()
    if len(alt) <= MAX_ALT_CHARS and (unwrapped(clean(alt))[1] is not None or _begins(alt)):
        return alt, "img-alt"
    if not _CLASSES.isdisjoint(classes) or (attributes.get("src") or "").rpartition("/")[0].endswith("/math"):
        alt = alt.removeprefix("LaTeX:").strip()
        return (alt, "img-alt") if looks_like_tex(alt) else _comment(node)
    if not _MATHWORLD.isdisjoint(classes) and alt:
        return asciimath.to_tex(alt), "img-alt"
    return _comment(node)


def _begins(alt: str) -> bool:
    return "\\begin" in alt and "\\end" in alt


def _comment(node: LexborNode) -> tuple[str, str] | None:
    """latex2html writes the formula of an image in a comment before it, too."""
    before = node.prev
    while before is not None and before.is_text_node and not (before.text_content or "").strip():
        before = before.prev
    if before is None or not before.is_comment_node:
        return None
    match = _COMMENT.match(before.comment_content or "")
    return (match[1].strip(), "latex2html") if match else None


def _alone(node: LexborNode) -> bool:
    """Whether an element is all of its paragraph."""
    parent = node.parent
    if parent is None or parent.tag not in ("p", "div", "center", "figure", "dd"):
        return False
    child = parent.child
    while child is not None:
        other = (child.text_content or "").strip() if child.is_text_node else child.tag not in ("br", "-comment")
        if other and child != node:
            return False
        child = child.next
    return True
