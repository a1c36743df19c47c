"""The slow, obvious twin of the page scan: strings, sets and one thing after the other."""

from __future__ import annotations

import re

FORMULAS = "math mml:math m:math d-math dt-math mjx-container math-renderer tex-math".split()
QUIET = "html body form a link meta input option script style".split()
NEEDLES = "katex math hmate latex tex= tex2 t=tx mjx- ltx_ imete altte cogs ormul iimat equat".split()
BLANKS = b"\t\n\f\r "
SPARE = bytes(16)
NAME = re.compile(rb"[a-zA-Z][a-zA-Z0-9:_-]*")
WORD_SLOTS = 4096


def last(name: bytes | str) -> str:
    """What a name is told apart by: the end of it."""
    return (name if isinstance(name, str) else name.lower().decode("latin-1"))[-8:]


def naive_slot(word: bytes, length: int) -> int:
    """The slot of a word, from the number that its first 8 letters make, and its length."""
    value = int.from_bytes(word[:8], "little") ^ (length * 0x9E3779B97F4A7C15) % 2**64
    return (value * 0xFF51AFD7ED558CCD) % 2**64 // (2**64 // WORD_SLOTS)


class NaiveScan:
    """What `scan_page` counts, and the slots of the words."""

    def __init__(self, page: bytes) -> None:
        self.page, self.stop = page + SPARE, len(page)
        self.carriers = self.delimiters = self.commands = self.symbols = self.scripts = 0
        self.slots: list[int] = []
        self.before = (b"", -1)  # the Chinese character before, and where it ends
        at = 0
        while at < self.stop:
            at = self.step(at)

    def step(self, at: int) -> int:
        page, byte = self.page, self.page[at : at + 1]
        if byte.isalpha() and byte.isascii():
            word = re.match(rb"[a-zA-Z]+", page[at:])[0].lower()  # type: ignore[index]
            self.slots.append(naive_slot(word, len(word)))
            return at + len(word)
        if byte.isdigit():
            self.slots.append(naive_slot(b"0", 1))
            return at + len(re.match(rb"[0-9]+", page[at:])[0])  # type: ignore[index]
        if byte in (b"=", b"+"):
            self.slots.append(naive_slot(byte, 1))
            return at + 1
        if b"\xe3" <= byte <= b"\xe9":
            sign = page[at : at + 3]
            if self.before[1] == at:
                pair = int.from_bytes(self.before[0] + sign, "big").to_bytes(8, "little")
                self.slots.append(naive_slot(pair, 6))
            self.before = (sign, at + 3)
            return at + 3
        if byte == b"<":
            return self.tag(at)
        return self.sign(at)

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
        self.scripts += name in ("sub", "sup")
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
        """Counts what a sign that is no letter begins; where to go on."""
        page = self.page
        byte = page[at : at + 1]
        if byte in (b"\xc2", b"\xc3", b"\xe2", b"\xf0"):
            symbol = rb"\xe2[\x88-\x8b\xa8-\xab]|\xf0\x9d[\x90-\x9f]|\xc2[\xb1\xb2\xb3]|\xc3[\x97\xb7]"
            self.symbols += re.match(symbol, page[at : at + 3]) is not None
        elif byte == b"&":
            found = re.match(rb"&#(?:[xX]([0-9a-fA-F]*)|([0-9]*))", page[at : at + 10])
            if found and (digits := found[1] or found[2]):
                code = int(digits, 16 if found[1] else 10)
                ranges = ((0x2200, 0x22FF), (0x2A00, 0x2AFF), (0x1D400, 0x1D7FF))
                self.symbols += any(first <= code <= end for first, end in ranges)
        elif byte in (b"$", b"`"):
            if page[at : at + 2] == b"$$":
                self.delimiters += 1
                return at + 2
            inner, closed, _ = page[at + 1 : min(self.stop, at + 120)].partition(byte)
            if closed and b"\n" not in inner and b"<" not in inner:
                self.delimiters += any(sign in inner for sign in (b"\\", b"^", b"_", b"{"))
        elif page[at : at + 2] in (b"\\(", b"\\["):
            self.delimiters += 1
            return at + 2
        elif found := re.match(rb"\\([a-zA-Z]{2,})", page[at:]):
            self.commands += 1
            self.delimiters += found[1] == b"begin" and page[at + 6 : at + 7] == b"{"
            return at + found.end()
        return at + 1


def naive_scan(page: bytes, weights: list[int]) -> list[int]:
    """What `scan_page` counts."""
    scan = NaiveScan(page)
    weight = sum(weights[slot] for slot in scan.slots)
    counts = [scan.carriers, scan.delimiters, scan.commands, scan.symbols, scan.scripts]
    return [*counts, len(scan.slots), weight]
