"""E-mail addresses, telephone numbers and IP addresses: what is one, what is none, and the kernel against its twin."""

from __future__ import annotations

import json

import naive_personal
import pyarrow as pa
import pytest
from conftest import REPOSITORY
from hypothesis import example, given, settings
from hypothesis import strategies as st
from personal_lines import lines, score

from filters import personal
from filters.text import from_arrow

FLOORS = json.loads((REPOSITORY / "tests" / "floors.json").read_text("utf-8"))["personal_data"]


def found(text: str) -> list[str]:
    return [f"{kind}:{text[begin:end]}" for begin, end, kind in personal.find_in([text])[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@math.uni-bonn.de.", "jane.doe+x@math.uni-bonn.de"),
        ("邮箱：12345678@qq.com，", "12345678@qq.com"),
        (r"\email{first\_last@mit.edu}", r"first\_last@mit.edu"),
        ("联系 wang＠pku.edu.cn", "wang＠pku.edu.cn"),
        ("jane [at] uni-bonn [dot] de", "jane [at] uni-bonn [dot] de"),
        ("jane(at)mit.edu", "jane(at)mit.edu"),
        ("JANE AT MIT DOT EDU", "JANE AT MIT DOT EDU"),
        ("(jane at mit dot edu)", "jane at mit dot edu"),
    ],
)
def test_addresses_are_found_however_they_are_written(text: str, expected: str) -> None:
    """With marks of TeX, in full width, spelt out against collectors."""
    assert found(text) == [f"email:{expected}"]


@pytest.mark.parametrize(
    "text",
    [
        "you@example.com or a@b.example, admin@localhost.local, name@yourdomain.com",
        "C = A@B.T + X@W.to(device) @ y.at[0]",
        r"\makeatletter \@ifnextchar[\foo@bar.com \tikz@node",
        "@app.route('/') def f(): @media print",
        "root@server.mit.edu:~$ ls; scp a.txt me@cs.mit.edu:/tmp; ssh me@cs.mit.edu; git clone git@github.com:a/b.git",
        "npm install react@18.2.0 @types/node@20.1.0, icon@2x.png",
        "https://user:secret@host.mit.edu/x and @jane@mathstodon.xyz",
        "the value of f at x dot is zero, look at math.com, v at u.com",
        "<20130101123456.ab12cd@mail.mit.edu>, aes128-gcm@openssh.com, me@foo.com, a@b.com",
        "user@gmail.com, your_name@mit.edu, ID+username@users.noreply.github.com, git@github.com: denied",
    ],
)
def test_what_only_looks_like_an_address_is_none(text: str) -> None:
    """Matrix products, macros, decorators, packages, logins, prose, reserved domains, names of messages."""
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call +1 (555) 010-9999 today", "+1 (555) 010-9999"),
        ("(+49 30 901820)", "+49 30 901820"),
        ("+442079460958", "+442079460958"),
        ("10117 Berlin 10 +49 (0)30 901820", "+49 (0)30 901820"),
        ("+(86) 010 62781234", None),
        ("0049 30 1234567", "0049 30 1234567"),
        ("(212) 555-0100", "(212) 555-0100"),
        ("212.555.0100", None),
        ("212-555-0100", None),
        ("Phone: 555-0123 ext. 5", "555-0123 ext. 5"),
        ("手机138 0013 8000。", "138 0013 8000"),
        ("138-0013-8000", None),
        ("电话：13800138000", "13800138000"),
        ("+86 138 0013 8000", None),
        ("北京 010-62781234 转 801", "010-62781234 转 801"),
        ("(010)62781234", None),
        ("（0755）-12345678", ""),
        ("热线 400-810-8888", "400-810-8888"),
        ("Tel. 030 / 901 820", "030 / 901 820"),
    ],
)
def test_telephone_numbers_are_found_however_they_are_written(text: str, expected: str | None) -> None:
    """International, American, Chinese, and behind a word that says so; None: the whole text; "": not found."""
    assert found(text) == [f"telephone:{text if expected is None else expected}"] * (expected != "")


@pytest.mark.parametrize(
    "text",
    [
        "3.14159265358979323846264338327950288419716939937510",
        "ISBN 978-7-111-12345-6, 0-19-853453-1, ISSN 0021-8693, doi:10.1016/0021-8693(80)90012-3, arXiv:0704.0001v2",
        "13800138000 = 2^4 * 3 * 5^3 * 2300023 and x = 13912345678",
        "1 2 3 4 5 6 7 8 9 10 11 12, 101 202 3030 4040",
        "2013-01-01 12:30:45, 20131201-12345678, 1987-654-3210-9",
        "$212-555-0100$, 300-200-1000 = -900, f(212) 555",
        "0000-0002-1825-0097, 010 1101 0110",
        "the smartphone cost 1234567 yuan, hotel 1234567, cell 1234567",
        "1+4412345678, a+49301234567, x = +2147483647, (2007-0)+(2007-2006)",
    ],
)
def test_numbers_of_mathematics_are_no_telephone_numbers(text: str) -> None:
    """Constants, identifiers, results, tables, dates, sums."""
    assert found(text) == []


def test_addresses_of_the_public_internet_are_found() -> None:
    """IPv4 and IPv6, in a line of a log, in an address of a page."""
    text = "from 93.184.216.34 - - [01/Jan], http://93.184.216.35:80/x, [2a00:1450:4001:81b::200e], IP: 8.8.8.8"
    expected = ["93.184.216.34", "93.184.216.35", "2a00:1450:4001:81b::200e", "8.8.8.8"]

    assert found(text) == [f"ip:{one}" for one in expected]


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1, 192.168.1.1, 10.0.0.1, 0.0.0.0, 255.255.255.0, 224.0.0.1, 198.51.100.7, 2001:db8::1",
        "Theorem 1.2.3.4, section 93.184.216.34, v93.184.216.34, Chrome/93.184.216.34, lib-93.184.216.34",
        "M2 1 1.42.39.99 1, heading 37.7.6.12 Types, V8 5.0.71.47, 1.2.3.4 and 93.184.216.34.5 and 93.184.216.256, 093.184.216.034, 8.8.0.0/16",
        "std::abc::cafe 2a00::Type 12:34:56 2000:10:20 00:1b:44:11:3a:b7",
    ],
)
def test_private_addresses_versions_and_sections_are_none(text: str) -> None:
    """Nor networks, examples of manuals, and names of C++."""
    assert found(text) == []


PIECES = st.sampled_from(
    [
        *"0123456789+-()./@ at,:ATx",
        *(
            "138",
            "0013",
            "8000",
            "00",
            "49",
            "30",
            "555",
            "010",
            "62781234",
            "86",
            "(212) ",
            "[at]",
            " at ",
            " dot ",
            "com",
        ),
        *(
            "电话",
            "手机",
            "Tel",
            "phone: ",
            "地址",
            "＠",
            "jane",
            "mit.edu",
            "93.184.216.34",
            "2a00:1450::1",
            "\u00a0",
            "\n",
        ),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=40).map("".join), max_size=4))
@example(["x" * 63 + "@mit.edu", "y" * 62 + "at mit dot edu" * 9, "a" * 64 + "at", "＠"])
@example(["z" * 60 + " [at] mit [dot] edu", "电话" + "-" * 34 + "13800138000", "电话" + "-" * 35 + "13800138000"])
def test_the_kernel_finds_what_trying_every_place_finds(texts: list[str]) -> None:
    """In batches, across blocks of 64 bytes, at the ends of texts."""
    assert personal.find_in(texts) == [naive_personal.find(text) for text in texts]


def test_a_batch_may_share_the_bytes_of_arrow() -> None:
    """Slices, nulls, and a text that would go on in the next one."""
    column = pa.array(["skipped", "x@mit.e", "du y@mit.edu", None, "z@mit.edu"])[1:]

    spans = personal.find(from_arrow(column), ["email"])

    assert spans.documents.tolist() == [1, 3]
    assert (spans.spans[:, 1] - spans.spans[:, 0]).tolist() == [9, 9]


def test_only_the_kinds_that_are_asked_for_are_found() -> None:
    """Each alone."""
    text = "jane@mit.edu, +49 30 901820, 93.184.216.34"

    assert [[f.kind for f in personal.find_in([text], [kind])[0]] for kind in personal.KINDS] == [
        ["email"],
        ["telephone"],
        ["ip"],
    ]


def test_masking_puts_placeholders_for_spans_and_leaves_the_rest() -> None:
    """Also between Chinese characters; masked again nothing changes."""
    text = "邮箱wang@pku.edu.cn，电话：13800138000。$x=1$"

    masked = personal.mask(text, personal.find_in([text])[0])

    assert masked == "邮箱[email]，电话：[telephone]。$x=1$"
    assert personal.mask(masked, personal.find_in([masked])[0]) == masked


def test_a_value_is_shown_in_disguise() -> None:
    """Enough to judge the find, too little to write or to call."""
    shown = [
        personal.disguise("jonathan@example.org", "email"),
        personal.disguise("j@x.org", "email"),
        personal.disguise("+49 30 901820", "telephone"),
        personal.disguise("8.8.8.8", "ip"),
    ]

    assert shown == ["jo***@ex***.org", "***@***.org", "+4***20", "***"]


def test_labelled_lines_keep_their_floors() -> None:
    """Each kind, by exact ends; the lines hold what mathematics and code have in the place of personal data, too."""
    figures = score(lambda text: [(kind, text[b:e]) for b, e, kind in personal.find_in([text])[0]], personal.KINDS)

    assert sum(not line.expected for line in lines()) > 20
    for kind, both in figures.items():
        assert both["precision"] >= FLOORS["precision_floor"], kind
        assert both["recall"] >= FLOORS["recall_floor"], kind
