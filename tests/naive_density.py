"""What `filters.density` counts, plainly: one text at a time, no table, no kernel."""

from __future__ import annotations

import math
import re
from collections import Counter

from filters import density
from filters.text import token_strings

_SYMBOL = re.compile("[\u2040-\u20bf\u2180-\u22ff\u27c0-\u27ff\u2980-\u2aff\u0380-\u03ff\U0001d000-\U0001dfff±²³¹×÷]")
_COMMAND = re.compile(r"\\[A-Za-z]")
_DELIMITER = re.compile(r"\\[()\[\]]|\$(?!\$)")


def terms_of(text: str) -> tuple[Counter[str], int]:
    """(tokens in terms of each kind, how many terms of the first kinds there are), the longest term first."""
    terms = {
        tuple(token_strings(term)): (kind, number)
        for number, (kind, term) in enumerate((k, t) for k, found in density._read_terms().items() for t in found)
    }
    longest = max(map(len, terms))
    tokens = token_strings(text)
    counts, seen, at = Counter[str](), set[int](), 0
    while at < len(tokens):
        for length in range(min(longest, len(tokens) - at), 0, -1):
            if found := terms.get(tuple(tokens[at : at + length])):
                counts[found[0]] += length
                if found[0] in density._DISTINCT_KINDS:
                    seen.add(found[1])
                at += length
                break
        else:
            at += 1
    return counts, len(seen)


def features(text: str) -> list[float]:
    """The features of a text in the order of `density.names`."""
    tokens = token_strings(text)
    size = max(1, len(tokens))
    counts, distinct = terms_of(text)
    counts["distinct"] = distinct * math.sqrt(size)  # type: ignore[assignment]
    before = -2
    for token in tokens:
        value = int(token) if re.fullmatch("[0-9]{1,6}", token) else -2
        if token[0] in "0123456789":
            counts["gutter" if value >= 0 and value == before + 1 else "number"] += 1
        elif len(token) == 1:
            counts["cjk" if re.match("[\u3005-\u9fff\uf900-\ufaff\U00020000-\U0010ffff]", token) else "letter"] += 1
        before = value
    counts["command"] = len(_COMMAND.findall(text))
    counts["delimiter"] = len(_DELIMITER.findall(text))
    counts["symbol"] = len(_SYMBOL.findall(text))
    for name, signs in (("script", "^_"), ("bracket", ";{}()[]"), ("quote", "\"'"), ("operator", "+-*/=<>")):
        counts[name] = sum(text.count(sign) for sign in signs)
    known = density.names()
    chinese = counts["cjk"] > density._CHINESE_SHARE * size
    plain = {name: math.log1p(density._STEEP * counts[name] / size) for name in known if " " not in name}
    plain["length"] = math.log(size)
    return [plain[n] if " " not in n else plain[n.partition(" ")[0]] * chinese for n in known]
