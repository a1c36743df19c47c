"""Charsets of pages: declared rightly, not at all, and wrongly."""

from __future__ import annotations

import pytest

from filters.charset import believability, decode
from filters.html import decode_html

SIMPLIFIED = (
    "设函数在闭区间上连续，在开区间内可导，则至少存在一点，使得函数在这一点的导数等于它在整个区间上的平均变化率。这个定理的证明并不难。",
    "我们先来看一个例子。已知数列的首项为一，从第二项起每一项等于前一项的两倍再加一，求它的通项公式，并且说明理由。",
    "图书馆每周有四天将开放到午夜。据介绍，晚间的阅览室由志愿者照看，还书可以随时从侧门的还书口投入。",
    "行列式是有向体积。把矩阵的各列看作从原点出发的向量，它们张成一个平行多面体，行列式的绝对值就是它的体积。",
)
TRADITIONAL = (
    "設函數在閉區間上連續，在開區間內可導，則至少存在一點，使得函數在這一點的導數等於它在整個區間上的平均變化率。這個定理的證明並不難。",
    "我們先來看一個例子。已知數列的首項為一，從第二項起每一項等於前一項的兩倍再加一，求它的通項公式，並且說明理由。",
    "圖書館每週有四天將開放到午夜。據介紹，晚間的閱覽室由志願者照看，還書可以隨時從側門的還書口投入。",
    "行列式是有向體積。把矩陣的各列看作從原點出發的向量，它們張成一個平行多面體，行列式的絕對值就是它的體積。",
)
WESTERN = (
    "Le théorème des accroissements finis n’est pas très difficile à démontrer – même si l’élève n’y croit guère.",
    "Für jede stetige Funktion gibt es zu jedem ε ein δ, so hätte Weierstraß gesagt; für größere Räume gälte das nicht.".replace(
        "ε", "e"
    ).replace("δ", "d"),
    "El teorema del valor medio está en todos los libros de cálculo; ¿quién no lo recuerda? La demostración es fácil.",
    "It’s a “classic” result – the café’s owner, a naïve mathematician, knew it by heart and charged £5 for the proof.",
)
CASES = [
    *[(text, charset) for text in SIMPLIFIED for charset in ("gb18030", "utf-8")],
    *[(text, charset) for text in TRADITIONAL for charset in ("big5", "gb18030", "utf-8")],
    *[(text, charset) for text in WESTERN for charset in ("cp1252", "utf-8")],
]
DECLARATIONS = [None, "utf-8", "gb2312", "big5", "iso-8859-1", "no-such-charset"]


def page(text: str, charset: str, declared: str | None) -> bytes:
    meta = f'<meta http-equiv="Content-Type" content="text/html; charset={declared}">' if declared else ""
    return f"<html><head>{meta}<title>{text[:9]}</title></head><body><p>{text}</p></body></html>".encode(charset)


@pytest.mark.parametrize("declared", DECLARATIONS, ids=str)
def test_pages_are_read_whatever_they_declare(declared: str | None) -> None:
    """Right, missing and lying declarations, in the page or in the HTTP header: all of 28 texts in their charsets."""
    wrong = []
    for text, charset in CASES:
        for header in (None, declared):
            data = page(text, charset, None if header else declared)
            if text not in (decode_html(data, header) or ""):
                wrong.append((charset, declared, text[:12]))

    assert wrong == []


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        ("\ufeffé".encode("utf-8"), "gbk", "é"),
        ("é".encode("utf-16"), "utf-8", "é"),
        ("<p>naïve text</p>".encode("utf-16-le"), None, "<p>naïve text</p>"),
        ("日本語の文章です。".encode("shift_jis"), "x-sjis", "日本語の文章です。"),
        ("日本語の文章です。".encode("euc-jp"), "euc-jp", "日本語の文章です。"),
        ("日本語の文章です。".encode("iso-2022-jp"), "iso-2022-jp", "日本語の文章です。"),
        ("한국어 문장입니다.".encode("cp949"), "ks_c_5601-1987", "한국어 문장입니다."),
        ("русский текст".encode("koi8-r"), "koi8-r", "русский текст"),
        ("русский текст".encode("cp1251"), "windows-1251", "русский текст"),
        (b"stray \x92 byte in a long text", None, "stray ’ byte in a long text"),
        (b"plain", "utf-7", "plain"),
        (b"", "", ""),
    ],
)
def test_other_charsets(data: bytes, declared: str | None, text: str) -> None:
    """Byte order marks, UTF-16 without one, Japanese, Korean, Cyrillic, and English with a stray byte."""
    assert decode(data, declared) == text


def test_the_header_counts_before_the_page() -> None:
    """Both read the bytes believably; the first is believed."""
    data = b"caf\xe9, 5 \xa4"

    assert decode(data, "iso-8859-15", "windows-1252") == "café, 5 €"
    assert decode(data, "windows-1252", "iso-8859-15") == "café, 5 ¤"


def test_what_no_charset_reads_is_no_text() -> None:
    """Random bytes are refused; nonsense is told from text."""
    assert decode(bytes(range(128, 256)) * 20) is None
    assert believability("ÖÐÎÄ×Ö·û") < 0.3
    assert believability("中文的字，这是不是") > 0.8
