"""Exact values of written numbers: digits, fractions, mixed numbers, repeating decimals, Chinese numerals."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_LENGTH = 80  # characters of a number; a longer one is no answer
MAX_EXPONENT = 60
DIGITS = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2}
POWERS = {"十": 10, "百": 100, "千": 1000}
MYRIADS = {"亿": 10**8, "万": 10**4}
CHINESE = re.compile(rf"[{''.join(DIGITS)}十百千万亿]+")

PLAIN = r"(?:\d+(?:\.\d+)?|\.\d+)"
WITH_COMMAS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
QUOTIENT = re.compile(rf"(?:\\frac\{{(-?{PLAIN})\}}\{{(-?{PLAIN})\}}|({PLAIN})/({PLAIN}))")
MIXED = re.compile(r"(\d+)(?: ?\\frac\{(\d+)\}\{(\d+)\}| (\d+)/(\d+))")
SCIENTIFIC = re.compile(rf"({PLAIN})(?:(?:\\times ?|\*)10\^(?:\{{(-?\d+)\}}|(\d))|[eE]([-+]?\d+))")
POWER_OF_TEN = re.compile(r"10\^(?:\{(-?\d+)\}|(\d))")
REPEATING = re.compile(r"(\d*)\.(\d*)(?:\\overline\{(\d+)\}|\((\d+)\))")
DOTTED = re.compile(r"\\dot\{(\d)\}(?:(\d*)\\dot\{(\d)\})?")
SHORT = re.compile(r"([\d.]+) ?([百千]?[万亿]|千|百)")


def value_of(text: str) -> Fraction | None:
    """The number that all of a normalised text writes, or None: `3\\frac{1}{2}`, `1,200`, `三分之二`, `5e3`."""
    text = text.strip()
    if not text or len(text) > MAX_LENGTH:
        return None
    if text[0] in "+-负":
        inner = value_of(text[1:])
        return None if inner is None or text[1:].lstrip()[:1] in "+-负" else inner * (-1 if text[0] != "+" else 1)
    return _western(text) if text.isascii() else _chinese(text)


def _western(text: str) -> Fraction | None:  # noqa: PLR0911 - one form of number a line
    if re.fullmatch(PLAIN, text):
        return Fraction(text)
    if WITH_COMMAS.fullmatch(text):
        return Fraction(text.replace(",", ""))
    if found := QUOTIENT.fullmatch(text):
        over, under = (Fraction(found[n] or found[n + 2]) for n in (1, 2))
        return over / under if under else None
    if found := MIXED.fullmatch(text):
        parts = int(found[3] or found[5])
        return int(found[1]) + Fraction(int(found[2] or found[4]), parts) if parts else None
    if found := SCIENTIFIC.fullmatch(text):
        return _scaled(Fraction(found[1]), int(found[2] or found[3] or found[4]))
    if found := POWER_OF_TEN.fullmatch(text):
        return _scaled(Fraction(1), int(found[1] or found[2]))
    text = DOTTED.sub(lambda m: f"\\overline{{{m[1]}{m[2] or ''}{m[3] or ''}}}", text)
    if found := REPEATING.fullmatch(text):
        whole, first, again = found[1] or "0", found[2], found[3] or found[4]
        nines = int(whole + first + again) - int(whole + first)
        return Fraction(nines, (10 ** len(again) - 1) * 10 ** len(first))
    return None


def _scaled(number: Fraction, exponent: int) -> Fraction | None:
    return number * Fraction(10) ** exponent if abs(exponent) <= MAX_EXPONENT else None


def _chinese(text: str) -> Fraction | None:
    """三分之二, 三又二分之一, 三点一四, 一半, 3万."""
    if text in ("半", "一半", "二分之一"):
        return Fraction(1, 2)
    whole, again, rest = text.partition("又")
    if again:
        first, second = value_of(whole), value_of(rest)
        return first + second if first is not None and second is not None and "分之" in rest + "/" else None
    under, of, over = text.partition("分之")
    if of:
        first, second = value_of(under), value_of(over)
        return second / first if first and second is not None else None
    if found := SHORT.fullmatch(text):
        number, scale = value_of(found[1]), chinese_integer(_one_before(found[2]))
        return number * scale if number is not None and scale is not None else None
    whole, point, rest = text.partition("点")
    if point:
        digits = "".join(str(DIGITS[c]) for c in rest if c in DIGITS)
        integer = chinese_integer(whole)
        return Fraction(f"{integer}.{digits}") if integer is not None and digits and len(digits) == len(rest) else None
    number_ = chinese_integer(text)
    return None if number_ is None else Fraction(number_)


def _one_before(powers: str) -> str:
    return powers if powers in MYRIADS else "一" + powers


def chinese_integer(text: str) -> int | None:
    """The integer that Chinese numerals write: 十二, 三百零五, 两万, 二〇二四, 三百五 (350); None for others."""
    if not CHINESE.fullmatch(text):
        return None
    if text in MYRIADS:
        return MYRIADS[text]
    if all(c in DIGITS for c in text):  # 二三 may also mean two or three
        plain = len(text) == 1 or len(text) > 2 or text[0] in "零〇"
        return int("".join(str(DIGITS[c]) for c in text)) if plain else None
    for sign, size in MYRIADS.items():
        if sign in text:
            above, _, below = text.rpartition(sign)
            first, second = chinese_integer(above), _below(below, size)
            return None if first is None or second is None else first * size + second
    return _to_ten_thousand(text)


def _below(text: str, size: int) -> int | None:
    """What follows 万 or 亿; a single digit there is of the next lower place: 三万五 is 35,000."""
    if not text:
        return 0
    if len(text) == 1 and text in DIGITS:
        return DIGITS[text] * size // 10
    number = chinese_integer(text.lstrip("零〇"))
    return number if number is not None and number < size else None


def _to_ten_thousand(text: str) -> int | None:
    total, digit, last, zero = 0, None, 10_000, False
    for sign in text:
        if sign in POWERS:
            size = POWERS[sign]
            if size >= last or (digit is None and size != 10) or digit == 0:
                return None
            total += (1 if digit is None else digit) * size
            digit, last, zero = None, size, False
        elif sign in "零〇":
            if digit is not None or zero:
                return None
            zero = True
        else:
            if digit is not None:
                return None
            digit = DIGITS[sign]
    if digit is not None:
        total += digit * (last // 10 if last > 10 and not zero and last < 10_000 else 1)
    return total
