"""How `filters.personal` does on mathematics and code: counts, what it finds of what was planted, speed, a peer.

    python benchmarks/personal_data.py DATA [--code CODE] [--record] [--sample OUT.tsv] [--judged IN.tsv]

DATA: folder with raw/web, raw/books, raw/seeds; CODE: JSON lines with a column `text`. --sample writes finds of ours
and of the peer (datatrove's PIIFormatter: e-mail, public IP addresses), at most three of a document, in the order of
their digests, to be judged by somebody who puts 1 or 0 in the first column; --judged counts precision from such a file.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from common import ROOT, record
from datatrove.pipeline.formatters.pii import PIIFormatter
from recall_data import books, pages, seeds

sys.path.insert(0, str(ROOT / "tests"))
from personal_lines import lines, score

from filters.personal import KINDS, find_in
from pipelines.inputs import find_places

BATCH = 64
ROUNDS = 3
SAMPLE = 250  # of each kind and finder
OF_A_DOCUMENT = 3
AROUND = 60
_PEER = PIIFormatter()

# Of telephone numbers a 1 behind a 1, a space, a dot, a hyphen or a bracket stands for any digit of 2 to 9.
FORMS = {
    "email": (
        *("{n}@maths.uni-x.de", "{n}@163.com", "{n} [at] maths [dot] edu", "{n}(at)ens.fr", "{n} AT KTH DOT SE"),
        *("{n} at mit dot edu", "{n}＠pku.edu.cn", "mailto:{n}@x-y.co.uk", "{n} at uni-x.de"),
    ),
    "telephone": (
        *("+1 (555) 010-9999", "+1-555-111-1111", "(555) 111-1111", "555-111-1111", "555.111.1111", "+49 30 111111"),
        *("0049 30 1111111", "+44 20 1111 1111", "+3311111111", "138 0011 8000", "138-0011-8000", "+86 13811111111"),
        *("电话：13811111111", "13811111111", "010-61111111", "(010) 61111111", "（010）61111111", "400-111-1111"),
        *("Tel. 030 / 111 11 11", "Phone: 5111111", "fax 01 11 11 11 11", "电话 61111111", "call 555-1111"),
    ),
    "ip": ("185.11.111.34", "2a02:8108:8ac0:207::1", "[2a02:8108::11]:80", "http://185.11.111.34/x"),
}


def corpus(data: Path, code: Path | None) -> list[str]:
    """Texts of pages, books, seeds and code, each once."""
    import gzip

    import orjson

    texts = [d.text for part in (pages(data), books(data), seeds(data)) for d in part]
    for _, path in find_places([str(code)], (".jsonl.gz",), "code") if code else []:
        with gzip.open(path.open("rb")) as file:  # type: ignore[arg-type]
            texts += [orjson.loads(line)["text"] for line in file]
    return list(dict.fromkeys(text.encode("utf-8", "replace").decode() for text in texts))


def ours(texts: Sequence[str]) -> Iterator[list[tuple[str, int, int]]]:
    """(kind, begin, end) in each text."""
    for start in range(0, len(texts), BATCH):
        for found in find_in(texts[start : start + BATCH]):
            yield [(kind, begin, end) for begin, end, kind in found]


def peer(texts: Sequence[str]) -> Iterator[list[tuple[str, int, int]]]:
    """The same by the peer's expressions and its check of an address."""
    for text in texts:
        mails = [("email", *m.span()) for m in _PEER.emails_replacer.regex.finditer(text)]
        hosts = _PEER.ip_replacer.regex.finditer(text)
        yield mails + [("ip", *m.span()) for m in hosts if _PEER.ip_replacer.validator(m[0])]


FINDERS = {"ours": ours, "datatrove": peer}


def speeds(texts: Sequence[str]) -> dict[str, float]:
    """MB of UTF-8 in a CPU second: both finders, and the peer's masking, the best of some rounds in turns."""
    jobs: dict[str, Callable[[], object]] = {
        **{name: lambda finder=finder: [None for _ in finder(texts)] for name, finder in FINDERS.items()},
        "datatrove, masked": lambda: [_PEER.format(text) for text in texts],
    }
    size = sum(len(text.encode()) for text in texts) / 1e6
    best: dict[str, float] = defaultdict(float)
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            started = time.process_time()
            job()
            best[name] = max(best[name], size / (time.process_time() - started))
    return dict(best)


def planted(texts: Sequence[str], seed: int = 1, each: int = 100) -> dict[str, float]:
    """Share of plants of each form that are found as they were planted, in the middle of real texts."""
    chance = random.Random(seed)
    hosts = [text for text in texts if len(text) > 400]
    found: dict[str, float] = {}
    for kind, forms in FORMS.items():
        for form in forms:
            right = 0
            for _ in range(each):
                name = "".join(chance.choice("abcdefghijklmnop") for _ in range(7))
                plant = _varied(form, chance) if kind == "telephone" else form.format(n=name)
                text = chance.choice(hosts)
                middle = text.rfind(" ", 0, len(text) // 2) + 1
                text = f"{text[:middle][-300:]}\n{plant}, {text[middle:][:300]}"
                at = text.index(plant)
                right += any(k == kind and b < at + len(plant) and at < e for b, e, k in find_in([text])[0])
            found[f"{kind}: {form}"] = right / each
    return found


def _varied(form: str, chance: random.Random) -> str:
    return "".join(
        str(chance.randint(2, 9)) if c == "1" and n and form[n - 1] in "1 .-)" else c for n, c in enumerate(form)
    )


def write_sample(path: Path, texts: Sequence[str]) -> None:
    """Finds to judge, of each finder and kind."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        for name, finder in FINDERS.items():
            taken = []
            for number, (text, found) in enumerate(zip(texts, finder(texts), strict=True)):
                for kind, some in groupby(sorted(found), key=lambda one: one[0]):
                    here = sorted(some, key=lambda one: _digest(f"{number}:{one[1]}"))[:OF_A_DOCUMENT]
                    taken += [
                        (kind, _digest(text[b - AROUND : e] + str(number)), _shown(text, b, e)) for _, b, e in here
                    ]
            for kind, some in groupby(sorted(taken), key=lambda one: one[0]):
                rows.writerows(["", name, kind, shown] for _, _, shown in list(some)[:SAMPLE])


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _shown(text: str, begin: int, end: int) -> str:
    around = f"{text[max(0, begin - AROUND) : begin]}⟦{text[begin:end]}⟧{text[end : end + AROUND // 2]}"
    return " ".join(around.split())


def main() -> None:
    """Prints all; --record appends the figures to results.csv."""
    options = argparse.ArgumentParser()
    options.add_argument("data", type=Path)
    options.add_argument("--code", type=Path)
    options.add_argument("--record", action="store_true")
    options.add_argument("--sample", type=Path)
    options.add_argument("--judged", type=Path)
    given = options.parse_args()
    figures: dict[str, tuple[float, str]] = {}
    texts = corpus(given.data, given.code)
    if given.sample:
        write_sample(given.sample, texts)
        return
    for name, finder in FINDERS.items():
        counts = Counter(kind for found in finder(texts) for kind, _, _ in found)
        figures |= {f"found, {kind}, {name}": (n, "") for kind, n in sorted(counts.items())}

        def pairs(
            text: str, finder: Callable[..., Iterator[list[tuple[str, int, int]]]] = finder
        ) -> list[tuple[str, str]]:
            return [(kind, text[b:e]) for kind, b, e in next(finder([text]))]

        for kind, both in score(pairs, KINDS).items():
            figures |= {f"{what} on {len(lines())} labelled lines, {kind}, {name}": (n, "") for what, n in both.items()}
    figures |= {f"speed, {name}": (n, "MB/CPU s") for name, n in speeds(texts).items()}
    figures |= {f"recall of plants, {form}": (n, "") for form, n in planted(texts).items()}
    if given.judged:
        rows = list(csv.reader(given.judged.open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_MINIMAL))
        for (name, kind), some in groupby(sorted(rows, key=lambda r: r[1:3]), key=lambda r: (r[1], r[2])):
            verdicts = [row[0] == "1" for row in some]
            figures[f"precision on {len(verdicts)} judged finds, {kind}, {name}"] = (sum(verdicts) / len(verdicts), "")
    print(f"{len(texts):,} texts, {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB")
    for what, (value, unit) in figures.items():
        print(f"  {what:75} {value:10.4g} {unit}")
        if given.record and not what.startswith("recall of plants"):
            record(f"personal data: {what}", value, unit)
    if given.record:
        recalls = [n for what, (n, _) in figures.items() if what.startswith("recall of plants")]
        record(f"personal data: recall of plants, mean of {len(recalls)} forms", sum(recalls) / len(recalls), "")


if __name__ == "__main__":
    main()
