"""The slow, obvious twin of the page scan: strings, sets and one thing after the other."""

from __future__ import annotations

import re

FORMULAS = "math mml:math m:math d-math dt-math mjx-container math-renderer tex-math".split()
QUIET = "html body form a link meta input option script style".split()
NEEDLES = "katex math hmate latex tex= tex2 t=tx mjx- ltx_ imete altte cogs ormul iimat equat".split()
BLANKS = b"\t\n\f\r "
SPARE = bytes(16)
NAME = re.compile(rb"[a-zA-Z][a-zA-Z0-9:_-]*")
REFERENCE = re.compile(rb"&(#?)([a-zA-Z0-9]*);")
SYMBOL = re.compile(rb"\xe2[\x88-\x8b\xa8-\xab]|\xf0\x9d[\x90-\x9f]|\xc2[\xb1\xb2\xb3]|\xc3[\x97\xb7]")
CODES = ((0x2200, 0x22FF), (0x2A00, 0x2AFF), (0x1D400, 0x1D7FF))


def last(name: bytes | str) -> str:
    """What a name is told apart by: the end of it."""
    return (name if isinstance(name, str) else name.lower().decode("latin-1"))[-8:]


class NaiveScan:
    """The text of a page, and what is counted."""

    def __init__(self, page: bytes) -> None:
        self.page, self.stop = page + SPARE, len(page)
        self.carriers = self.delimiters = self.symbols = 0
        self.text = b""
        at = 0
        while at < self.stop:
            byte = self.page[at : at + 1]
            end = self.tag(at) if byte == b"<" else self.reference(at) if byte == b"&" else self.sign(at)
            self.text += b" " if byte in (b"<", b"&") and end > at + 1 else self.page[at : min(end, self.stop)]
            at = end

    def reference(self, at: int) -> int:
        """Behind a character reference, which may be to a symbol."""
        found = REFERENCE.match(self.page, at)
        if found is None or found.end() > at + 13 or found.end() > self.stop:
            return at + 1
        number = found[2].lower()
        if found[1] and re.fullmatch(rb"[0-9]+|x[0-9a-f]+", number):
            code = int(number.removeprefix(b"x"), 16 if number.startswith(b"x") else 10)
            self.symbols += any(first <= code <= end for first, end in CODES)
        return found.end()

    def tag(self, at: int) -> int:
        page = self.page
        if page[at + 1 : at + 2] in (b"!", b"?"):
            return self.declaration(at)
        closing = page[at + 1 : at + 2] == b"/"
        found = NAME.match(page, at + 1 + closing)
        if found is None:
            return at + 1
        name, begin = last(found[0]), found.end()
        end = self.attributes_end(begin)
        if closing:
            return end
        self.carriers += name in map(last, FORMULAS) or self.speaks(name, begin, end - 1)
        if name not in ("script", "style"):
            return end
        for place in range(end, self.stop):
            if page[place : place + 2] == b"</" and (raw := NAME.match(page, place + 2)) and last(raw[0]) == name:
                return place
        return self.stop

    def declaration(self, at: int) -> int:
        comment = self.page[at : at + 4] == b"<!--"
        for place in range(at + (4 if comment else 2), self.stop):
            if self.page[place : place + 1] == b">":
                before = self.page[:place].removesuffix(b"!")
                if not comment or before.endswith(b"--"):
                    return place + 1
        return self.stop

    def attributes_end(self, at: int) -> int:
        """Behind the tag, by the rules of the HTML standard."""
        page, stop = self.page, self.stop

        def skip(at: int, signs: bytes, *, until: bool) -> int:
            while at < stop and (page[at] in signs) != until:
                at += 1
            return at

        while at < stop and page[at] != ord(">"):
            if page[at] in BLANKS + b"/":
                at += 1
                continue
            at = skip(skip(at + 1, BLANKS + b"/>=", until=True), BLANKS, until=False)
            if page[at] == ord("="):
                at = skip(at + 1, BLANKS, until=False)
                if page[at] in b"\"'":
                    at = skip(at + 1, page[at : at + 1], until=True) + 1
                else:
                    at = skip(at, BLANKS + b">", until=True)
        return min(at, stop) + 1

    def speaks(self, name: str, begin: int, end: int) -> bool:
        """Whether the attributes speak of a formula."""
        text = bytes(byte | 0x20 for byte in self.page)
        for at in range(begin, end - 3):
            after = text[at + 4 : at + 5]
            needle = next((n for n in NEEDLES if text[at : at + 4] == bytes(b | 0x20 for b in n[:4].encode())), "")
            if name in ("script", "style"):
                if needle == "math" and after == b"/" and self.page[at - 1 : at] in (b'"', b"'", b"="):
                    return True
            elif name not in map(last, QUIET):
                letter = re.match(rb"[a-z]", self.page[at - 1 : at].lower()) is not None
                if needle == "math" and not letter and after not in (b"e", b"s"):
                    return True
                if needle and needle != "math" and after.startswith(needle[4:].encode()):
                    return True
                if name == "img" and self.page[at : at + 1] in (b"$", b"\\"):
                    return True
        return False

    def sign(self, at: int) -> int:
        """Counts what another sign begins; where to go on."""
        page, byte = self.page, self.page[at : at + 1]
        if page[at : at + 2] in (b"$$", b"\\(", b"\\["):
            self.delimiters += 1
            return at + 2
        self.delimiters += page.startswith(b"\\begin{", at)
        self.symbols += SYMBOL.match(page, at) is not None
        if byte in (b"$", b"`"):
            inner, closed, _ = page[at + 1 : min(self.stop, at + 120)].partition(byte)
            if closed and b"\n" not in inner and b"<" not in inner:
                letter = byte == b"$" and len(inner) == 1 and inner.isalpha()
                self.delimiters += letter or any(sign in inner for sign in (b"\\", b"^", b"_", b"{"))
        return at + 1


def naive_scan(page: bytes) -> tuple[bytes, int, int, int]:
    """What `scan_page` gives."""
    scan = NaiveScan(page)
    return scan.text, scan.carriers, scan.delimiters, scan.symbols
