"""Charts of the report as static SVG: Altair describes them, vl-convert draws them, without a browser or a network.

Names from documents (languages, benchmarks) reach the drawing only as data, which the SVG writer escapes. Colours are of
middle brightness and the ground is transparent, so that one drawing serves a light and a dark page; the page's style
gives text its colour.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

KEPT, REMOVED, PLAIN = "#3f87c5", "#d17a33", "#4a9a8b"
PALETTE = ["#4a9a8b", "#a873b5", "#b59a35", "#c9617a", "#6a7fd0", "#a0765a", "#7d8894"]
WIDTH, LABEL_WIDTH = 270, 130  # together what a telephone shows
TOP_BENCHMARKS = 20
TOP_REASONS = 8
_MARGIN = 1.08  # of the longest bar, for its number


def charts(figures: dict[str, Any]) -> dict[str, str]:
    """The charts that the figures give, as SVG by name: `funnel`, `composition`, a score, `tokens`, `cost`, …

    What has no data has no chart.
    """
    histograms, contamination = figures["histograms"], figures["contamination"]
    found = {
        "funnel": _funnel(figures["funnel"]["stages"]),
        "reasons": _reasons(figures["removed"]),
        "composition": _composition(figures["composition"]),
        **{
            name: _histogram(name, h["edges"], {p: h[p] for p in ("kept", "removed")}) for name, h in histograms.items()
        },
        "benchmarks": _benchmarks(contamination["benchmarks"]),
        "lcs": _lcs(contamination),
        "cost": _bars(figures["cost"]["stages_cpu_s"], "stage", "cpu_s", "processor seconds"),
    }
    return {name: _svg(chart) for name, chart in found.items() if chart is not None}


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
            "labelLimit": LABEL_WIDTH,
        },
        legend={"orient": "top", "title": None, "labelLimit": LABEL_WIDTH, "columns": 4},
    )
    return str(vl_convert.vegalite_to_svg(drawn.to_dict()))


def _funnel(stages: list[dict[str, Any]]) -> alt.Chart | None:
    rows = [
        {"stage": s["stage"], "documents": s[part], "part": part, "order": i}
        for s in stages
        for i, part in enumerate(("kept", "removed"))
    ]
    return _stacked(rows, "stage", [("kept", KEPT), ("removed", REMOVED)], [s["stage"] for s in stages])


def _reasons(removed: list[dict[str, Any]]) -> alt.Chart | None:
    rows = [{"reason": f"{r['stage']}: {r['reason']}", "documents": r["documents"]} for r in removed[:TOP_REASONS]]
    return _bars(rows, "reason", "documents", "documents removed")


def _composition(composition: dict[str, Any]) -> alt.Chart | None:
    """Documents by source, in the colours of their languages; all but the first six languages are `other`."""
    languages = [row["language"] or "none" for row in composition["by_language"]]
    named = languages[: len(PALETTE) - 1]
    counts: Counter[tuple[str, str]] = Counter()
    for row in composition["by_source_language"]:
        language = row["language"] or "none"
        counts[row["source"] or "none", language if language in named else "other"] += row["documents"]
    parts = [*named, *(["other"] if len(languages) > len(named) else [])]
    rows = [{"source": s, "documents": n, "part": lang, "order": parts.index(lang)} for (s, lang), n in counts.items()]
    colours = list(zip(parts, PALETTE, strict=False))
    return _stacked(rows, "source", colours, [row["source"] or "none" for row in composition["by_source"]])


def _stacked(
    rows: list[dict[str, Any]], name: str, colours: list[tuple[str, str]], order: list[str]
) -> alt.Chart | None:
    import altair as alt

    if not any(row["documents"] for row in rows):
        return None
    scale = alt.Scale(domain=[c[0] for c in colours], range=[c[1] for c in colours])
    return (
        alt.Chart(alt.Data(values=rows), width=WIDTH, height={"step": 22})
        .mark_bar()
        .encode(
            x=alt.X("documents:Q", title="documents", axis=_counts()),
            y=alt.Y(f"{name}:N", title=None, sort=order),
            color=alt.Color("part:N", scale=scale),
            order=alt.Order("order:Q"),
        )
    )


def _counts() -> alt.Axis:
    import altair as alt

    return alt.Axis(format=",d", tickCount=4, tickMinStep=1)


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
    kind = {"type": "log", "base": 2} if name == "tokens" else {}
    scale = alt.Scale(domain=[edges[0], edges[-1]], nice=False, **kind)
    shares = alt.Axis(format=",", tickCount=5)
    colours = [{"kept": KEPT, "removed": REMOVED}.get(part, PLAIN) for part in parts]
    legend = {} if len(parts) > 1 else {"legend": None}
    return (
        alt.Chart(alt.Data(values=rows), width=WIDTH + LABEL_WIDTH // 2, height=150)
        .mark_bar(binSpacing=1)
        .encode(
            x=alt.X("low:Q", bin="binned", scale=scale, title=None, axis=shares),
            x2="high:Q",
            y=alt.Y("count:Q", title=None, stack="zero", axis=_counts()),
            color=alt.Color("part:N", scale=alt.Scale(domain=list(parts), range=colours), **legend),
            order=alt.Order("order:Q"),
        )
    )


def _benchmarks(benchmarks: list[dict[str, Any]]) -> alt.Chart | None:
    found = [
        {"benchmark": f"{b['benchmark']} / {b['split']}", "documents": b["documents"]}
        for b in sorted(benchmarks, key=lambda b: -b["documents"])
        if b["documents"]
    ]
    return _bars(found[:TOP_BENCHMARKS], "benchmark", "documents", "documents removed")


def _lcs(contamination: dict[str, Any]) -> alt.Chart | None:
    counts = [sum(column) for column in zip(*(b["lcs"] for b in contamination["benchmarks"]), strict=True)]
    return _histogram("lcs", contamination["lcs_edges"], {"lines of evidence": counts})


def _bars(rows: list[dict[str, Any]], name: str, amount: str, title: str) -> alt.Chart | None:
    import altair as alt

    if not any(row[amount] for row in rows):
        return None
    longest = max(row[amount] for row in rows)
    step = 1 if isinstance(longest, int) else 0.01
    bars = alt.Chart(alt.Data(values=rows), width=WIDTH, height={"step": 22}).encode(
        x=alt.X(
            f"{amount}:Q",
            title=title,
            scale=alt.Scale(domainMax=longest * _MARGIN),
            axis=alt.Axis(format=",~f", tickCount=4, tickMinStep=step),
        ),
        y=alt.Y(f"{name}:N", title=None, sort=[row[name] for row in rows]),
    )
    return bars.mark_bar(color=PLAIN)
