"""The slow twin of Chinese numerals: writes an integer place by place, as it is said."""

from __future__ import annotations

DIGITS = "零一二三四五六七八九"


def four_places(number: int) -> str:
    """1 to 9,999, with one 零 for a gap between its digits, and none at its start."""
    said, gap = "", False
    for place, sign in zip((1000, 100, 10, 1), "千百十 ", strict=True):
        digit = number // place % 10
        if digit:
            said += ("零" if gap and said else "") + DIGITS[digit] + sign.strip()
            gap = False
        else:
            gap = True
    return said


def chinese(number: int) -> str:
    """0 to 10**12 - 1."""
    if number == 0:
        return "零"
    said = ""
    for place, sign in ((10**8, "亿"), (10**4, "万"), (1, "")):
        group = number // place % 10_000
        if group:
            said += ("零" if said and group < 1000 else "") + four_places(group) + sign
    return said.removeprefix("一") if said.startswith("一十") else said
