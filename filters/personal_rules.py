r"""What is an e-mail address, a telephone number, an IP address: rules on bytes, at one place of one text.

Each rule looks at a place that may be one (an `@`, the first digit of a number) and no further than `LOOK` bytes before
it, so that whoever tries all places (tests/naive_personal.py) finds what `filters.personal` finds at a few.

Mathematics is full of digits, dots and signs, so shape alone decides only where it is telling: `+49 30 901820`,
`(212) 555-0100`, `010-62781234`, `138 0013 8000`. Eleven digits in a row are a telephone number behind a word that says
so (`Tel.`, `phone`, 电话) and a result of arithmetic elsewhere. Left out on purpose: addresses that are nobody's
(example.com, private networks), logins (`user@host.org:~$`, `git@github.com:`), versions and numbers of sections.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

Span = tuple[int, int]
Rule = Callable[[memoryview, int, int, int], "Span | None"]  # (data, begin and end of the text, place)

LOOK = 96  # bytes before a place that a rule may read
CONTEXT = 40  # of them, the bytes in which a word may stand that says what a number is

_COUNTRIES = """
    ac ad ae af ag ai al am ao ar as at au aw az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf cg
    ch ci ck cl cm cn co cr cu cv cw cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh
    gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn
    kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz
    na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se
    sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz
    va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
_GENERIC = """
    com org net edu gov mil int info biz name pro aero coop museum jobs mobi travel tel cat asia post app dev xyz online
    site website tech store club top vip shop blog cloud email science academy institute live space wiki work world
    zone network systems software solutions design digital agency center community company education engineering
    foundation gmbh group international ltd management marketing media ninja studio support team technology today
    tools ventures berlin london paris tokyo nyc wang ren ink moe icu fun run page link art
"""
_TOP = frozenset(word.encode() for word in (_COUNTRIES + _GENERIC).split())
_SPOKEN_TOP = frozenset(b"com org net edu gov".split())  # of addresses that are written out in words
# RFC 2606 and RFC 6761, what manuals put where the reader's own name belongs, and domains that name algorithms
_NOBODYS = re.compile(
    rb"(?i)(?:^|\.)(?:example\.[a-z]+(?:\.[a-z]+)?|(?:your|my)?-?(?:domain|company|site|host|server)\.[a-z]+"
    rb"|(?:b|foo|bar|baz|qux|acme|nowhere|someplace|somewhere)\.(?:com|org|net)|(?:openssh\.com|libssh\.org)"
    rb"|[a-z]*\.?(?:example|test|invalid|localhost|local|lan))\Z"
)

_LOCAL = re.compile(rb"[A-Za-z0-9_](?:(?:[A-Za-z0-9._%+\-]|\\_){0,62}[A-Za-z0-9_+\-])?\Z")
_DOMAIN = re.compile(
    rb"((?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.){1,8})([A-Za-z]{2,18})(?![A-Za-z0-9_]|-[A-Za-z0-9])"
)
_LOCAL_MOST = 64
_NOBODY = re.compile(  # also logins of services that keep code
    rb"(?i)(?:user|username|you|someone|somebody|nobody|x+|your[._\-]?(?:user)?(?:name|e?mail)|.*\+username)@"
    rb"|(?:git|hg)@(?:github|gitlab|bitbucket|gitee|codeberg)\."
)
_MESSAGE_ID_DIGITS = 12  # from as many digits among letters an address is that of a message
_REFUSED_BEFORE = re.compile(rb"(?:[\\@/]|://[^\s?]*)\Z")  # in the query of an address there may be one
_LOGIN = re.compile(rb"(?i)(?:^|[^a-z])(?:ssh|scp|sftp|rsync|mosh)[ \t](?:[^\n]*[ \t])?\Z")
_LOGIN_AFTER = re.compile(rb":[A-Za-z0-9~/$.]|/[A-Za-z0-9~]")


def email_at(data: memoryview, begin: int, end: int, place: int) -> Span | None:
    """The e-mail address around the `@` (or the full-width one) at a place."""
    width = 1 if data[place] == 0x40 else 3
    domain = _DOMAIN.match(data, place + width, end)
    if not domain or domain[2].lower() not in _TOP:  # most by far: no other pattern is tried
        return None
    before = bytes(data[max(begin, place - LOOK) : place])
    local = _LOCAL.search(before)
    if not local:
        return None
    start, stop = place - len(local[0]), domain.end()
    ahead, after = before[: local.start()], bytes(data[stop : min(end, stop + 2)])
    if len(local[0]) > _LOCAL_MOST or _REFUSED_BEFORE.search(ahead) or _LOGIN.search(ahead):
        return None
    if _LOGIN_AFTER.match(after) or (after[:1] in (b"(", b"[") and domain[1].count(b".") == 1 and len(domain[2]) == 2):
        return None  # a login, a call of a method: A@B.to(device)
    return None if _is_nobodys(local[0], domain[0]) else (start, stop)


def _is_nobodys(local: bytes, domain: bytes) -> bool:
    """Whether an address is a placeholder, a login, the name of an algorithm or of a message."""
    if b".." in local or _NOBODYS.search(domain) or _NOBODY.match(local + b"@" + domain):
        return True
    return not local.isdigit() and sum(0x30 <= byte <= 0x39 for byte in local) >= _MESSAGE_ID_DIGITS


_OPENING, _CLOSING = rb"[ ]?[\[({<_][ ]?", rb"[ ]?[\])}>_][ ]?"
_SPOKEN_DOT = rb"(?:" + _OPENING + rb"(?:dot|DOT|Dot|\.)" + _CLOSING + rb"|[ ](?:dot|DOT|Dot)[ ]|\.)"
_NAME = rb"[A-Za-z0-9](?:[A-Za-z0-9\-]{0,40}[A-Za-z0-9])?"
_NO_NAME_BEFORE, _NO_NAME_AFTER = rb"(?<![A-Za-z0-9\\._\-])", rb"(?![A-Za-z0-9_\-(\[])"
_SPOKEN_LOCAL = re.compile(_NO_NAME_BEFORE + _NAME + rb"(?:(?:" + _SPOKEN_DOT + rb"|[_+])" + _NAME + rb"){0,3}\Z")
_SPOKEN_DOMAIN = re.compile(
    rb"(" + _NAME + rb"(?:" + _SPOKEN_DOT + _NAME + rb"){0,4})" + _SPOKEN_DOT + rb"([A-Za-z]{2,6})" + _NO_NAME_AFTER
)
_BRACKETED = re.compile(_OPENING + rb"\Z"), re.compile(rb"at" + _CLOSING, re.IGNORECASE)
_DOT = re.compile(_SPOKEN_DOT)


def spoken_email_at(data: memoryview, begin: int, end: int, place: int) -> Span | None:
    """The address around the `at` at a place: `name [at] host.com`, `name AT host DOT edu`, `name at host dot com`."""
    before = bytes(data[max(begin, place - LOOK) : place])
    word = bytes(data[place : place + 2])
    opening, closing = _BRACKETED[0].search(before), _BRACKETED[1].match(data, place, end)
    if opening and closing:
        ahead, rest = before[: opening.start()], closing.end()
    elif before[-1:] == b" " and bytes(data[place + 2 : min(end, place + 3)]) == b" ":
        ahead, rest = before[:-1], place + 3
    else:
        return None
    local, domain = _SPOKEN_LOCAL.search(ahead), _SPOKEN_DOMAIN.match(data, rest, end)
    if not local or not domain or domain[2].lower() not in _TOP:
        return None
    if not (opening and closing) and word != b"AT" and (b"." in domain[0] or domain[2].lower() not in _SPOKEN_TOP):
        return None  # "the value at host.name" is prose
    if _NOBODYS.search(_DOT.sub(b".", domain[0])):
        return None
    return place - len(before) + local.start(), domain.end()


def _either(words: str) -> bytes:
    """A pattern for any of some words."""
    return "|".join(words.split()).encode()


_GAP = rb"(?:[ .\-]|\xc2\xa0|\xe2\x80\x91)"  # between groups: also the space and the hyphen that do not break
_DIGITS = re.compile(rb"[0-9]+")
_TIED_BEFORE = re.compile(rb"[A-Za-z0-9_.$^\\{}*/=<>~%#&,)\]\-]\Z")
_OPERATOR_BEFORE = re.compile(rb"[=<>*/+\-]\s\(?\+\(?\Z")
_ROW_BEFORE = re.compile(rb"[0-9)\]}] \-?\Z")  # a number of a row of numbers
_TIED_AFTER = re.compile(rb"[A-Za-z0-9_%^*=$@}]|\\[A-Za-z]|[.,:/\-+(][0-9]| ?[+*/=^<>][ 0-9]|-[0-9]")
_EXTENSION = re.compile(
    rb"(?i)(?:[ ,]{0,2}(?:ext\.?|extension|x)[ .:]?|[ ]?(?:" + _either("转 分机") + rb")[ ]?)[0-9]{1,6}(?![0-9])"
)
_TOLD = re.compile(
    rb"(?i)(?:(?<![a-z])(?:tel|telephone|phone|fax|mobile|hotline|helpline|whatsapp)s?|(?:smart|cell|tele)phone|"
    + _either("电话 手机 手机号 热线 传真 致电 固话 座机 客服 联系方式 移动电话")
    + rb")(?:[ .:#=()\[\]*/|\"'&;\-]|number|no\.|nr\.|is |at |us |on |or |\xc2\xa0|"
    + _either("号码 号 是 为 ： （ ） 、")
    + rb")*\Z"
)
_COUNTRY_CODE = re.compile(  # ITU-T E.164
    rb"1|7|2(?:[07]|1[12368]|[2-4][0-9]|5[0-8]|6[0-9]|9[01789])|3(?:[0-469]|5[0-9]|7[0-8]|8[0-35-79])|4(?:[013-9]|2[013])"
    rb"|5(?:[1-8]|0[0-9]|9[0-9])|6(?:[0-6]|7[02-9]|8[0-9]|9[0-2])|8(?:[1246]|5[02356]|8[06])|9(?:[0-58]|6[0-8]|7[0-7]|9[2-8])"
)
_PLUS = re.compile(rb"[0-9]{1,3}(?:[0-9]{7,12}|(?:\)?(?:" + _GAP + rb"|/)?\(?0?\)?[0-9]{1,8}\)?){1,6})(?![0-9])")
_CODE_BRACED = re.compile(rb"[0-9]{1,3}\)")
_GROUPED = re.compile(rb"00[1-9][0-9]{0,2}(?:(?:" + _GAP + rb"|/)\(?[0-9]{1,8}\)?){2,6}(?![0-9])")
_SHAPES = (  # telling by themselves
    re.compile(rb"(?:1[ .\-])?[2-9][0-9]{2}([.\-])[2-9][0-9]{2}\1[0-9]{4}(?![0-9])"),
    re.compile(rb"1[3-9][0-9]([ \-])[0-9]{4}\1[0-9]{4}(?![0-9])"),
    re.compile(rb"(?:86[ \-])1[3-9][0-9](?:[0-9]{8}|([ \-])[0-9]{4}\1[0-9]{4})(?![0-9])"),
    re.compile(rb"(?:86[ \-])?0(?:10|2[0-9]|[3-9][0-9]{2})-[0-9]{7,8}(?:-[0-9]{1,6})?(?![0-9])"),
    re.compile(rb"0(?:10|2[0-9]) [2-9][0-9]{3} [0-9]{4}(?![0-9])"),
    re.compile(rb"[48]00-(?:[0-9]{3}-[0-9]{4}|[0-9]{4}-[0-9]{3})(?![0-9])"),
)
_BRACED = (  # behind an opening bracket
    re.compile(rb"[2-9][0-9]{2}\)[ .\-]?[0-9]{3}[ .\-][0-9]{4}(?![0-9])"),
    re.compile(rb"0(?:10|2[0-9]|[3-9][0-9]{2})\)[ \-]?(?:[0-9]{7,8}|[0-9]{4}[ \-][0-9]{4})(?![0-9])"),
)
_NAMED = re.compile(rb"[0-9]{1,5}\)?(?:(?:" + _GAP + rb"| ?/ ?| - )?\(?[0-9]{2,8}\)?){0,5}(?![0-9])")
_LEAST, _MOST = 7, 15  # digits of a number; E.164 knows none with more
_OPENED = re.compile(rb"\(?\+?\(?\Z")


def telephone_at(data: memoryview, begin: int, end: int, place: int) -> Span | None:
    """The telephone number of which the first digit stands at a place, with its `+` and brackets."""
    before = bytes(data[max(begin, place - CONTEXT) : place])
    opened = _OPENED.search(before[-3:])
    lead = opened[0] if opened else b""
    shapes = _shapes_at(data, end, place, lead)
    if not shapes:
        return None
    ahead = before[: len(before) - len(lead)]
    told = _TOLD.search(ahead) is not None
    tied = _TIED_BEFORE.search(ahead) or (_OPERATOR_BEFORE if b"+" in lead else _ROW_BEFORE).search(ahead + lead)
    for found, sure in shapes:
        extension = _EXTENSION.match(data, found, end)
        stop = extension.end() if extension else found
        if (told or (sure and not tied)) and not _TIED_AFTER.match(data, stop, end):
            return _balanced(data, place - len(lead), stop)
    return None


def _shapes_at(data: memoryview, end: int, place: int, lead: bytes) -> list[tuple[int, bool]]:
    """(where it ends, whether the shape is telling) of all that may begin at a place, the most telling first."""
    found: list[tuple[int, bool]] = []
    plus = b"+" in lead and (not lead.endswith(b"+(") or _CODE_BRACED.match(data, place, end))
    if plus and (match := _PLUS.match(data, place, end)):
        found += [(place + stop, True) for stop in _ends(match[0]) if _international(match[0][:stop])]
    if match := _GROUPED.match(data, place, end):
        found += [(place + stop, True) for stop in _ends(match[0]) if _international(match[0][2:stop])]
    shapes = _BRACED if lead.endswith(b"(") else _SHAPES
    found += [(match.end(), True) for shape in shapes if (match := shape.match(data, place, end))]
    if (match := _NAMED.match(data, place, end)) and _LEAST <= _count(match[0]) <= _MOST:
        found.append((match.end(), False))
    return found


def _count(number: bytes) -> int:
    return sum(0x30 <= byte <= 0x39 for byte in number)


def _ends(number: bytes) -> list[int]:
    """Where its groups end, the last first."""
    return [match.end() for match in _DIGITS.finditer(number)][::-1]


def _international(number: bytes) -> bool:
    """Whether a number that begins with the code of a country can be one: its length, and that of its groups."""
    groups = _DIGITS.findall(number)
    digits = b"".join(groups)
    if not _COUNTRY_CODE.match(digits) or not 8 <= len(digits) <= _MOST:
        return False
    if digits[:1] == b"1" and not re.fullmatch(rb"1[2-9][0-9]{9}", digits):
        return False
    if len(groups) == 1:
        return len(digits) >= 10
    later = [group for group in groups[1:] if group != b"0"]
    return len(groups[0]) <= 5 and all(len(group) >= 2 for group in later[1:])  # an area may be one digit: +33 1


def _balanced(data: memoryview, start: int, stop: int) -> Span:
    """The span, without an opening bracket that nothing inside it closes."""
    if data[start] == 0x28 and b")" not in bytes(data[start:stop]):
        start += 1
    return start, stop


_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rb"(?:" + _OCTET + rb"\.){3}" + _OCTET + rb"(?![0-9A-Za-z_]|\.[0-9]|-[0-9A-Za-z]|/[0-9])")
_IPV6 = re.compile(rb"[23][0-9a-fA-F]{3}:[0-9a-fA-F:]{2,34}(?![0-9A-Za-z_:])")
_TIED_TO = re.compile(rb"(?:[A-Za-z0-9_.\\^{]|[A-Za-z_]-)\Z")
_ADDRESS_BEFORE = re.compile(
    rb"(?i)(?:(?<![a-z])ip(?:v4)?(?![a-z])|ip address|" + _either("地址") + rb")[^0-9\n]{0,12}\Z"
)
_VERSION_BEFORE = re.compile(
    rb"(?i)(?:(?<![a-z])v|version|ver|release|rev|build|[a-z0-9]/|sections?|chapter|sec|theorem|lemma|definition"
    rb"|corollary|proposition|exercise|example|figure|table|axiom|eq|isa|oid|"
    + _either("§ 版本 第 章 节")
    + rb")[ .:(]{0,2}\Z"
)
_SECTION_MOST = 32  # one of the last three numbers of most addresses is larger, none of most sections
_RELEASE_MOST = 10  # one of the first two is larger, none of the versions of most programs


def ip_at(data: memoryview, begin: int, end: int, place: int) -> Span | None:
    """The IPv4 or IPv6 address that begins with the digit at a place, if it is one of the public internet."""
    before = bytes(data[max(begin, place - CONTEXT) : place])
    if _TIED_TO.search(before):
        return None
    if (match := _IPV6.match(data, place, end)) and not before.endswith(b":"):
        stop = match.end() - (match[0].endswith(b":") and not match[0].endswith(b"::"))
        return (place, stop) if _is_public(bytes(data[place:stop])) else None
    match = _IPV4.match(data, place, end)
    if not match or not _is_public(match[0]) or _VERSION_BEFORE.search(before):
        return None
    numbers = [int(number) for number in match[0].split(b".")]
    small = max(numbers[1:]) < _SECTION_MOST or max(numbers[:2]) < _RELEASE_MOST
    after = bytes(data[match.end() : min(end, match.end() + 2)])
    row = _ROW_BEFORE.search(before) and after[:1] == b" " and after[1:].isdigit()  # numbers of a drawing
    return None if (small or row) and not _ADDRESS_BEFORE.search(before) else (place, match.end())


def _is_public(text: bytes) -> bool:
    try:
        address = ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    return address.is_global and not address.is_multicast
