"""AsciiMath to TeX: a scanner for the longest symbol, and a parser by precedence (scripts bind tighter than `/`).

Source: the grammar at asciimath.org. Text that is no AsciiMath is carried through sign by sign, so nothing fails; what
is nested deeper than MAX_DEPTH stays as it was typed.
"""

from __future__ import annotations

import re
from functools import lru_cache

from filters.mathml import AFTER_COMMAND

MAX_DEPTH = 40  # brackets inside one another; Python's recursion ends at some 1,000 frames, and a level takes four
_SAME = """
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho sigma tau upsilon
phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega cdot ast star times div ltimes rtimes bowtie
circ oplus otimes odot sum prod wedge vee cap cup ne lt gt le ge ll gg prec succ preceq succeq in notin subset supset
subseteq supseteq equiv sim cong approx propto neg implies iff forall exists bot top vdash models langle rangle partial
nabla pm mp emptyset infty aleph therefore because ldots cdots vdots ddots quad angle frown triangle diamond square
lfloor rfloor lceil rceil uparrow downarrow rightarrow leftarrow leftrightarrow Rightarrow Leftarrow Leftrightarrow to
mapsto sin cos tan sec csc cot sinh cosh tanh coth arcsin arccos arctan exp log ln det dim gcd lim min max sup inf ker
hom deg int oint hbar ell Re Im setminus backslash rightarrowtail twoheadrightarrow prime mod
"""
_OTHER = """
+- pm -+ mp ** ast *** star // / \\\\ backslash xx times -: div @ circ o+ oplus ox otimes o. odot ^^ wedge vv vee nn cap
uu cup ^^^ bigwedge vvv bigvee nnn bigcap uuu bigcup != ne <= le >= ge -< prec >- succ -<= preceq >-= succeq !in notin
sub subset sup supset sube subseteq supe supseteq -= equiv ~= cong ~~ approx ~ sim prop propto not neg => implies <=>
iff AA forall EE exists _|_ bot TT top |-- vdash |== models del partial grad nabla O/ emptyset oo infty :. therefore
:' because ... ldots |...| ldots uarr uparrow darr downarrow rarr rightarrow -> to |-> mapsto larr leftarrow harr
leftrightarrow rArr Rightarrow lArr Leftarrow hArr Leftrightarrow >-> rightarrowtail ->> twoheadrightarrow |>< ltimes
><| rtimes |><| bowtie /_ angle qquad qquad lub operatorname{lub} glb operatorname{glb} lcm operatorname{lcm}
CC mathbb{C} NN mathbb{N} QQ mathbb{Q} RR mathbb{R} ZZ mathbb{Z} sech operatorname{sech} csch operatorname{csch}
and text{~and~} or text{~or~} if text{if~}
"""
_UNARY = {
    "sqrt": "sqrt", "hat": "hat", "bar": "overline", "overline": "overline", "ul": "underline",
    "underline": "underline",
    "vec": "vec", "tilde": "tilde", "dot": "dot", "ddot": "ddot", "obrace": "overbrace", "overbrace": "overbrace",
    "ubrace": "underbrace", "underbrace": "underbrace", "cancel": "cancel", "bb": "mathbf", "mathbf": "mathbf",
    "bbb": "mathbb", "mathbb": "mathbb", "cc": "mathcal", "mathcal": "mathcal", "tt": "mathtt", "mathtt": "mathtt",
    "fr": "mathfrak", "mathfrak": "mathfrak", "sf": "mathsf", "mathsf": "mathsf", "rm": "mathrm", "mathrm": "mathrm",
}  # fmt: skip
_FENCED = {
    "abs": ("|", "|"), "norm": ("\\|", "\\|"), "floor": ("\\lfloor ", "\\rfloor "), "ceil": ("\\lceil ", "\\rceil "),
}  # fmt: skip
_BINARY = {"frac": "frac", "root": "root", "stackrel": "overset", "overset": "overset", "underset": "underset"}
_TEXT = frozenset(["text", "mbox"])
_IGNORED_ARGUMENT = frozenset(["color", "class", "id", "mathcolor"])
_LEFT = {"(": "(", "[": "[", "{": "\\{", "(:": "\\langle ", "{:": ".", "<<": "\\langle ", "langle": "\\langle "}
_RIGHT = {")": ")", "]": "]", "}": "\\}", ":)": "\\rangle ", ":}": ".", ">>": "\\rangle ", "rangle": "\\rangle "}
_MATRICES = {"[]": "bmatrix", "()": "pmatrix", "{}": "Bmatrix", "||": "vmatrix"}


def _symbols() -> dict[str, str]:
    other = _OTHER.split()
    table = {name: "\\" + name for name in _SAME.split()}
    for typed, meaning in zip(other[::2], other[1::2], strict=True):
        table[typed] = meaning if meaning == "/" else "\\" + meaning.replace("~", " ")
    return table | {"mod": "\\bmod"} | {d: d for d in ("dx", "dy", "dz", "dt")}


_SYMBOLS = _symbols()
_WORDS = [*_SYMBOLS, *_UNARY, *_FENCED, *_BINARY, *_TEXT, *_IGNORED_ARGUMENT, *_LEFT, *_RIGHT]
_LEXER = re.compile(
    r'\s*(?:(?P<quoted>"[^"]*")|(?P<number>\d+(?:\.\d+)?)|(?P<symbol>'
    + "|".join(re.escape(w) for w in sorted(_WORDS, key=len, reverse=True))
    + r")|(?P<other>\S))",
    re.DOTALL,
)
_BRACED_TEXT = re.compile(r"\s*(?:\(([^()]*)\)|\{([^{}]*)\}|\[([^][]*)\]|\"([^\"]*)\")")
_ESCAPES = str.maketrans({c: "\\" + c for c in "#$%&_{}"})


@lru_cache(maxsize=512)
def to_tex(source: str) -> str:
    """The TeX of an AsciiMath formula, without delimiters; never fails."""
    tex = _Parser(source).expression("")
    return AFTER_COMMAND.sub(r"\1", tex).strip()


class _Parser:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.depth = 0
        self.kind, self.word = "", ""
        self._next()

    def _next(self) -> None:
        match = _LEXER.match(self.source, self.at)
        if match is None:
            self.kind, self.word = "end", ""
            return
        self.at = match.end()
        self.kind, self.word = str(match.lastgroup), match[0].strip()

    def expression(self, closing: str) -> str:
        """Everything up to a closing bracket (any closes any) or the end; at the top, brackets that close nothing."""
        parts: list[str] = []
        while self.kind != "end":
            if self.word in _RIGHT and self.kind == "symbol":
                if closing or self.depth:
                    break
                parts.append(_RIGHT[self.word].replace(".", ""))
                self._next()
                continue
            if closing == "|" and self.word == "|":
                break
            parts.append(self._fraction())
        return "".join(parts)

    def _fraction(self) -> str:
        """A term, or two with a `/` between them."""
        above = self._scripted()
        if self.word != "/" or self.kind != "other":
            return above
        self._next()
        below = self._scripted() if self.kind != "end" else ""
        return f"\\frac{{{_bare(above)}}}{{{_bare(below)}}}"

    def _scripted(self) -> str:
        base = self._simple()
        for mark in ("_", "^"):
            if self.kind == "other" and self.word == mark:
                self._next()
                base = base.rstrip() + mark + _script(_bare(self._simple() if self.kind != "end" else ""))
        return base

    def _simple(self) -> str:
        """One symbol, a group in brackets, or a function with its argument."""
        kind, word = self.kind, self.word
        if self.depth >= MAX_DEPTH:
            return self._rest()
        if kind == "quoted":
            self._next()
            return f"\\text{{{word[1:-1].translate(_ESCAPES)}}}"
        if kind == "number":
            self._next()
            return word
        if kind == "other":
            return self._bars() if word == "|" else self._sign(word)
        return self._named(word)

    def _named(self, word: str) -> str:
        if word in _RIGHT:  # an argument is missing; who opened the bracket will close it
            return ""
        if word in _LEFT:
            return self._group()
        return self._text() if word in _TEXT else self._function(word)

    def _sign(self, word: str) -> str:
        self._next()
        if word in "_^" or word == "\\":  # an index without a base, or a backslash typed before a name
            return "{}" if word in "_^" else ""
        return word.translate(_ESCAPES)

    def _rest(self) -> str:
        rest = self.word + self.source[self.at :]
        self.at, self.kind, self.word = len(self.source), "end", ""
        return f"\\text{{{rest.translate(_ESCAPES)}}}"

    def _function(self, word: str) -> str:
        self._next()
        if self.kind == "end" or word in _SYMBOLS:
            symbol = _SYMBOLS.get(word, word)
            return symbol + " " if symbol[-1:].isalpha() else symbol
        self.depth += 1
        try:
            return self._applied(word)
        finally:
            self.depth -= 1

    def _applied(self, word: str) -> str:
        if word in _UNARY:
            return f"\\{_UNARY[word]}{{{_bare(self._simple())}}}"
        if word in _FENCED:
            left, right = _FENCED[word]
            return f"\\left{left}{_bare(self._simple())}\\right{right}"
        first = _bare(self._simple())
        if self.kind == "end":
            return first
        second = _bare(self._simple())
        if word in _IGNORED_ARGUMENT:
            return second
        return f"\\sqrt[{first}]{{{second}}}" if word == "root" else f"\\{_BINARY[word]}{{{first}}}{{{second}}}"

    def _text(self) -> str:
        match = _BRACED_TEXT.match(self.source, self.at)
        if match is None:
            self._next()
            return ""
        self.at = match.end()
        self._next()
        words = next(g for g in match.groups() if g is not None)
        return f"\\text{{{words.translate(_ESCAPES)}}}"

    def _bars(self) -> str:
        """|x|: bars that close again; a single one is a sign."""
        start = self.at
        self._next()
        if self.depth or "|" not in self.source[start:]:
            return "|"
        self.depth += 1
        body = self.expression("|")
        self.depth -= 1
        if self.word != "|":
            return "|" + body
        self._next()
        return f"\\left|{body}\\right|"

    def _group(self) -> str:
        """Something in brackets: a matrix where it is a list of lists of equal length."""
        opening, start = self.word, self.at
        self._next()
        self.depth += 1
        body = self.expression(")")
        self.depth -= 1
        inner = self.source[start : self.at - len(self.word)] if self.word else self.source[start:]
        closing = self.word if self.kind == "symbol" and self.word in _RIGHT else ""
        if closing:
            self._next()
        if (matrix := _matrix(inner, opening, closing)) is not None:
            return matrix
        left, right = _LEFT[opening], _RIGHT.get(closing, "")
        if not closing:
            return left.replace(".", "") + body
        if "." in (left, right) or any(tall in body for tall in ("\\frac", "\\sum", "\\int", "matrix")):
            return f"\\left{left}{body}\\right{right}"
        return left + body + right


def _bare(tex: str) -> str:
    """An argument without the brackets that only hold it together."""
    tex = tex.strip()
    for left, right in (("\\left(", "\\right)"), ("(", ")"), ("[", "]"), ("\\{", "\\}"), ("\\left.", "\\right.")):
        if tex.startswith(left) and tex.endswith(right) and len(tex) >= len(left) + len(right):
            inner = tex[len(left) : len(tex) - len(right)]
            if _balanced(inner, left[-1], right[-1]):
                return inner.strip()
    return tex


def _balanced(tex: str, left: str, right: str) -> bool:
    level = 0
    for character in tex:
        level += (character == left) - (character == right)
        if level < 0:
            return False
    return level == 0


def _script(tex: str) -> str:
    return tex if len(tex) == 1 and tex.isalnum() else "{" + tex + "}"


def _matrix(inner: str, opening: str, closing: str) -> str | None:
    """The TeX of [[a,b],[c,d]]; None where the brackets hold something else."""
    lists = _lists(inner)
    if lists is None:
        return None
    rows = [[to_tex(cell) for cell in row] for row in lists]
    if len({len(row) for row in rows}) > 1:
        return None
    body = " \\\\ ".join(" & ".join(row) for row in rows)
    if opening == "{" and closing in (":}", ""):
        return f"\\begin{{cases}} {body} \\end{{cases}}"
    name = _MATRICES.get(opening + closing, "matrix")
    return f"\\begin{{{name}}} {body} \\end{{{name}}}"


def _lists(inner: str) -> list[list[str]] | None:
    """The cells of `[a,b],[c,d]`: two or more bracketed lists with commas between them, and nothing else."""
    inner = inner.strip()
    if inner[:1] not in ("(", "[") or len(inner) > 5_000:
        return None
    rows: list[list[str]] = []
    cell: list[str] = []
    level = 0
    for character in inner:
        level += (character in "([{") - (character in ")]}")
        if level == 1 and character in "([" and not cell:
            rows.append([])
        elif (level == 1 and character == ",") or (level == 0 and character in ")]"):
            rows[-1].append("".join(cell))
            cell = []
        elif level < 0 or (level == 0 and character not in ", \t\n"):
            return None
        elif level:
            cell.append(character)
    return rows if len(rows) > 1 and level == 0 else None
