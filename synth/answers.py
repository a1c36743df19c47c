"""The final answer of a solution: found by its mark alone, and written one way.

Never the last number of a text: a solution that marks no answer has none. Layout, signs and words around an answer are
taken away; what changes its value (a percent sign, brackets, order) stays.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
BOX = re.compile(r"\\f?boxed\s*(?=\{)")
MAX_LENGTH = 2000  # characters of an answer; a longer one is no final answer


@dataclass(frozen=True, slots=True)
class Extracted:
    """One final answer.

    text : as written, without its mark.
    mark : tag or boxed.
    differing : the text marks several answers that are not written alike; `text` is the last.
    """

    text: str
    mark: str
    differing: bool


def extract_answer(text: str) -> Extracted | None:
    """The last answer in <answer> tags, else in the last balanced \\boxed{}; None where nothing is marked."""
    tagged = [unboxed(found.strip()) for found in TAG.findall(text)]
    found = tagged or boxes(text)
    if not found or not found[-1].strip() or len(found[-1]) > MAX_LENGTH:
        return None
    differing = len({normalise(answer) for answer in found}) > 1
    return Extracted(found[-1].strip(), "tag" if tagged else "boxed", differing)


def boxes(text: str) -> list[str]:
    """What stands in each balanced \\boxed{} or \\fbox-like brace, outermost only, in order."""
    inside = []
    closing = closing_braces(text)
    end = 0
    for found in BOX.finditer(text):
        if found.start() >= end and found.end() in closing:
            end = closing[found.end()]
            inside.append(text[found.end() + 1 : end])
    return inside


def closing_braces(text: str) -> dict[int, int]:
    """Where each brace closes, by where it opens; escaped braces do not count, open ones are left out."""
    closing = {}
    opened = []
    for found in BRACE.finditer(text):
        if found[0] == "{":
            opened.append(found.start())
        elif found[0] == "}" and opened:
            closing[opened.pop()] = found.start()
    return closing


def unboxed(text: str) -> str:
    """The last box's content where there is one."""
    inside = boxes(text)
    return inside[-1] if inside else text


_BEFORE_FOLDING = str.maketrans(
    {"²": "^{2}", "³": "^{3}", "½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "″": "''"}
    | {chr(0x2460 + n): f"({n + 1})" for n in range(20)}
)  # NFKC would write 3² as 32 and ① as 1
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "—": "-", "×": "\\times ", "÷": "/", "·": "\\times ", "π": "\\pi ", "≥": "\\ge ", "≤": "\\le ",
     "⩾": "\\ge ", "⩽": "\\le ", "≠": "\\ne ", "∞": "\\infty ", "∪": "\\cup ", "∩": "\\cap ",
     "∈": "\\in ", "±": "\\pm ",
     "⁄": "/", "∶": ":", "；": ";", "【": "[", "】": "]", "θ": "\\theta ", "α": "\\alpha ", "\u200b": ""}
)  # fmt: skip
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore)?,?\s*(?:the\s+)?(?:final\s+)?(?:correct\s+)?answer(?:\s+is|\s*:|\s*=)+\s*:?"
    r"|(?:故|因此|所以)?(?:本题)?(?:正确|最终|最后)?(?:的)?答案(?:应)?[是为选:]*|答[::]|解[::]|(?:故)?应?选择?(?:项)?[::]?(?=\s*\(?[A-H])"
    r"|approximately|about|大约|约为?|\\approx|≈)\s*",
    re.IGNORECASE,
)
_UNWRAP = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|hbox|operatorname|rm|bf)\s*\{([^{}]*)\}"
)
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\textcircled\s*\{?(\d+)\}?", r"(\1)"),
        (r"(?<=\d)\s*(?:\{,\}(?:\s*\\!)?|,\s*\\!)\s*(?=\d{3})", ","),
        (r"\\(?:left|right|[bB]ig+[lr]?|displaystyle|limits|mathstrut)(?![a-zA-Z])\.?", ""),
        (r"(?<!\\)\\(?:[,;:!> ]|quad|qquad|thinspace)(?![a-zA-Z])", " "),
        (r"\\%|％", "%"),
        (r"\\[dtc]frac(?![a-z])", r"\\frac"),
        (r"\\geq?(?:slant)?(?![a-z])\s*", r"\\ge "),
        (r"\\leq?(?:slant)?(?![a-z])\s*", r"\\le "),
        (r"\\neq?(?![a-z])\s*", r"\\ne "),
        (r"\\gt(?![a-z])", ">"),
        (r"\\lt(?![a-z])", "<"),
        (r"\\cdot(?![a-z])\s*", r"\\times "),
        (r"\\(?:lbrace|\{)\s*", r"\\{"),
        (r"\s*\\(?:rbrace|\})", r"\\}"),
        (r"\s*(?:\^\s*\{\s*\\circ\s*\}|\^\s*\\circ|\\degree|\^\s*°|\\circ\b(?=\s*C?$))", "°"),
        (r"° ?~? ?C", "°C"),
        (r"(?<=\}) (?=\{)|(?<=\\frac) (?=\{)|(?<=\\sqrt) (?=[{\[])", ""),
        (r"√\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"√\s*(\d+|[a-z])", r"\\sqrt{\1}"),
        (r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}"),
        (r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{"),
        (r"\\frac\s*(\{[^{}]*\})\s*(\w)", r"\\frac\1{\2}"),
        (r"\\sqrt\s*(\d|[a-z])", r"\\sqrt{\1}"),
        (r"\^\s*(-?\d+)", r"^{\1}"),
        (r"\s+", " "),
        (r"(?<=[{(\[^_=<>+*/-]) |(?<!\d,) (?<=, )| (?=[})\]^_,=<>+*/%°-])", ""),  # 1, 234 is two numbers
        (r" ?\\(times|pm|cup|cap|in|ge|le|ne)(?![a-z]) ?", r"\\\1 "),
        (r"\{(\d+)\}(?=/)|(?<=/)\{(\d+)\}", r"\1\2"),
    )
)


def normalise(answer: str) -> str:
    """The answer written one way: signs folded, layout, marks of mathematics and words such as 答案是 taken away.

    A `~` stands before words that TeX's \\text{} or plain prose show to be words: `5~m` is five metres, `5m` a product.
    """
    prose = "$" not in answer and "\\" not in answer
    text = unicodedata.normalize("NFKC", answer.translate(_BEFORE_FOLDING)).translate(_SIGNS).replace("~", " ")
    text = _without_dollars(_bare(unboxed(text)))
    while (inner := _UNWRAP.sub(r"~\1", text)) != text:
        text = inner
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    if prose:
        text = re.sub(r"(?<=\d) (?=[A-Za-z])", "~", text)
    text = re.sub(r"[ ~]*~[ ~]*", "~", text)
    text = re.sub(r"(?<![\w})])~|~(?=[^A-Za-z])", " ", text)
    return _bare(re.sub(r"(?<=[-+(\[=]) ", "", text))


def _without_dollars(text: str) -> str:
    """Without the marks of mathematics; the sign of money stays: \\$ and a $ that is alone."""
    parts = re.split(r"(?<!\\)\$", text)
    text = "$".join(parts) if len(parts) == 2 else " ".join(parts)
    return text.replace("\\$", "$").strip()


def _bare(text: str) -> str:
    """Without dollar signs, leading words and closing stops around it."""
    before = None
    while before != text:
        before = text
        text = text.strip().rstrip("。.;,").strip() if not text.strip().endswith(("\\;", "\\,")) else text.strip()
        text = _LEAD.sub("", text, count=1) if _LEAD.match(text) else text
        for start, end in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
            inside = text[len(start) : len(text) - len(end)]
            if text.startswith(start) and text.endswith(end) and len(text) > len(start + end) and end not in inside:
                text = inside
    return text
