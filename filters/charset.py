"""From bytes to characters: byte order mark, UTF-8 where it is valid, what is declared if it is believable, detection.

A declaration is believed when its charset reads the bytes with hardly a replacement and the result looks like text of
some language. The second test is needed since nearly all pairs of bytes are characters of GB18030 and of Big5, and all
bytes are characters of ISO-8859-1: those never fail, they only give nonsense.
"""

from __future__ import annotations

import codecs
import re
from itertools import islice

from resiliparse.parse.encoding import detect_encoding

MAX_BAD_SHARE = 0.001  # replaced characters; more of them and the text was read in a wrong charset
BELIEVABLE = 0.45  # of the characters beyond ASCII that a text of the declared charset's languages has at least
GUESSED = 0.2  # the same for what nobody declared; below it there is no telling
FEW = 3
SAMPLE = 800  # runs of characters beyond ASCII that are judged
WIDE_ZEROS = 0.2  # share of NUL bytes from which on the text is UTF-16 without a byte order mark
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# what pages call a charset, and the larger one that browsers read it with
_LARGER = {
    **dict.fromkeys(("gb2312", "gbk", "x-gbk", "gb_2312-80", "csgb2312", "gb_2312", "iso-ir-58", "chinese"), "gb18030"),
    **dict.fromkeys(("big5", "big5-hkscs", "cn-big5", "x-x-big5", "csbig5"), "big5hkscs"),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "ascii", "us-ascii", "l1"), "cp1252"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "windows-31j"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "ksc5601", "ks_c_5601", "korean"), "cp949"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "cp1254"),
    **dict.fromkeys(("tis-620", "iso-8859-11"), "cp874"),
    "x-mac-roman": "mac-roman",
    "hz-gb-2312": "hz",
}
_GUESSES = ("utf-8", "gb18030", "big5hkscs", "cp932", "cp949", "cp1252")
_SEVEN_BIT = {"iso2022_jp": b"\x1b$", "hz": b"~{"}  # their text is ASCII to the eye
# a fifth to a half of running Chinese, in either writing, are these
_COMMON_HAN = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事"
    "成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工"
    "使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表"
    "化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结"
    "反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难"
    "且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运笔函集域线"
    "這個們來為國說時會對種經後過發著學麼無長與機關點將兩問從動現當還進樣實間業產內體應戰頭義條題總電數報結設計務資許統區隊"
    "則達強權記類據邊張該規萬術領傳師觀讓識帶導爭運證於並處認變式程線圖書論題"
)
_GOOD = re.compile(
    f"[{_COMMON_HAN}]|[\u3041-\u3096\u30a1-\u30fa\u30fc]|[\uac00-\ud7a3]|[，。、；：？！“”‘’（）《》「」『』【】…—·　]|"
    "[\u0430-\u044f\u0451\u03b1-\u03c9\u03ac-\u03af\u0e01-\u0e4e\u05d0-\u05ea\u0621-\u064a]|"
    "(?<=[a-zA-Z ])[ß-öø-ÿ\u0100-\u024f\u1ea0-\u1ef9](?![À-ÿ])|(?<![À-ÿ])[À-ÖØ-ÞŒŠŽ](?=[a-z])|"
    "[’–«»°©®™§±²³½×€£\xa0•„‹›€¡¿ºª]"
)
_RUN = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+[\x00-\x7f]?")  # with its neighbours: a letter after a letter is a word
_RARE = re.compile("[\ue000-\uf8ff\x80-\x9f\ufffd\uff61-\uff9f]")  # no text has them; a charset read as another does


def decode(data: bytes, *declared: str | None) -> str | None:
    """The text of a file or page, or None where no charset reads it. Declarations count in the order they are given."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _sound(data[len(bom) :].decode(name, "replace"))
    names = [_canonical(name) for name in declared if name]
    for name in names:
        if (mark := _SEVEN_BIT.get(name)) and mark in data:
            return _sound(data.decode(name, "replace"))
    try:
        return _sound(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    if data.count(0) > WIDE_ZEROS * len(data):
        return _sound(data.decode("utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be", "replace"))
    return _declared(data, names) or _guessed(data, names)


def _canonical(charset: str) -> str:
    """The name by which Python reads what a page calls `charset`, "" for one that it does not know."""
    name = charset.strip().strip("\"';").lower()
    name = _LARGER.get(name, name)
    try:
        return codecs.lookup(name).name if codecs.lookup(name)._is_text_encoding else ""
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return ""


def _declared(data: bytes, names: list[str]) -> str | None:
    """The text in the first declared charset that reads it and gives something believable."""
    for name in names:
        if name and (text := _read(data, name)) is not None and believability(text) >= BELIEVABLE:
            return text
    return None


def _guessed(data: bytes, names: list[str]) -> str | None:
    """The most believable text of those that any charset reads; of equal ones the declared, then the detected."""
    detected = _canonical(detect_encoding(data) or "")
    best, best_score = None, GUESSED
    for name in dict.fromkeys([*names, detected, *_GUESSES]):
        text = _read(data, name) if name else None
        if text is not None and (score := believability(text)) > best_score:
            best, best_score = text, score
    if best is None and sum(byte > 0x7F for byte in data) <= max(FEW, MAX_BAD_SHARE * len(data)):
        return _read(data, "cp1252")  # an English page with a stray byte or two
    return best


def _read(data: bytes, name: str) -> str | None:
    """The text in one charset, None where more than a thousandth of it had to be replaced."""
    return _sound(data.decode(name, "replace"))


def _sound(text: str) -> str | None:
    """The text, if few of its characters were replaced or are NUL."""
    bad = text.count("\ufffd") + text.count("\0")
    return text if bad <= max(1, MAX_BAD_SHARE * len(text)) else None


def believability(text: str) -> float:
    """Share of the characters beyond ASCII that running text has: 1 for pure ASCII, near 0 for a wrong charset."""
    sample = "\0".join(run[0] for run in islice(_RUN.finditer(text), SAMPLE))
    beyond = sum(character > "\x7f" for character in sample)
    return (len(_GOOD.findall(sample)) - 4 * len(_RARE.findall(sample))) / beyond if beyond else 1.0
