"""What each quality rule costs: the share of known mathematics and of known rubbish that it removes, by source.

python benchmarks/quality_rules.py [DATA]    DATA holds raw/seeds and raw/books as examples/real.yaml reads them

Mathematics: positive seeds and mathematical books of DATA. Rubbish is generated here, from a seed; spam and adult text
from the lists of the rules themselves, so that their columns show that these rules are wired, not what they find. The
rules of Gopher and C4 that were left out stand below ours, for comparison.
"""

from __future__ import annotations

import io
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import zstandard

from filters.quality import QualityParams, Signals, signals, word_list
from pipelines.sources import seed_rows

NOT_MATH = ("GITenberg", "progit", "rust-lang", "google/", "golang", "es6tutorial", "opensource.guide")
IS_MATH = ("Introduction-to-Mathematics",)
OFF = QualityParams(0, 1, 1, 1, 1, 1, 1, 1)
RULES = {
    "too_short": replace(OFF, min_tokens=QualityParams().min_tokens),
    "number_junk": replace(OFF, max_number_share=QualityParams().max_number_share),
    "repeated_lines": replace(OFF, max_repeated_line_share=QualityParams().max_repeated_line_share),
    "link_list": replace(OFF, max_link_line_share=QualityParams().max_link_line_share),
    "log_lines": replace(OFF, max_stamp_line_share=QualityParams().max_stamp_line_share),
    "boilerplate": replace(OFF, max_boilerplate_share=QualityParams().max_boilerplate_share),
    "spam": replace(OFF, max_spam_share=QualityParams().max_spam_share),
    "adult": replace(OFF, max_adult_share=QualityParams().max_adult_share),
    "all": QualityParams(),
}


def _words(text: str) -> list[str]:
    return text.split() or [""]


CLASSIC: dict[str, Callable[[str], bool]] = {
    "C4: has a brace": lambda t: "{" in t,
    "Gopher: words of 3 to 10": lambda t: not 3 <= sum(map(len, _words(t))) / len(_words(t)) <= 10,
    "Gopher: 80 % with a letter": lambda t: (
        sum(bool(re.search("[a-zA-Z]", w)) for w in _words(t)) < 0.8 * len(_words(t))
    ),
    "Gopher: # and ... 10 %": lambda t: t.count("#") + t.count("...") > 0.1 * len(_words(t)),
    "Gopher: two stop words": lambda t: (
        len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(_words(t))) < 2
    ),
    "C4: 5 sentences": lambda t: len(re.findall(r"[.!?\"]\s", t + " ")) < 5,
}


def rubbish(seed: int = 1, each: int = 100) -> Iterator[tuple[str, str]]:
    """(kind, text) of pages that nobody wants to train on."""
    draw = random.Random(seed)

    def lines(make: Callable[[int], str]) -> str:
        return "\n".join(make(i) for i in range(draw.randint(20, 80)))

    def stuffed(name: str) -> str:
        entries = (
            word_list(name).pattern.replace(r"\b", "").replace("\\", "").replace("(?:", "").replace(")", "").split("|")
        )
        filler = re.findall(r"\w+", "we have the very page for you and your friends who like to read of it every day")
        return " ".join(draw.choices([e for e in entries if e] + filler * 3, k=200))

    def stamp() -> str:
        return (
            f"2023-{draw.randint(1, 12):02}-{draw.randint(1, 28):02} {draw.randint(0, 23):02}:{draw.randint(0, 59):02}"
        )

    makers: dict[str, Callable[[], str]] = {
        "parcel tracking": lambda: lines(
            lambda _: f"RB{draw.randrange(10**9):09}CN {stamp()} depot {draw.randrange(99)} 1 0"
        ),
        "server log": lambda: lines(
            lambda i: f"{stamp()}:11 10.0.{draw.randrange(255)}.7 GET /a{i} 200 {draw.randrange(9999)}"
        ),
        "lottery": lambda: lines(lambda i: f"{2000 + i} " + " ".join(str(draw.randint(1, 49)) for _ in range(7))),
        "phone list": lambda: lines(lambda _: f"0{draw.randrange(10**9, 10**10)} 0{draw.randrange(10**9, 10**10)}"),
        "link farm": lambda: lines(
            lambda _: draw.choice(["Cheap hotels", "Best shoes", "[News](http://x.example/n)", "About"])
        ),
        "boilerplate": lambda: lines(
            lambda _: draw.choice(["All rights reserved 2020", "Privacy policy", "Sign in", "关于我们"])
        ),
        "repeated": lambda: (
            lines(lambda _: "Call now to get our very special offer for today") + stuffed("boilerplate")[:200]
        ),
        "spam": lambda: stuffed("spam"),
        "adult": lambda: stuffed("adult"),
    }
    yield from ((kind, make()) for kind, make in makers.items() for _ in range(each))


def mathematics(data: Path) -> Iterator[tuple[str, str]]:
    """(source, text) of mathematics that other people wrote."""
    for _, row in seed_rows(data / "raw" / "seeds" / "positive.jsonl.gz"):
        yield row["source"], row["text"]
    for path in sorted((data / "raw" / "books").glob("*.jsonl.zst")):
        with path.open("rb") as file:
            for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
                row = json.loads(line)
                if any(m in row["repo"] for m in IS_MATH) or not any(n in row["repo"] for n in NOT_MATH):
                    yield "book " + row["repo"], row["text"]


def table(found: list[tuple[str, str]]) -> tuple[list[str], dict[str, dict[str, float]]]:
    """(sources, share removed by rule and source)."""
    sizes = Counter(source for source, _ in found)
    removed: dict[str, Counter[str]] = defaultdict(Counter)
    for (source, text), signal in zip(found, _signals([text for _, text in found]), strict=True):
        for rule, params in RULES.items():
            removed[rule][source] += signal.verdict(params) is not None
        for rule, breaks in CLASSIC.items():
            removed[rule][source] += breaks(text)
    return sorted(sizes), {rule: {s: counts[s] / n for s, n in sizes.items()} for rule, counts in removed.items()}


def _signals(texts: list[str]) -> Iterator[Signals]:
    for i in range(0, len(texts), 64):
        yield from signals(texts[i : i + 64])


def main(data: Path | None) -> None:
    """Prints a table for mathematics and one for rubbish, a column for each rule."""
    known = [("mathematics", list(mathematics(data)))] if data else []
    for name, found in [*known, ("rubbish", list(rubbish()))]:
        sources, shares = table(found)
        print(
            f"\n{name}: removed, in % of {len(found)} texts\n{'':44}" + " ".join(f"{i:>6}" for i in range(len(shares)))
        )
        print("\n".join(f"  {i}: {rule}" for i, rule in enumerate(shares)))
        for source in sources:
            print(f"{source[:44]:44}" + " ".join(f"{100 * row[source]:6.1f}" for row in shares.values()))
        sizes = Counter(source for source, _ in found)
        overall = [sum(row[s] * n for s, n in sizes.items()) / len(found) for row in shares.values()]
        print(f"{'all':44}" + " ".join(f"{100 * share:6.2f}" for share in overall))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
