"""Elements that carry a formula, and where each states its TeX: a function for each kind, in tables by tag and class.

Order of trust inside an element: its `math/tex` script, an annotation in TeX, an attribute, the alternative text; last
what a renderer drew. A function returns a Carrier, DROP for a copy of a formula that stands elsewhere, or None; then
the walk goes on inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache

from selectolax.lexbor import LexborHTMLParser, LexborNode

from filters import asciimath, html_math, mathml, rendered_math
from filters.formula_images import image
from filters.formula_source import Attributes, Carrier, attribute_tex, looks_like_tex
from filters.page_config import PageConfig
from filters.tex import clean, sound, unwrapped

_SPACE = re.compile(r"\s")
_TEX_ENCODING = re.compile(r"tex", re.IGNORECASE)
_DISPLAY_CLASS = re.compile(r"display|block|(?:^|[\s_-])Dsp|equation\b", re.IGNORECASE)
_INLINE_CLASS = re.compile(r"inline", re.IGNORECASE)
_DELIMITER = re.compile(r"\$|\\\(|\\\[|\\begin\s*\{")
_HTML_MATH = "sup, sub, i, em, var"
_DOCUMENT = re.compile(r"\\begin\{document\}(.*?)\\end\{document\}", re.DOTALL)


class Copy(Enum):
    """DROP: an element that repeats a formula, or draws it."""

    DROP = "drop"


DROP = Copy.DROP
Result = Carrier | Copy | None
Handler = Callable[[LexborNode, Attributes, PageConfig], Result]


def _delimited(text: str, display: bool, kind: str) -> Carrier:
    """A carrier of text that may have delimiters of its own, which then decide."""
    tex, stated = unwrapped(clean(text))
    return Carrier(tex, display if stated is None else stated or display, kind)


def _script(node: LexborNode, attributes: Attributes, config: PageConfig) -> Result:
    kind = (attributes.get("type") or "").lower()
    if "math/" not in kind and "x-latex" not in kind:
        return None
    text = node.text() or ""
    if "asciimath" in kind:
        return Carrier(asciimath.to_tex(text.strip()), False, "asciimath")
    if "mml" in kind or "mathml" in kind:
        element = LexborHTMLParser(text).css_first("math")
        return _math(element, element.attributes, config) if element is not None else None
    return _delimited(text, "display" in kind, "math/tex")


# --- MathML -----------------------------------------------------------------------------------------------------------


def _math(node: LexborNode, attributes: Attributes, _: PageConfig) -> Carrier | None:
    display = attributes.get("display") == "block" or attributes.get("mode") == "display"
    return _annotated(node, display) or _alttext(attributes, display) or _converted(node, attributes, display)


def _annotated(node: LexborNode, display: bool) -> Carrier | None:
    annotation = node.css_first("annotation") or node.css_first("mml\\:annotation") or node.css_first("m\\:annotation")
    while annotation is not None:
        encoding = annotation.attributes.get("encoding") or ""
        if _TEX_ENCODING.search(encoding) and (text := annotation.text(deep=True)) and text.strip():
            return _delimited(text, display, "mathml-annotation")
        annotation = annotation.next
    return None


def _alttext(attributes: Attributes, display: bool) -> Carrier | None:
    text = attributes.get("alttext") or ""
    trusted = "ltx_" in (attributes.get("class") or "") or not _SPACE.search(text.strip())
    return _delimited(text, display, "alttext") if text.strip() and (trusted or looks_like_tex(text)) else None


def _converted(node: LexborNode, attributes: Attributes, display: bool) -> Carrier | None:
    if tex := attributes.get("data-latex"):
        return Carrier(tex, display, "data-latex")
    child = node.child
    if child is not None and child.is_text_node and child.next is None:  # TeX in a tag that is called `math`
        return _delimited(child.text_content or "", display, "math-text")
    if tex := mathml.to_tex(node):
        return Carrier(tex, display, "mathml")
    text = " ".join((node.text(deep=True) or "").split())
    return Carrier(text, display, "mathml", plain=True) if text else None


# --- MathJax ----------------------------------------------------------------------------------------------------------


def _mathjax_container(node: LexborNode, attributes: Attributes, config: PageConfig) -> Result:
    """MathJax 3 and 4: `data-latex` from 4 on, assistive MathML, else the glyphs."""
    display = attributes.get("display") in ("true", "block")
    script = node.css_first("script[type^='math/']")
    if script is not None:
        return _script(script, script.attributes, config)
    stated = attributes.get("data-latex") or _latex_of(node.css_first("mjx-math")) or _latex_of(node.css_first("svg"))
    if stated:
        return Carrier(stated, display, "data-latex")
    element = node.css_first("math")
    if element is not None:
        found = _math(element, element.attributes, config)
        return Carrier(found.tex, found.display or display, found.kind, found.plain) if found else DROP
    tex = rendered_math.mathjax(node)
    return Carrier(tex, display, "mathjax-glyphs") if tex else DROP


def _latex_of(node: LexborNode | None) -> str | None:
    """MathJax 4 states the TeX of the whole in the root, or in the first element below it."""
    if node is None:
        return None
    if tex := node.attributes.get("data-latex"):
        return tex
    child = node.child
    return child.attributes.get("data-latex") if child is not None and child.next is None else None


def _mathjax_copy(node: LexborNode, attributes: Attributes, config: PageConfig) -> Result:
    """What MathJax 2 drew: a copy where the page has its scripts, else the only place of the formula."""
    if node.css_first("script[type^='math/']") is not None or node.css_first("mjx-container") is not None:
        return None
    if config.scripts:
        return DROP
    if (labelled := node.css_first(".mjx-math[aria-label]")) is not None and (tex := labelled.attributes["aria-label"]):
        return Carrier(tex, "isplay" in (attributes.get("class") or ""), "aria-label")  # drawn on a server
    stated = attributes.get("data-mathml")
    element = LexborHTMLParser(stated).css_first("math") if stated else node.css_first("math")
    if element is None:
        holder = node.css_first("[data-mathml]")
        element = LexborHTMLParser(holder.attributes["data-mathml"] or "").css_first("math") if holder else None
    if element is not None:
        found = _math(element, element.attributes, config)
        display = "isplay" in (attributes.get("class") or "")
        return (
            Carrier(found.tex, found.display or display, found.kind, found.plain)
            if isinstance(found, Carrier)
            else DROP
        )
    tex = rendered_math.mathjax(node) if node.css_first(".mjx-char") is not None else None
    return Carrier(tex, False, "mathjax-glyphs") if tex else DROP


def _drawn_on_server(node: LexborNode, attributes: Attributes, config: PageConfig) -> Result:
    """`mjpage`: SVG with the TeX as its title, or CommonHTML with it as a label."""
    title = node.css_first("svg title")
    if title is not None and (tex := title.text(deep=True)):
        return _delimited(tex, "block" in (attributes.get("class") or ""), "svg-title")
    drawn = node.css_first(".mjx-chtml")
    return _mathjax_copy(drawn, drawn.attributes, config) if drawn is not None else None


def _preview(node: LexborNode, _: Attributes, config: PageConfig) -> Result:
    text = (node.text(deep=True) or "").strip()
    if config.scripts or not looks_like_tex(text):
        return DROP
    return _delimited(text, False, "preview")


# --- KaTeX ------------------------------------------------------------------------------------------------------------


def _katex(node: LexborNode, attributes: Attributes, _: PageConfig) -> Result:
    """Annotation; the last line of the MathML's text, where its tags are gone; MathML; the boxes."""
    display = _DISPLAY_CLASS.search(attributes.get("class") or "") is not None
    if found := _annotated(node, display):
        return Carrier(found.tex, found.display, "katex")
    element = node.css_first("math")
    if element is not None and (tex := mathml.to_tex(element)):
        return Carrier(tex, display or element.attributes.get("display") == "block", "katex-mathml")
    text = node.css_first(".katex-mathml")
    if text is not None and (tex := last_lines(text.text(deep=True) or "")):
        return Carrier(tex, display, "katex-text")
    drawn = node.css_first(".katex-html")
    if drawn is None:
        return None
    if tex := rendered_math.katex(drawn):
        return Carrier(tex, display, "katex-html")
    return Carrier(" ".join((drawn.text(deep=True) or "").split()), display, "katex-html", plain=True)


def last_lines(text: str) -> str | None:
    """The TeX at the end of a text that first lists the formula's signs: the last line, or as many as it takes for
    braces and environments to match."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    for count in range(1, min(len(lines), 40) + 1):
        tex = "\n".join(lines[-count:])
        if sound(tex):
            return tex
    return None


def _katex_error(node: LexborNode, _: Attributes, __: PageConfig) -> Result:
    return _delimited(node.text(deep=True) or "", False, "katex-error")


# --- elements that hold TeX -------------------------------------------------------------------------------------------


def _text_element(node: LexborNode, attributes: Attributes, _: PageConfig) -> Result:
    """`d-math` and its like: the text is TeX."""
    text = node.text(deep=True) or ""
    if document := _DOCUMENT.search(text):
        text = document[1]
    display = "block" in attributes or _DISPLAY_CLASS.search(attributes.get("class") or "") is not None
    return _delimited(text, display, "d-math") if text.strip() else DROP


def _wikipedia(node: LexborNode, attributes: Attributes, config: PageConfig) -> Result:
    """MathML with an annotation, hidden, beside an image."""
    element = node.css_first("math")
    picture = node.css_first("img")
    classes = f"{attributes.get('class') or ''} {picture.attributes.get('class') or '' if picture else ''}"
    found = _math(element, element.attributes, config) if element is not None else None
    if found is None and picture is not None:
        found = image(picture, picture.attributes)
    if found is None:
        return None
    return Carrier(found.tex, found.display or "display" in classes or "block" in classes, found.kind)


def _bare(node: LexborNode, attributes: Attributes, config: PageConfig) -> Result:
    """An element of class "math" or its like: TeX without delimiters, or letters and indices in HTML."""
    text = node.text(deep=True) or ""
    if "fallback-source" in (attributes.get("class") or ""):
        return _delimited(text, "display" in (attributes.get("class") or ""), "bare")
    if _DELIMITER.search(text) or node.css_first("img, script, math, mjx-container, .katex, svg, table, p") is not None:
        return None
    classes = attributes.get("class") or ""
    display = _DISPLAY_CLASS.search(classes) is not None or (node.tag == "div" and not _INLINE_CLASS.search(classes))
    if node.css_first(_HTML_MATH) is not None:
        tex = html_math.tex_of(node) if "\\" not in text else None
        return Carrier(tex, display, "sup/sub") if tex else None
    display |= attributes.get("data-display") == "true"
    sure = config.bare or "inline" in classes or "display" in classes
    if not looks_like_tex(text) or not (sure or "\\" in text or "^" in text or "_" in text):
        return None
    return Carrier(text, display, "bare")


def _code(node: LexborNode, attributes: Attributes, _: PageConfig) -> Result:
    """`code` and `pre` whose class says that they hold mathematics."""
    style = attributes.get("data-math-style") or ""
    display = style == "display" or (node.tag == "pre" and style != "inline")
    display = (
        display
        or (node.parent is not None and node.parent.tag == "pre")
        or "display" in (attributes.get("class") or "")
    )
    return _delimited(node.text(deep=True) or "", display, "code")


def _stated(attributes: Attributes) -> Carrier | None:
    """An element with the TeX in an attribute."""
    tex = attribute_tex(attributes)
    if tex is None:
        return None
    tex, stated = unwrapped(clean(tex))
    if tex.endswith("\\\\"):
        tex, stated = tex[:-2], True
    display = _DISPLAY_CLASS.search(attributes.get("class") or "") is not None
    return Carrier(tex, display if stated is None else stated, "data-tex")


def _picture(node: LexborNode, attributes: Attributes, _: PageConfig) -> Result:
    return image(node, attributes)


BY_TAG: dict[str, Handler] = {
    "script": _script, "math": _math, "mml:math": _math, "m:math": _math, "mjx-container": _mathjax_container,
    "img": _picture, "d-math": _text_element, "dt-math": _text_element, "tex-math": _text_element,
    "math-field": _text_element, "la-tex": _text_element, "tex": _text_element, "mjx-assistive-mml": _mathjax_copy,
}  # fmt: skip
_CLASSES: dict[Handler, str] = {
    _katex: "katex katex-display katex--inline katex--display",
    _katex_error: "katex-error",
    _mathjax_copy: "MathJax MathJax_Display MathJax_SVG MathJax_SVG_Display MathJax_CHTML mjx-chtml MJXc-display "
    "MJX_Assistive_MathML",
    _drawn_on_server: "mjpage",
    _preview: "MathJax_Preview MathJax_Processing MathJax_Processed",
    _wikipedia: "mwe-math-element",
    _bare: "math MATH texhtml tex latex math-inline math-display inline-math display-math block-math katex-inline "
    "katex-block mathquill-embedded-latex wp-katex-eq mwe-math-fallback-source-inline mwe-math-fallback-source-display",
}
_BY_CLASS = {name: handler for handler, names in _CLASSES.items() for name in names.split()}
_CODE_CLASSES = frozenset(["math", "language-math", "language-katex", "js-render-math", "math-inline", "math-display"])


@lru_cache(maxsize=4096)
def by_class(classes: str) -> Handler | None:
    """What looks at an element of these classes."""
    return next((_BY_CLASS[name] for name in classes.split() if name in _BY_CLASS), None)


@lru_cache(maxsize=512)
def is_math_code(classes: str) -> bool:
    """Whether a `code` or `pre` element of these classes holds TeX."""
    return not _CODE_CLASSES.isdisjoint(classes.split())


def of_element(node: LexborNode, tag: str, attributes: Attributes, config: PageConfig) -> Result:
    """What an element carries, by its class, then by its attributes."""
    classes = attributes.get("class")
    handler = by_class(classes) if classes else None
    if handler is not None and handler is not _bare:
        return handler(node, attributes, config)
    if len(attributes) > (classes is not None) and (found := _stated(attributes)):
        return found
    if tag in ("code", "pre"):
        return _code(node, attributes, config) if classes and is_math_code(classes) else None
    return handler(node, attributes, config) if handler is not None else None
