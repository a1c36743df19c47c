"""The dataset card of a published build: README.md with a YAML header, as the hub and its loaders read it.

Everything in it is counted from the build's own report, so that the card of the same build has the same bytes. Strings
that came with documents (hosts, licences, names) are written as data: a card is rendered as HTML.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from filters.errors import UsageError
from pipelines.audit.figures import percent
from pipelines.card_words import limits, method
from pipelines.columns import COLUMNS
from pipelines.licence_ids import header_licence, licence_ids

_HOSTS, _LICENCES, _REASONS = 15, 20, 25  # rows of these tables
_SIZES = (("n<1K", 1e3), ("1K<n<10K", 1e4), ("10K<n<100K", 1e5), ("100K<n<1M", 1e6), ("1M<n<10M", 1e7),
          ("10M<n<100M", 1e8), ("100M<n<1B", 1e9), ("1B<n<10B", 1e10), ("10B<n<100B", 1e11),
          ("100B<n<1T", 1e12), ("n>1T", float("inf")))  # fmt: skip
_LICENCE_ID = re.compile(r"[a-z0-9][a-z0-9.-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_UNDETERMINED = "und"


@dataclass(frozen=True, slots=True)
class Card:
    """What a card is made of.

    figures   as `audit.figures` gives them; recipe  without private parts; columns  of the corpus
    configs   (name, pattern of its files) of what can be loaded, the first by default
    repo      ORG/NAME on the hub, None for a folder; licence  identifiers for the header, as the user gave them
    """

    figures: dict[str, Any]
    recipe: dict[str, Any]
    columns: Sequence[str]
    configs: Sequence[tuple[str, str]]
    repo: str | None = None
    licence: Sequence[str] = ()

    @property
    def ran(self) -> set[str]:
        """Names of the stages that ran."""
        return {stage["name"] for stage in self.figures["build"]["stages"]}


def write_card(card: Card) -> str:
    """The README.md; UsageError where a licence is no identifier."""
    name = card.figures["build"]["name"]
    told = [f"---\n{yaml.safe_dump(header(card), sort_keys=False, allow_unicode=True)}---\n", f"# {name}\n"]
    told += [_opening(card), _loading(card), _composition(card.figures["composition"]), *_beside(card)]
    told += ["## Method\n\n" + _numbered(method(card.recipe, card.ran)) + _recipe(card)]
    told += [_benchmarks(card), _removed(card.figures), _licences(card.figures["composition"])]
    told += ["## Known limits\n\n" + _bullets(limits(card.recipe, card.figures, card.ran))]
    told += [_columns(card), _versions(card.figures["build"])]
    return "\n".join(told)


def header(card: Card) -> dict[str, Any]:
    """The fields of the YAML header."""
    composition = card.figures["composition"]
    documents = composition["total"]["documents"]
    languages = sorted(
        {r["language"] for r in composition["by_language"] if _is_language(r["language"])}
        | {"code" for r in composition["by_source"] if r["source"] == "code"}
    )
    return {
        "pretty_name": card.figures["build"]["name"],
        **({"language": languages} if languages else {}),
        **_header_licence(card),
        "size_categories": [next(label for label, top in _SIZES if documents < top)],
        "task_categories": ["text-generation"],
        "tags": _tags(card),
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": path}], **({} if n else {"default": True})}
            for n, (name, path) in enumerate(card.configs)
        ],
    }  # fmt: skip


def _is_language(code: str | None) -> bool:
    return code is not None and code != _UNDETERMINED and _LANGUAGE.fullmatch(code) is not None


def _header_licence(card: Card) -> dict[str, Any]:
    for given in card.licence:
        if not _LICENCE_ID.fullmatch(given):
            msg = f"--licence {given}: not an identifier such as cc-by-4.0, apache-2.0 or odc-by"
            raise UsageError(msg)
    found = list(card.licence) or header_licence(r["licence"] for r in card.figures["composition"]["by_licence"])
    if found:
        return {"license": found if len(found) > 1 else found[0]}
    return {"license": "other", "license_name": "see-section-licences"}


def _tags(card: Card) -> list[str]:
    made = ["synthetic"] if any(r["source"] == "synth" for r in card.figures["composition"]["by_source"]) else []
    clean = ["decontaminated"] if "decontaminate" in card.ran else []
    unique = ["deduplicated"] if card.ran & {"exact_dedup", "minhash_dedup"} else []
    return ["mathematics", "pretraining", *clean, *unique, *made, "mathcorpus"]


# --- sections ---------------------------------------------------------------------------------------------------------


def _opening(card: Card) -> str:
    total = card.figures["composition"]["total"]
    counts = card.figures["build"]["documents"]
    made = f" and {counts['made']:,} made" if counts["made"] else ""
    return (
        f"{total['documents']:,} documents, {_number(total['tokens'])} tokens, {_number(total['characters'])} "
        f"characters of mathematics. {counts['read']:,} documents were read{made}, {counts['removed']:,} removed, each "
        "for a reason that is counted below. Built with mathcorpus.\n"
    )


def _loading(card: Card) -> str:
    lines = []
    for number, (config, path) in enumerate(card.configs):
        variable = re.sub(r"\W", "_", config) if number else "corpus"
        if card.repo:
            named = f', "{config}"' if number else ""
            lines.append(f'{variable} = load_dataset("{card.repo}"{named}, split="train")')
        else:
            lines.append(f'{variable} = load_dataset("parquet", data_files="{path}", split="train")')
    return "```python\nfrom datasets import load_dataset\n\n" + "\n".join(lines) + "\n```\n"


def _composition(found: dict[str, Any]) -> str:
    total = found["total"]
    both = [[r["source"], r["language"], *_amounts(r, total)] for r in found["by_source_language"]]
    told = "## Composition\n\n" + _table(["source", "language", *_amount_names(total)], both, 2)
    hosts = [[r["host"], *_amounts(r, total)] for r in found["by_host"][:_HOSTS]]
    if hosts:
        more = len(found["by_host"]) - len(hosts) + found["other_hosts"]["hosts"]
        told += "\nLargest hosts" + (f", of {more + len(hosts):,}" if more else "") + ":\n\n"
        told += _table(["host", *_amount_names(total)], hosts, 1)
    return told


def _beside(card: Card) -> Iterator[str]:
    """Of mixes and packed sequences, where they are published too."""
    configs = {name for name, _ in card.configs}
    mixes = [mix for mix in card.figures.get("mixes") or () if f"mix-{mix['name']}" in configs]
    if mixes:
        rows = [
            [m["name"], p["name"], *(_number(p[c]) for c in ("documents", "copies", "tokens")), _epochs(p["epochs"])]
            for m in mixes
            for p in m["parts"]
        ]
        told = "## Mixes\n\nDrawn from the corpus by digests of seed and id; `copy` numbers what comes again.\n\n"
        yield told + _table(["mix", "part", "documents", "rows", "tokens", "epochs"], rows, 2)
    packed = card.figures.get("packed")
    if packed and "packed" in configs:
        sequences = packed["sequences"]
        yield (
            f"## Packed\n\n{sequences['count']:,} sequences of {sequences['length']:,} tokens by the tokenizer "
            f"{_code(packed['tokenizer']['name'])} (SHA-256 `{packed['tokenizer']['sha256']}`), which is not part of "
            "this dataset: `packed/sequences` for readers of Parquet, `packed/tokens` for those of datatrove's files.\n"
        )


def _recipe(card: Card) -> str:
    shown = yaml.safe_dump(card.recipe, sort_keys=False, allow_unicode=True)
    return (
        "\n<details><summary>The recipe, with every threshold</summary>\n\n```yaml\n"
        f"{shown}```\n\nPaths are names here: sources and benchmarks are not part of this dataset.\n\n</details>\n"
    )


def _benchmarks(card: Card) -> str:
    found = card.figures["contamination"]
    told = "## Benchmarks checked\n\n"
    if "decontaminate" not in card.ran:
        return told + "None: this build did not look for benchmark text.\n"
    rows = [
        [f"{b['benchmark']}/{b['split']}", *(_number(b[c]) for c in ("items", "protected", "items_hit", "documents"))]
        for b in found["benchmarks"]
    ]
    columns = ["benchmark", "items", "that the rule can find", "items found", "documents removed"]
    items = sum(b["items"] or 0 for b in found["benchmarks"])
    told += (
        f"{len(rows)} sets with {items:,} items; {found['documents']:,} documents were removed for what they hold.\n\n"
    )
    return told + _table(columns, rows, 1)


def _removed(figures: dict[str, Any]) -> str:
    reasons, read = figures["removed"], figures["build"]["documents"]["read"]
    rows = [[r["stage"], _code(r["reason"]), f"{r['documents']:,}", percent(r["documents"], read)]
            for r in reasons[:_REASONS]]  # fmt: skip
    if rest := reasons[_REASONS:]:
        gone = sum(r["documents"] for r in rest)
        rows.append(["others", f"{len(rest):,} reasons", f"{gone:,}", percent(gone, read)])
    told = "## What was removed\n\nThe removed documents are not part of this dataset.\n\n"
    return told + _table(["stage", "reason", "documents", "of those read"], rows, 2, escaped=(1,))


def _licences(found: dict[str, Any]) -> str:
    total, shown = found["total"], found["by_licence"][:_LICENCES]
    rows = [
        [r["licence"] or "not stated", ", ".join(licence_ids(r["licence"] or "")) or "–", *_amounts(r, total)]
        for r in shown
    ]
    told = (
        "## Licences\n\nEach document has the licence that its source states, in the column `licence`; the texts keep "
    )
    told += "the rights of those who wrote them.\n\n" + _table(
        ["as stated", "identifier", *_amount_names(total)], rows, 2
    )
    more = len(found["by_licence"]) - len(shown)
    return told + (f"\n{more:,} more statements of licences are in the column.\n" if more else "")


def _columns(card: Card) -> str:
    rows = [[f"`{c}`", COLUMNS[c]] for c in card.columns]
    return "## Columns\n\n" + _table(["column", "what it holds"], rows, 2, escaped=(0, 1))


def _versions(build: dict[str, Any]) -> str:
    corpus = build["datasets"]["corpus"]
    named = {
        "key of the build": build["key"],
        "digest of the shards": corpus["digest"],
        "digest of the rows, in any order": corpus["content"],
        "format": build["versions"]["format"],
        **dict(sorted(build["versions"]["libraries"].items())),
    }
    rows = [[_safe(name), _code(value)] for name, value in named.items()]
    told = "## Digests and versions\n\nEqual keys give equal bytes; `manifest.json` has the SHA-256 of each file.\n\n"
    return told + _table(["what", "value"], rows, 2, escaped=(0, 1))


# --- Markdown ---------------------------------------------------------------------------------------------------------


def _amount_names(total: dict[str, Any]) -> list[str]:
    return ["documents", "tokens", "characters", f"share of {_whole(total)}"]


def _whole(total: dict[str, Any]) -> str:
    """What shares are of: characters where tokens were not counted."""
    return "tokens" if total["tokens"] else "characters"


def _amounts(row: dict[str, Any], total: dict[str, Any]) -> list[str]:
    whole = _whole(total)
    share = percent(row[whole] or 0, total[whole] or 0)
    return [f"{row['documents']:,}", _number(row["tokens"]), _number(row["characters"]), share]


def _epochs(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]], texts: int, escaped: Sequence[int] = ()) -> str:
    """A table whose first `texts` columns are words, the others numbers; those of `escaped` are Markdown already."""
    lines = [f"| {' | '.join(names)} |", f"|{'|'.join('---' if n < texts else '---:' for n in range(len(names)))}|"]
    for row in rows:
        cells = [str(c) if n in escaped or n >= texts else _safe(c) for n, c in enumerate(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _safe(value: Any) -> str:
    """Text of others as text: no tag, no link, no end of a cell or line."""
    told = " ".join(str("–" if value is None else value).split())
    return re.sub(r"([\\`*_\[\]|!~#])", r"\\\1", html.escape(told, quote=False))


def _code(value: Any) -> str:
    """Text of others as a code span within a table."""
    return "`" + " ".join(str(value).split()).replace("`", "'").replace("|", "\\|") + "`"


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _numbered(lines: Iterable[str]) -> str:
    return "".join(f"{n}. {line}\n" for n, line in enumerate(lines, 1))
