"""The report of a build: report.json for programs, and report.html for readers, from the same figures.

The page is one file without scripts, fonts or addresses to load. Everything in it that came with documents is data that
someone on the web wrote: Jinja escapes it, and a content security policy forbids what escaping might miss.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from pipelines.audit.charts import charts, visible
from pipelines.audit.figures import figures, percent
from pipelines.files import write_bytes, write_json
from pipelines.places import Place

SHOWN_REASONS = 4  # of a stage, in the table of the funnel; all of them stand further down


def write_report(build: Place) -> None:
    """Writes report.json and report.html into the folder of a finished build.

    Raises InputError where there is none, OutputError where the folder cannot be written.
    """
    found = figures(build)
    write_json(build / "report.json", found)
    write_bytes(build / "report.html", page(found).encode())


def page(found: dict[str, Any]) -> str:
    """The HTML of figures, as `figures.figures` gives them."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    shown = _all_visible(found)
    env = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters.update(number=number, percent=percent, measure=measure)
    room = files("pipelines.audit")
    template = env.from_string((room / "report.html.j2").read_text("utf-8"))
    drawn = {name: Markup(svg) for name, svg in charts(shown).items()}  # noqa: S704 - written by our own renderer
    style = Markup((room / "report.css").read_text("utf-8"))  # noqa: S704 - our own file
    return template.render(f=shown, charts=drawn, style=style, shown_reasons=SHOWN_REASONS)


def _all_visible(value: Any) -> Any:
    """The value with every text in it made visible; a NUL would end what a browser reads as text."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {_all_visible(k): _all_visible(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_all_visible(v) for v in value]
    return value


def number(value: float | None) -> str:
    """A count with thousands marked, or a dash."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def measure(value: Any) -> str:
    """A value of evidence in words."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " – ".join(map(measure, value))
    return str(value)
