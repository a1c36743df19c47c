"""Charts of the report as static SVG: Altair describes them, vl-convert draws them, without a browser or a network.

Names from documents (languages, media types, benchmarks) reach the drawing only as data, which the SVG writer escapes;
`labels` says what else they need. Colours are of middle brightness and the ground is transparent, so that one drawing
serves a light and a dark page; the page's style gives text its colour.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

KEPT, REMOVED, PLAIN = "#3f87c5", "#d17a33", "#4a9a8b"
PALETTE = ["#4a9a8b", "#a873b5", "#b59a35", "#c9617a", "#6a7fd0", "#a0765a", "#7d8894"]
WIDTH = 240  # of the bars; with labels a chart is as wide as a telephone
TOP_BENCHMARKS = 20
TOP_REASONS = 8
TOP_VALUES = 8
LABEL_COLUMNS = 26  # letters; a Chinese character counts as two
_TICKS = 4
_MARGIN = 1.08  # longest bar to the end of its axis
_PICTURES = {**{c: 0x2400 + c for c in range(0x20) if chr(c) not in "\t\n\r"}, 0x7F: 0x2421}
_HIDDEN = [*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xFDD0, 0xFDF0), 0xFFFE, 0xFFFF]
_VISIBLE = {**_PICTURES, **dict.fromkeys(_HIDDEN, 0xFFFD)}


def charts(figures: dict[str, Any]) -> dict[str, str]:
    """The charts that the figures give, as SVG by name: `funnel`, `composition`, a score, `tokens`, `cost`, …

    What has no data has no chart.
    """
    found = _of_build(figures) if figures["funnel"] else {}
    if figures.get("measures"):
        found |= _of_measures(figures["measures"], is_folder=not found)
    found |= {f"mix-{place}": _mix(mix["parts"]) for place, mix in enumerate(figures.get("mixes") or ())}
    return {name: _svg(chart) for name, chart in found.items() if chart is not None}


def _of_build(figures: dict[str, Any]) -> dict[str, alt.Chart | None]:
    histograms, contamination = figures["histograms"], figures["contamination"]
    return {
        "funnel": _funnel(figures["funnel"]["stages"]),
        "reasons": _reasons(figures["removed"]),
        "composition": _composition(figures["composition"]),
        **{
            name: _histogram(name, h["edges"], {p: h[p] for p in ("kept", "removed")}) for name, h in histograms.items()
        },
        "benchmarks": _benchmarks(contamination["benchmarks"]),
        "lcs": _lcs(contamination),
        "cost": _cost(figures["cost"]["stages_cpu_s"]),
    }


def _of_measures(measures: dict[str, Any], *, is_folder: bool) -> dict[str, alt.Chart | None]:
    lengths, shares = measures["lengths"], measures["formulas"]["characters_share"]
    found = {"formula_share": _histogram("share", shares["edges"], {"documents": shares["counts"]})}
    if is_folder:  # a build draws its own
        top = {name: measures["by"][name][:TOP_VALUES] for name in ("source", "language")}
        bars = {name: [(row["value"], row["documents"]) for row in rows] for name, rows in top.items()}
        found |= {f"by_{name}": _bars(values, "documents") for name, values in bars.items()}
        found["lengths"] = _histogram("tokens", lengths["edges"], {"documents": lengths["counts"]})
    return found


def visible(text: str) -> str:
    """The text with control characters, marks that turn the direction of text, and non-characters made visible.

    They can hide or reorder what stands beside them; and most are not XML, at which vl-convert ends the process.
    """
    return text.translate(_VISIBLE)


def labels(names: Iterable[str | None]) -> list[str]:
    """A label for each name: visible, short, and unlike the others.

    Cut here, since Vega cuts between the halves of a surrogate pair and then fails; and with a no-break space at the
    end, since Vega looks names up in JavaScript objects, where `constructor` is something else.
    """
    made: list[str] = []
    for name in names:
        label = _shortened(visible("none" if name is None else name)) + "\u00a0"
        while label in made:
            label += "\u00a0"
        made.append(label)
    return made


def _shortened(text: str) -> str:
    columns = 0
    for place, char in enumerate(text):
        columns += 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if columns > LABEL_COLUMNS:
            return text[:place] + "…"
    return text


def _svg(chart: alt.Chart) -> str:
    import vl_convert

    drawn = chart.properties(background="transparent").configure(
        font="sans-serif",
        view={"stroke": None},
        axis={
            "domainColor": "#888",
            "tickColor": "#888",
            "gridColor": "#888",
            "gridOpacity": 0.25,
            "titleFontWeight": "normal",
            "labelLimit": 0,
        },
        legend={"orient": "top", "title": None, "labelLimit": 0, "columns": 4},
    )
    return str(vl_convert.vegalite_to_svg(drawn.to_dict()))


def _funnel(stages: list[dict[str, Any]]) -> alt.Chart | None:
    rows = [
        {"name": name, "place": place, "documents": stage[part], "part": part, "order": order}
        for place, (name, stage) in enumerate(zip(labels(s["stage"] for s in stages), stages, strict=True))
        for order, part in enumerate(("kept", "removed"))
    ]
    return _stacked(rows, [KEPT, REMOVED])


def _composition(composition: dict[str, Any]) -> alt.Chart | None:
    """Documents by source, in the colours of their languages; all but the first six languages are `other`."""
    sources = [row["source"] for row in composition["by_source"]]
    languages = [row["language"] for row in composition["by_language"]]
    names, parts = labels(sources), labels([*languages[: len(PALETTE) - 1], "other"])
    counts: Counter[tuple[int, int]] = Counter()
    for row in composition["by_source_language"]:
        order = min(languages.index(row["language"]), len(parts) - 1)
        counts[sources.index(row["source"]), order] += row["documents"]
    rows = [
        {"name": names[place], "place": place, "documents": n, "part": parts[order], "order": order}
        for (place, order), n in counts.items()
    ]
    return _stacked(rows, PALETTE)


def _stacked(rows: list[dict[str, Any]], colours: list[str]) -> alt.Chart | None:
    """A bar for each name, by `place`, of parts, by `order`.

    Sorted by numbers: a list of names to sort by, or to colour, becomes part of a Vega expression, which is code.
    """
    import altair as alt

    longest: Counter[int] = Counter()
    for row in rows:
        longest[row["place"]] += row["documents"]
    if not any(longest.values()):
        return None
    return (
        alt.Chart(alt.Data(values=rows), width=WIDTH, height={"step": 22})
        .mark_bar()
        .encode(
            x=alt.X("documents:Q", title="documents", axis=_counts(max(longest.values()))),
            y=alt.Y("name:N", title=None, sort=alt.EncodingSortField("place", "min")),
            color=alt.Color("part:N", sort=alt.EncodingSortField("order", "min"), scale=alt.Scale(range=colours)),
            order=alt.Order("order:Q"),
        )
    )


def _counts(highest: int) -> alt.Axis:
    import altair as alt

    few = {"values": list(range(highest + 1))} if highest <= _TICKS else {}  # else Vega marks halves of a document
    return alt.Axis(format=",d", tickCount=_TICKS, **few)


def _histogram(name: str, edges: list[float], parts: dict[str, list[int]]) -> alt.Chart | None:
    """The parts of each bin, one above the other; tokens on a doubling scale."""
    import altair as alt

    rows = [
        {"low": low, "high": high, "count": n, "part": part, "order": i}
        for i, (part, counts) in enumerate(parts.items())
        for low, high, n in zip(edges, edges[1:], counts, strict=False)
        if n
    ]
    if not rows:
        return None
    highest = max(map(sum, zip(*parts.values(), strict=True)))
    kind = {"type": "log", "base": 2} if name == "tokens" else {}
    scale = alt.Scale(domain=[edges[0], edges[-1]], nice=False, **kind)
    shares = alt.Axis(format=",", tickCount=5)
    colours = [{"kept": KEPT, "removed": REMOVED}.get(part, PLAIN) for part in parts]
    legend = {} if len(parts) > 1 else {"legend": None}
    return (
        alt.Chart(alt.Data(values=rows), width=WIDTH + 70, height=150)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin="binned", scale=scale, title=None, axis=shares),
            x2="high:Q",
            y=alt.Y("count:Q", title=None, stack="zero", axis=_counts(highest)),
            color=alt.Color("part:N", scale=alt.Scale(domain=list(parts), range=colours), **legend),
            order=alt.Order("order:Q"),
        )
    )


def _reasons(removed: list[dict[str, Any]]) -> alt.Chart | None:
    often = Counter(r["reason"] for r in removed[:TOP_REASONS])
    bars = [
        (r["reason"] if often[r["reason"]] == 1 else f"{r['stage']}: {r['reason']}", r["documents"])
        for r in removed[:TOP_REASONS]
    ]
    return _bars(bars, "documents removed")


def _benchmarks(benchmarks: list[dict[str, Any]]) -> alt.Chart | None:
    hit = sorted((b for b in benchmarks if b["documents"]), key=lambda b: -b["documents"])
    bars = [(f"{b['benchmark']} / {b['split']}", b["documents"]) for b in hit[:TOP_BENCHMARKS]]
    return _bars(bars, "documents removed")


def _cost(stages: list[dict[str, Any]]) -> alt.Chart | None:
    return _bars([(s["stage"], s["cpu_s"]) for s in stages], "processor seconds")


def _lcs(contamination: dict[str, Any]) -> alt.Chart | None:
    counts = [sum(column) for column in zip(*(b["lcs"] for b in contamination["benchmarks"]), strict=True)]
    return _histogram("lcs", contamination["lcs_edges"], {"lines of evidence": counts})


def _mix(parts: list[dict[str, Any]]) -> alt.Chart | None:
    """Two bars for each part: the share of the tokens that it was to have, and that which it has."""
    import altair as alt

    rows = [
        {"name": name, "place": place, "share": part[f"share_{side}"], "side": side, "order": order}
        for place, (name, part) in enumerate(zip(labels(p["name"] for p in parts), parts, strict=True))
        for order, side in enumerate(("wanted", "got"))
        if part[f"share_{side}"] is not None
    ]
    if not rows:
        return None
    return (
        alt.Chart(alt.Data(values=rows), width=WIDTH, height={"step": 12})
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of the tokens", axis=alt.Axis(format=".0%", tickCount=4)),
            y=alt.Y("name:N", title=None, sort=alt.EncodingSortField("place", "min")),
            yOffset=alt.YOffset("order:N"),
            color=alt.Color("side:N", scale=alt.Scale(domain=["wanted", "got"], range=["#8f9aa5", KEPT])),
        )
    )


def _bars(bars: Sequence[tuple[str | None, float]], title: str) -> alt.Chart | None:
    import altair as alt

    longest = max((amount for _, amount in bars), default=0)
    if not longest:
        return None
    names = labels(name for name, _ in bars)
    rows = [{"name": n, "place": i, "amount": bar[1]} for i, (n, bar) in enumerate(zip(names, bars, strict=True))]
    axis = alt.Axis(format=",~f", tickCount=4, tickMinStep=1 if isinstance(longest, int) else 0.01)
    return (
        alt.Chart(alt.Data(values=rows), width=WIDTH, height={"step": 22})
        .mark_bar(color=PLAIN)
        .encode(
            x=alt.X("amount:Q", title=title, scale=alt.Scale(domainMax=longest * _MARGIN), axis=axis),
            y=alt.Y("name:N", title=None, sort=alt.EncodingSortField("place", "min")),
        )
    )
