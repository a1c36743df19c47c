"""Compares two expressions in LaTeX, in a process of its own: a power tower cannot be interrupted, only killed.

The only file that imports math_verify, whose reading of LaTeX it uses. What is read is then compared by value, to
30 digits, at points where it has variables: math-verify's own comparison holds 0.333333 for one third. One line of JSON
asks (a list of one or two texts), one line answers: equal, different or unknown. The argument is the limit of each in
seconds of CPU.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import signal
import sys
from itertools import pairwise
from typing import Any

MEMORY_BYTES = 1 << 30
DIGITS = 30
CLOSE = 20  # of the digits, those that two equal values share
POINTS = ("1.37", "2.81", "0.43", "5.19", "0.071", "3.61")  # values of the variables, each shifted for the next one
CASED = re.compile(r"\\[A-Za-z]+")


def compare(left: str, right: str) -> str:
    """Whether two expressions have one value."""
    from sympy import Expr, Symbol

    first, second = read(left), read(right)
    if first is None or second is None:
        return "unknown"
    letters = [CASED.sub("", text) for text in (left, right)]
    if letters[0] != letters[1] and letters[0].lower() == letters[1].lower():
        return "unknown"  # the parser folds capitals
    pairs = [(first, second)]
    if isinstance(first, tuple) and isinstance(second, tuple):
        return same_equation(first, second)
    if isinstance(first, tuple) or isinstance(second, tuple):
        return "unknown"
    if not all(isinstance(side, Expr) for side in pairs[0]):
        return "equal" if first == second else "unknown"
    return same_value(first - second, first, sorted(first.free_symbols | second.free_symbols, key=Symbol.sort_key))


def read(text: str) -> Any:
    """A sympy object, a pair of them for an equation, or None where it is not understood."""
    from math_verify import LatexExtractionConfig, parse
    from math_verify.parser import NormalizationConfig
    from sympy import Eq, Expr, Float, I, Integer, Rational

    keep = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
    config = LatexExtractionConfig(normalization_config=keep, boxed_match_priority=-1)
    text = text.replace("\\lg", "\\log_{10}").replace("~", " ")
    found = parse(f"${text}$", extraction_config=[config], fallback_mode="no_fallback", parsing_timeout=None)
    if len(found) != 1:
        return None
    [whole] = found
    if isinstance(whole, Eq):
        return whole.lhs, whole.rhs
    if isinstance(whole, int):
        return Integer(whole)
    if isinstance(whole, Expr):
        exact = {number: Rational(str(number)) for number in whole.atoms(Float)}
        return whole.xreplace(exact | {name: I for name in whole.free_symbols if name.name == "i"})
    return whole


def same_value(difference: Any, scale: Any, names: list[Any]) -> str:
    """Whether a difference is zero: at each point where it can be computed, and there are enough of those."""
    zeros = 0
    for at in range(len(POINTS) if names else 1):
        values = point(names, at)
        size, off = (abs(side.evalf(DIGITS, subs=values)) for side in (scale, difference))
        if not (size.is_Float or size.is_Integer or size.is_zero) or not (
            off.is_Float or off.is_Integer or off.is_zero
        ):
            continue
        if off > max(size, 1 if names else size) * 10**-CLOSE and off > 10 ** -(DIGITS + CLOSE):
            return "different"
        zeros += 1
    return "equal" if zeros > len(POINTS) // 2 or (zeros and not names) else "unknown"


def point(names: list[Any], at: int) -> dict[Any, Any]:
    """Values of the variables, no two alike."""
    from sympy import Rational

    return {name: Rational(POINTS[at]) + Rational(n * (at + 2), 7) for n, name in enumerate(names)}


def same_equation(first: tuple[Any, Any], second: tuple[Any, Any]) -> str:
    """Whether one equation is a multiple of the other: then they have the same solutions."""
    from sympy import Symbol

    left, right = first[0] - first[1], second[0] - second[1]
    names = sorted(left.free_symbols | right.free_symbols, key=Symbol.sort_key)
    quotients = [(left / right).evalf(DIGITS, subs=point(names, at)) for at in range(len(POINTS))]
    if not names or not all(quotient.is_Float for quotient in quotients):
        return "unknown"
    close = all(abs(one - other) <= abs(one) * 10**-CLOSE for one, other in pairwise(quotients))
    return "equal" if close else "unknown"


def main() -> None:
    """Keeps a child that answers: a fork is a hundredth of the price of importing sympy again."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    read("1+x")  # what is imported lazily
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        child = os.fork()
        if child == 0:
            serve()
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return
        sys.stdout.write("unknown timeout\n")
        sys.stdout.flush()


def serve() -> None:
    """Answers requests until there are no more, or one takes too long: then this process is ended by a signal."""
    for line in sys.stdin:
        texts = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))  # SIGPROF ends even one long multiplication
        try:
            told = compare(texts[0], texts[-1])
        except Exception as error:  # noqa: BLE001 - a text that sympy cannot take is no answer: unknown, with the reason
            told = f"unknown {type(error).__name__}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(told + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
