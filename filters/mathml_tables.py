"""What the leaves of MathML are called in TeX: characters, function names, accents, delimiters, widths.

Sources: the names are those of plain TeX, amsmath and amssymb that both MathJax and KaTeX know, so that what is written
can be shown by either. Letters of the mathematical alphabets need no table: their Unicode names say style and letter.
"""

from __future__ import annotations

import unicodedata

_GREEK = """
α alpha β beta γ gamma δ delta ε varepsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu ξ xi π pi ρ rho
σ sigma ς varsigma τ tau υ upsilon φ varphi χ chi ψ psi ω omega ϵ epsilon ϑ vartheta ϕ phi ϖ varpi ϱ varrho ϰ varkappa
Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma Υ Upsilon Φ Phi Ψ Psi Ω Omega ϒ Upsilon ϝ digamma µ mu Ω Omega
"""
_LETTERS = """
ℏ hbar ı imath ȷ jmath ℓ ell ℘ wp ℜ Re ℑ Im ∂ partial ∞ infty ∅ emptyset ∇ nabla ∀ forall ∃ exists ∄ nexists ¬ neg
ℵ aleph ℶ beth ℷ gimel ℸ daleth ℧ mho ð eth ∁ complement ⊤ top ⊥ bot ∠ angle ∡ measuredangle ∢ sphericalangle
△ triangle ▽ triangledown □ square ■ blacksquare ▲ blacktriangle ▼ blacktriangledown ◊ lozenge ⧫ blacklozenge
★ bigstar ♠ spadesuit ♡ heartsuit ♢ diamondsuit ♣ clubsuit ♭ flat ♮ natural ♯ sharp ✓ checkmark ′ prime ‵ backprime
… ldots ⋯ cdots ⋮ vdots ⋱ ddots § S ¶ P † dagger ‡ ddagger Å mathring{A} ⋰ iddots ◯ bigcirc ∎ blacksquare
"""
_RELATIONS = """
≤ le ≥ ge ≠ ne ≡ equiv ∼ sim ≃ simeq ≅ cong ≈ approx ≊ approxeq ∽ backsim ≍ asymp ≐ doteq ∝ propto ≪ ll ≫ gg ⋘ lll ⋙ ggg
≦ leqq ≧ geqq ⩽ leqslant ⩾ geqslant ≲ lesssim ≳ gtrsim ≶ lessgtr ≷ gtrless ≺ prec ≻ succ ⪯ preceq ⪰ succeq
≼ preccurlyeq ≽ succcurlyeq ≾ precsim ≿ succsim ⪅ lessapprox ⪆ gtrapprox ⋖ lessdot ⋗ gtrdot ≨ lneqq ≩ gneqq ⪇ lneq
⪈ gneq ∈ in ∋ ni ∉ notin ⊂ subset ⊃ supset ⊆ subseteq ⊇ supseteq ⊊ subsetneq ⊋ supsetneq ⊈ nsubseteq ⊉ nsupseteq
⫅ subseteqq ⫆ supseteqq ⋐ Subset ⋑ Supset ⊏ sqsubset ⊐ sqsupset ⊑ sqsubseteq ⊒ sqsupseteq ⊢ vdash ⊣ dashv ⊨ models
⊩ Vdash ⊪ Vvdash ⊬ nvdash ⊭ nvDash ∣ mid ∤ nmid ∥ | ∦ nparallel ⟂ perp ⋈ bowtie ⌣ smile ⌢ frown ≜ triangleq
≝ overset{\\mathrm{def}}{=} ≟ overset{?}{=} ≔ coloneqq ≕ eqqcolon ≗ circeq ≏ bumpeq ≎ Bumpeq ≑ doteqdot ≓ risingdotseq
≒ fallingdotseq ⊲ vartriangleleft ⊳ vartriangleright ⊴ trianglelefteq ⊵ trianglerighteq ◁ triangleleft ▷ triangleright
◃ triangleleft ▹ triangleright ⋪ ntriangleleft ⋫ ntriangleright ⋬ ntrianglelefteq ⋭ ntrianglerighteq ≬ between
⋔ pitchfork ∴ therefore ∵ because ≁ nsim ≄ not\\simeq ≆ not\\cong ≇ ncong ≉ not\\approx ≢ not\\equiv ≮ nless ≯ ngtr
≰ nleq ≱ ngeq ⊀ nprec ⊁ nsucc ⊄ not\\subset ⊅ not\\supset ⋠ npreceq ⋡ nsucceq ∌ not\\ni
≭ not\\asymp ⊧ models ∷ mathrel{::}
"""
_OPERATORS = """
± pm ∓ mp × times ÷ div ⋅ cdot · cdot ∗ ast ⋆ star ∘ circ ∙ bullet • bullet ∩ cap ∪ cup ⊎ uplus ⊓ sqcap ⊔ sqcup
∨ vee ∧ wedge ∖ setminus ⧵ setminus ≀ wr ⋄ diamond ⊕ oplus ⊖ ominus ⊗ otimes ⊘ oslash ⊙ odot ⊚ circledcirc ⊛ circledast
⊝ circleddash ⊞ boxplus ⊟ boxminus ⊠ boxtimes ⊡ boxdot ⋉ ltimes ⋊ rtimes ⋋ leftthreetimes ⋌ rightthreetimes ⊻ veebar
⊼ barwedge ⌅ barwedge ⋏ curlywedge ⋎ curlyvee ⋒ Cap ⋓ Cup ∔ dotplus ⋇ divideontimes ⨿ amalg ⊺ intercal ⌆ doublebarwedge
△ triangle ⊍ mathbin{\\dot\\cup} ∸ mathbin{\\dot{-}}
"""
_ARROWS = """
← leftarrow → to ↑ uparrow ↓ downarrow ↔ leftrightarrow ↕ updownarrow ⇐ Leftarrow ⇒ Rightarrow ⇑ Uparrow ⇓ Downarrow
⇔ Leftrightarrow ⇕ Updownarrow ⟵ longleftarrow ⟶ longrightarrow ⟷ longleftrightarrow ⟸ Longleftarrow ⟹ Longrightarrow
⟺ Longleftrightarrow ↦ mapsto ⟼ longmapsto ↩ hookleftarrow ↪ hookrightarrow ↼ leftharpoonup ↽ leftharpoondown
⇀ rightharpoonup ⇁ rightharpoondown ⇌ rightleftharpoons ⇋ leftrightharpoons ↗ nearrow ↘ searrow ↙ swarrow ↖ nwarrow
↠ twoheadrightarrow ↞ twoheadleftarrow ↣ rightarrowtail ↢ leftarrowtail ⇉ rightrightarrows ⇇ leftleftarrows
⇄ rightleftarrows ⇆ leftrightarrows ⇈ upuparrows ⇊ downdownarrows ↝ leadsto ⇝ rightsquigarrow ↭ leftrightsquigarrow
↛ nrightarrow ↚ nleftarrow ↮ nleftrightarrow ⇏ nRightarrow ⇍ nLeftarrow ⇎ nLeftrightarrow ⊸ multimap ↺ circlearrowleft
↻ circlearrowright ↶ curvearrowleft ↷ curvearrowright ⇛ Rrightarrow ⇚ Lleftarrow ↾ upharpoonright ↿ upharpoonleft
⇃ downharpoonleft ⇂ downharpoonright ↫ looparrowleft ↬ looparrowright ↰ Lsh ↱ Rsh ⇢ dashrightarrow ⇠ dashleftarrow
"""
_LARGE = """
∑ sum ∏ prod ∐ coprod ∫ int ∬ iint ∭ iiint ⨌ iiiint ∮ oint ∯ oiint ∰ oiiint ⋂ bigcap ⋃ bigcup ⋀ bigwedge ⋁ bigvee
⨀ bigodot ⨁ bigoplus ⨂ bigotimes ⨄ biguplus ⨆ bigsqcup ⨃ bigcup
"""
_DELIMITERS = """
⟨ langle ⟩ rangle 〈 langle 〉 rangle 〈 langle 〉 rangle ⌊ lfloor ⌋ rfloor ⌈ lceil ⌉ rceil ‖ | ⟦ llbracket ⟧ rrbracket
⟮ lgroup ⟯ rgroup ⎰ lmoustache ⎱ rmoustache ⌜ ulcorner ⌝ urcorner ⌞ llcorner ⌟ lrcorner { { } }
"""
_ESCAPED = {"\\": "\\backslash", "~": "\\sim", "^": "\\wedge", **{c: "\\" + c for c in "$%&#_"}}
_PLAIN = {
    "−": "-", "–": "-", "‐": "-", "‑": "-", "∕": "/", "⁄": "/", "ˆ": "\\wedge", "∶": ":", "﹣": "-", "＋": "+",
    "＝": "=", "（": "(", "）": ")", "﹤": "<", "﹥": ">", "＜": "<", "＞": ">", "||": "\\|", "⩵": "==", "′′": "''",
    "″": "''", "‴": "'''", "⁗": "''''", "¨": "\\ddot{}", "⁎": "*", "ϐ": "\\beta", "\u2009": "\\,", "\u2003": "\\quad",
    "\u2002": "\\enspace", "\u2004": "\\;", "\u2005": "\\:", "\u2006": "\\,", "\u200a": "\\,", "\xa0": "~",
    "\u205f": "\\:", "\u3000": "\\quad", "°": "^{\\circ}",
    # function application, invisible times and comma, joiners, soft hyphen, variation selectors
    **dict.fromkeys("\u2061\u2062\u2063\u2064\u200b\u200c\u200d\u2060\ufeff\u00ad\ufe00\ufe0e\ufe0f", ""),
}  # fmt: skip


def _pairs(table: str) -> dict[str, str]:
    words = table.split()
    return {character: "\\" + name for character, name in zip(words[::2], words[1::2], strict=True)}


LARGE = _pairs(_LARGE)
DELIMITERS = _pairs(_DELIMITERS)
SYMBOLS = {
    **_pairs(_GREEK), **_pairs(_LETTERS), **_pairs(_RELATIONS), **_pairs(_OPERATORS), **_pairs(_ARROWS), **LARGE,
    **DELIMITERS, **_ESCAPED, **_PLAIN,
}  # fmt: skip
ARROWS = frozenset(_pairs(_ARROWS))
_FUNCTIONS = """
arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lg lim liminf limsup ln log max min
Pr sec sin sinh sup tan tanh injlim projlim
"""
_LIMITS = "det gcd inf lim liminf limsup max min Pr sup injlim projlim"
FUNCTIONS = frozenset(_FUNCTIONS.split())
LIMITS = frozenset(_LIMITS.split())
# operators that take their limits above and below without being told to
TAKES_LIMITS = frozenset([*(set(LARGE) - set("∫∬∭⨌∮∯∰"))])
OPENING = {"(": "(", "[": "[", "{": "\\{", "|": "|", "‖": "\\|", "∥": "\\|", "∣": "|", "": "."}
OPENING |= {c: DELIMITERS[c] for c in "⟨〈〈⌊⌈⟦⟮⎰⌜⌞"}
CLOSING = {")": ")", "]": "]", "}": "\\}", "|": "|", "‖": "\\|", "∥": "\\|", "∣": "|", "": "."}
CLOSING |= {c: DELIMITERS[c] for c in "⟩〉〉⌋⌉⟧⟯⎱⌝⌟"}
FENCES = {**OPENING, **CLOSING, "/": "/", "\\": "\\backslash", "↑": "\\uparrow", "↓": "\\downarrow", "[": "[", "]": "]"}
# what `\left( table \right)` is called
MATRICES = {
    "()": "pmatrix", "[]": "bmatrix", "{}": "Bmatrix", "||": "vmatrix", "∣∣": "vmatrix", "‖‖": "Vmatrix",
    "∥∥": "Vmatrix",
}  # fmt: skip
# accent over one letter, and over several
OVER = {
    "^": ("hat", "widehat"), "ˆ": ("hat", "widehat"), "̂": ("hat", "widehat"), "~": ("tilde", "widetilde"),
    "˜": ("tilde", "widetilde"), "∼": ("tilde", "widetilde"), "̃": ("tilde", "widetilde"), "¯": ("bar", "overline"),
    "ˉ": ("bar", "overline"), "̄": ("bar", "overline"), "‾": ("overline", "overline"), "―": ("overline", "overline"),
    "_": ("overline", "overline"), "̅": ("overline", "overline"), "−": ("bar", "overline"), "-": ("bar", "overline"),
    "–": ("bar", "overline"), "—": ("overline", "overline"), "→": ("vec", "overrightarrow"),
    "⃗": ("vec", "overrightarrow"), "⟶": ("overrightarrow", "overrightarrow"), "⇀": ("overset{\\rightharpoonup}",) * 2,
    "←": ("overleftarrow", "overleftarrow"), "⃖": ("overleftarrow", "overleftarrow"),
    "↔": ("overleftrightarrow", "overleftrightarrow"), "˙": ("dot", "dot"), ".": ("dot", "dot"), "̇": ("dot", "dot"),
    "¨": ("ddot", "ddot"), "̈": ("ddot", "ddot"), "..": ("ddot", "ddot"), "⃛": ("dddot", "dddot"), "...": ("dddot",) * 2,
    "⃜": ("ddddot",) * 2, "ˇ": ("check", "widecheck"), "̌": ("check", "widecheck"), "˘": ("breve", "breve"),
    "̆": ("breve", "breve"), "´": ("acute", "acute"), "́": ("acute", "acute"), "`": ("grave", "grave"),
    "̀": ("grave", "grave"), "˚": ("mathring", "mathring"), "̊": ("mathring", "mathring"),
    "⏞": ("overbrace", "overbrace"), "︷": ("overbrace", "overbrace"), "⎴": ("overbracket", "overbracket"),
    "⏜": ("overparen", "overparen"), "⌒": ("overparen", "overparen"), "︵": ("overparen", "overparen"),
}  # fmt: skip
UNDER = {
    "_": "underline", "¯": "underline", "̲": "underline", "‾": "underline", "―": "underline", "ˉ": "underline",
    "⏟": "underbrace", "︸": "underbrace", "⎵": "underbracket", "→": "underrightarrow", "←": "underleftarrow",
    "↔": "underleftrightarrow", "⏝": "underparen", "︶": "underparen", "~": "utilde", "˜": "utilde", "-": "underline",
    "−": "underline", "∼": "utilde",
}  # fmt: skip
XARROWS = {
    "→": "xrightarrow", "←": "xleftarrow", "⇒": "xRightarrow", "⇐": "xLeftarrow", "↔": "xleftrightarrow",
    "⇔": "xLeftrightarrow", "↦": "xmapsto", "↪": "xhookrightarrow", "↩": "xhookleftarrow", "⟶": "xrightarrow",
    "⟵": "xleftarrow", "⟹": "xRightarrow", "=": "xlongequal", "⇌": "xrightleftharpoons", "↠": "xtwoheadrightarrow",
}  # fmt: skip
VARIANTS = {
    "normal": "mathrm", "bold": "mathbf", "bold-italic": "boldsymbol", "double-struck": "mathbb", "script": "mathcal",
    "bold-script": "boldsymbol{\\mathcal", "fraktur": "mathfrak", "bold-fraktur": "boldsymbol{\\mathfrak",
    "sans-serif": "mathsf", "bold-sans-serif": "boldsymbol{\\mathsf", "sans-serif-italic": "mathsf",
    "sans-serif-bold-italic": "boldsymbol{\\mathsf", "monospace": "mathtt", "italic": "mathit",
    "-tex-calligraphic": "mathcal", "-tex-bold-calligraphic": "boldsymbol{\\mathcal", "-tex-mathit": "mathit",
    "-tex-oldstyle": "oldstyle",
}  # fmt: skip
TEXT_VARIANTS = {
    "bold": "textbf", "italic": "textit", "bold-italic": "textbf", "monospace": "texttt", "sans-serif": "textsf",
}  # fmt: skip
# the sizes that \big, \Big, \bigg, \Bigg have in MathJax, KaTeX (em) and LaTeXML (per cent), from the smallest
BIG = ((1.45, "\\big"), (1.9, "\\Big"), (2.25, "\\bigg"), (9.0, "\\Bigg"))
# what stands for a space of less than so many em
SPACES = (
    (-0.5, "\\!\\!"), (-0.1, "\\!"), (0.1, ""), (0.2, "\\,"), (0.25, "\\:"), (0.32, "\\;"), (0.45, "~"),
    (0.7, "\\enspace"), (1.4, "\\quad"), (9.0, "\\qquad"),
)  # fmt: skip
ENCLOSURES = {
    "box": "boxed", "updiagonalstrike": "cancel", "downdiagonalstrike": "bcancel", "top": "overline",
    "bottom": "underline", "radical": "sqrt", "updiagonalstrike downdiagonalstrike": "xcancel",
    "downdiagonalstrike updiagonalstrike": "xcancel",
}  # fmt: skip
_STYLES = (
    ("DOUBLE-STRUCK", "double-struck"), ("BOLD FRAKTUR", "bold-fraktur"), ("FRAKTUR", "fraktur"),
    ("BLACK-LETTER", "fraktur"), ("BOLD SCRIPT", "bold-script"), ("SCRIPT", "script"),
    ("SANS-SERIF BOLD", "bold-sans-serif"), ("SANS-SERIF", "sans-serif"), ("MONOSPACE", "monospace"),
    ("BOLD ITALIC", "bold-italic"), ("BOLD", "bold"), ("ITALIC", ""),
)  # fmt: skip
_LETTERLIKE = range(0x2100, 0x2150)
_ALPHANUMERIC = range(0x1D400, 0x1D800)


def unstyled(character: str) -> tuple[str, str]:
    """(plain character, mathvariant) of a letter of the mathematical alphabets; the variant is "" for other ones."""
    code = ord(character)
    if (code not in _ALPHANUMERIC and code not in _LETTERLIKE) or character in SYMBOLS:
        return character, ""
    name = unicodedata.name(character, "")
    for word, variant in _STYLES:
        if word in name:
            return unicodedata.normalize("NFKC", character), variant
    return character, ""
