"""Units that follow a number, in English and Chinese: which are the same, and how many of one make another."""

from __future__ import annotations

import re
from fractions import Fraction

PERCENT = "percent"
NOUN = "noun:"  # before what is counted: apples, 只

# kind: {size in the kind's own unit: names}. A name of one letter counts only where the text shows that it is a unit.
_KINDS: dict[str, dict[str, str]] = {
    PERCENT: {"1": "% percent 个百分点"},
    "angle": {"1": "° degree degrees 度 deg", "1/60": "arcmin ′"},
    "temperature": {"1": "°C 摄氏度 degrees~Celsius"},
    "length": {
        "1": "m meter meters metre metres 米 公尺", "1/10": "dm 分米", "1/100": "cm centimeter centimeters centimetre "
        "centimetres 厘米 公分", "1/1000": "mm millimeter millimeters millimetre millimetres 毫米",
        "1000": "km kilometer kilometers kilometre kilometres 千米 公里",
    },
    "length, English": {
        "1": "inch inches in", "12": "ft foot feet 英尺", "36": "yard yards yd", "63360": "mile miles 英里",
    },
    "area": {
        "1": "m^{2} square~meters square~metres square~meter sq~m 平方米", "1/10000": "cm^{2} square~centimeters "
        "square~centimetres sq~cm 平方厘米", "1/100": "dm^{2} 平方分米",
        "1000000": "km^{2} square~kilometers 平方千米 平方公里",
        "10000": "hectare hectares 公顷", "1/1000000": "mm^{2} 平方毫米",
    },
    "area, English": {"1": "square~inches in^{2} square~inch", "144": "square~feet ft^{2} sq~ft square~foot"},
    "volume": {
        "1": "L l liter liters litre litres 升 dm^{3} 立方分米", "1/1000": "mL ml milliliter "
        "milliliters 毫升 cm^{3} 立方厘米 cubic~centimeters", "1000": "m^{3} 立方米 cubic~meters cubic~metres",
    },
    "volume, English": {"1": "cubic~inches in^{3}", "1728": "cubic~feet ft^{3}"},
    "mass": {
        "1": "g gram grams 克", "1000": "kg kilogram kilograms 千克 公斤", "500": "斤", "1/1000": "mg 毫克",
        "1000000": "吨 tonne tonnes",
    },
    "mass, English": {"1": "ounce ounces oz", "16": "pound pounds lb lbs"},
    "time": {
        "1": "s second seconds sec 秒 秒钟", "60": "min minute minutes 分钟", "3600": "h hour hours hr hrs 小时 个小时",
        "86400": "day days 天 日", "604800": "week weeks 周 个星期 星期",
    },
    "long time": {"1": "month months 个月", "12": "year years 年 岁 years~old"},
    "yuan": {"1": "元 块钱 人民币 yuan RMB ¥", "1/10": "角 毛", "10000": "万元", "100000000": "亿元"},
    "dollars": {"1": "dollar dollars $ 美元 USD", "1/100": "cent cents ¢ 美分"},
    "speed": {"1": "km/h 千米/时 千米/小时 公里/小时 kilometers~per~hour", "18/5": "m/s 米/秒 meters~per~second"},
    "speed, English": {"1": "mph miles~per~hour mi/h"},
    "bare": {"1": "个 只 人 名 位 本 张 条 块 枝 支 棵 辆 匹 头 双 台 件 朵 次 种 倍 分 页 题 道 组 瓶 袋 "
             "箱 盒 架 艘 户 篇 根 颗 粒 "
             "段 层 排 间 幅 盆 筐 套 把 副 串 场 行 列 项 units unit times"},
}  # fmt: skip
UNITS = {
    name.replace("~", " "): (kind, Fraction(size))
    for kind, sizes in _KINDS.items()
    for size, names in sizes.items()
    for name in names.split()
}
PREFIXES = {"$": "$", "US$": "$", "¥": "元", "RMB": "元", "￥": "元"}
NO_NOUNS = frozenset(("pi", "sin", "cos", "tan", "cot", "sec", "csc", "log", "sqrt", "mod", "and"))

_SHOWN = {name for name in UNITS if re.fullmatch(r"[A-Za-z]{1}(\^\{\d\})?|in|min|l", name)}  # 5m may be a product
_PLAIN_NAMES = "|".join(re.escape(name) for name in sorted(set(UNITS) - _SHOWN, key=len, reverse=True))
_SHOWN_NAMES = "|".join(re.escape(name) for name in sorted(_SHOWN, key=len, reverse=True))
_SUFFIX = re.compile(rf"(?P<core>.*?[\w}})])(?:[ ~]*(?P<plain>{_PLAIN_NAMES})|~(?P<shown>{_SHOWN_NAMES}))")
_COUNTED = re.compile(r"(?P<core>.*?[\d}])[ ~]*(?P<paren>\()?(?P<noun>[A-Za-z][A-Za-z'\- ]*[a-z]|[一-鿿]+)(?(paren)\))")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)")


def split_unit(text: str) -> tuple[str, str, Fraction]:  # noqa: PLR0911 - one form a line
    """(what stands before the unit, kind of the unit or empty, how many of the kind's own unit it is).

    `bare` units (个, times) are dropped: kind and size are then as without.
    """
    for sign, name in PREFIXES.items():
        if text.startswith(sign) and len(text) > len(sign):
            return text[len(sign) :].strip(), *UNITS[name]
    if text.startswith("百分之"):
        return text[3:], PERCENT, Fraction(1)
    text = text[1:] if re.fullmatch(r"第[一二三四五六七八九十百\d]+", text) else text
    if found := _ORDINAL.fullmatch(text):
        return found[1], "", Fraction(1)
    if found := _SUFFIX.fullmatch(text):
        kind, size = UNITS[found["plain"] or found["shown"]]
        core = found["core"].rstrip(" ~")
        if kind != "bare":
            return core, kind, size
        return core, "", Fraction(1)
    found = _COUNTED.fullmatch(text)
    if found and not (NO_NOUNS & set(found["noun"].lower().split())) and _is_noun(found["noun"]):
        return found["core"].rstrip(" ~"), NOUN + found["noun"].lower(), Fraction(1)
    return text, "", Fraction(1)


def _is_noun(words: str) -> bool:
    """Words of which each has three letters at least, or `of` and its like between them: `pieces of candy`."""
    if not words.isascii():
        return not re.search(r"[一二三四五六七八九十百千万亿点分之或和零]", words)
    return all(len(word) > 2 or word == "of" for word in words.split())
