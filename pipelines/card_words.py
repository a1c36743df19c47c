"""The method and the limits of a build in words, for its dataset card: from the recipe and the figures alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from pipelines.licence_ids import licence_ids

Config = dict[str, Any]


def method(recipe: Config, ran: Collection[str]) -> list[str]:
    """A sentence for each thing that the build did, in order; `ran` are the names of its stages."""
    kinds = ", ".join(f"`{s['name']}` ({s['format']}, {s['source']})" for s in recipe["sources"])
    stages = [stage for stage in recipe["stages"] if _name(stage) in ran]
    return [f"**Read**: {kinds}.", *(_STAGES[stage["stage"]](stage) for stage in stages)]


def _name(stage: Config) -> str:
    """The stage's name in the ledger and in the manifest."""
    return str(stage["name"] if stage["stage"] == "datatrove" else stage["stage"])


def _languages(c: Config) -> str:
    mixed = " and `mixed`" if {"en", "zh"} <= set(c["keep"]) else ""
    kept = ", ".join(f"`{code}`" for code in c["keep"])
    return f"**Language**: only documents in {kept}{mixed} stay; source code is `und`, and stays."


def _recall(c: Config) -> str:
    how = "given with the recipe" if c.get("model") else "trained on the recipe's seeds"
    return f"**Recall**: documents that a fastText classifier, {how}, holds for mathematics; least score {_cut(c)}."


def _code(c: Config) -> str:
    return (
        f"**Code**: source files that rules and a classifier of their own hold for mathematics; least score {_cut(c)}."
    )


def _cut(c: Config) -> str:
    limit = c["threshold"]
    if isinstance(limit, dict):
        return ", ".join(f"{v} ({k})" for k, v in limit.items())
    return str(limit)


def _minhash(c: Config) -> str:
    proof = "exact" if c["proof"] == "shingles" else "estimated"
    return (
        f"**Near duplicates**: MinHash ({c['bands']} bands of {c['rows']}) finds candidates; documents whose {proof} "
        f"Jaccard similarity of {c['ngram']}-token shingles with a document that stays is {c['threshold']} or more go."
    )


def _decontaminate(c: Config) -> str:
    if c["rule"] == "qwen-math":
        rule = (
            f"a document that shares {c['ngram']} tokens in a row with a benchmark item, and whose longest common "
            f"subsequence with it is above {c['lcs_threshold']} of the window, is removed"
        )
    else:
        rule = "rule `qwen2-formula`: the longest common subsequence alone decides"
    near = {
        (True, "posttrain"): "; so is one that differs only in numbers, names or a clause",
        (True, "web"): "; one that differs only in numbers, names or a clause is kept and counted below",
    }.get((c["near"], c["profile"]), "")
    return f"**Decontamination**: {rule}{near}."


def _score(c: Config) -> str:
    least = "nothing is removed by it" if c.get("threshold") is None else f"least score {c['threshold']}"
    return f"**Scores of a language model** (`{c['server']['model']}`, {c['task']}): {least}."


def _synth(c: Config) -> str:
    return (
        f"**Synthesis**: samples made of {', '.join(c['sources'])} documents by `{c['server']['model']}`, each checked "
        "by gates and by the stages below; they have the source `synth` and name the documents they were made of."
    )


def _personal(c: Config) -> str:
    kinds, action = ", ".join(c.get("kinds") or ()), c.get("action")
    what = "are masked in the text" if action == "mask" else "remove their document"
    return f"**Personal data**: {kinds} {what}."


_STAGES: dict[str, Callable[[Config], str]] = {
    "extract": lambda _: "**Extraction**: main content of pages as Markdown, with every formula as `$…$`.",
    "language": _languages,
    "recall": _recall,
    "code": _code,
    "quality": lambda c: (
        f"**Quality**: rules that leave braces, digits and short lines alone; {c['min_tokens']} tokens at least."
    ),
    "exact_dedup": lambda c: (
        f"**Exact duplicates**: one document of each content{' and of each address' if c['urls'] else ''} stays."
    ),
    "minhash_dedup": _minhash,
    "paragraph_dedup": lambda c: (
        f"**Shared paragraphs**: cut from pages where {c['min_pages']} pages of a host have them."
    ),
    "decontaminate": _decontaminate,
    "score": _score,
    "synth": _synth,
    "personal_data": _personal,
    "takedown": lambda _: "**Takedown**: what somebody asked to be left out is.",
    "orphans": lambda _: "**Orphans**: samples whose documents went go too.",
    "tokens": lambda c: f"**Tokens** are counted by {_tokenizer(c)}.",
    "datatrove": lambda c: f"**{c['name']}**: the filter `{c['filter']}` of datatrove.",
}


def _tokenizer(c: Config) -> str:
    if c["tokenizer"] == "builtin":
        return "the project's own tokeniser (words, numbers, single Chinese characters)"
    return f"the tokenizer `{c['tokenizer']}`"


# --- limits -----------------------------------------------------------------------------------------------------------

_WITHOUT = {
    "recall": "No classifier chose the documents: those that are no mathematics are among them.",
    "quality": "No rules of quality were applied.",
    "exact_dedup": "Equal documents were not removed.",
    "minhash_dedup": "Near duplicates were not removed.",
    "decontaminate": "**Not decontaminated**: benchmark questions may be in it word for word.",
    "personal_data": "Personal data (e-mail addresses, telephone numbers, IP addresses) was not masked.",
    "takedown": "No list of documents that somebody asked to be left out was applied.",
    "tokens": "Tokens were not counted.",
}


_ERRING = "Classifiers and rules err: documents that are no mathematics stay, and documents that are were removed."


def limits(recipe: Config, found: dict[str, Any], ran: Collection[str]) -> list[str]:
    """What a reader has to know before using the corpus, from what the build did and counted."""
    told = [text for stage, text in _WITHOUT.items() if stage not in ran]
    unable = [_name(stage) for stage in recipe["stages"] if _name(stage) not in ran]
    told += [f"The recipe's stage `{name}` could not run where this was built, and was left out." for name in unable]
    return [*told, *_contamination(found["contamination"]), *_composition(found["composition"]), _ERRING]


def _contamination(found: dict[str, Any]) -> Iterator[str]:
    open_items = sum(b["unprotected"] or 0 for b in found["benchmarks"])
    if open_items:
        items = sum(b["items"] or 0 for b in found["benchmarks"])
        yield f"{open_items:,} of {items:,} benchmark items are too short for the rule: these it cannot find."
    if found["reported"]:
        classes = ", ".join(f"{n:,} {kind}" for kind, n in sorted(found["reported_classes"].items()))
        yield (
            f"{found['reported']:,} documents stay although something in them resembles a benchmark item ({classes}): "
            "`near` differs in numbers, names or a clause, `review` rests on a stock phrase."
        )
    if found["benchmarks"]:
        yield "Benchmarks that the table above does not name were not looked for, nor translations and free rewordings."


def _composition(found: dict[str, Any]) -> Iterator[str]:
    total = found["total"]["documents"]
    silent = sum(row["documents"] for row in found["by_licence"] if row["licence"] is None)
    if silent:
        yield f"{silent:,} of {total:,} documents state no licence; that they could be read does not make them free."
    bound = sum(
        row["documents"] for row in found["by_licence"] if any("-nc" in i for i in licence_ids(row["licence"] or ""))
    )
    if bound:
        yield f"{bound:,} documents state a licence that forbids commercial use (`nc` in the table of licences)."
    made = sum(row["documents"] for row in found["by_source"] if row["source"] == "synth")
    if made:
        yield f"{made:,} of {total:,} documents were made by a language model, and may hold its errors."
