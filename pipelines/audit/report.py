"""The report of a build or of a folder: report.json for programs, and report.html for readers, from the same figures.

The page is one file that loads nothing. Everything in it that came with documents is data that someone on the web
wrote: Jinja escapes it, and a content security policy forbids what escaping might miss, every script but our own among
it, which is named by its digest.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from pipelines.audit.charts import charts, visible
from pipelines.audit.figures import figures, percent
from pipelines.audit.links import Links
from pipelines.files import write_bytes, write_json
from pipelines.places import Place

if TYPE_CHECKING:
    from jinja2 import Environment

SHOWN_REASONS = 4  # of a stage, in the table of the funnel; all of them stand further down
SHOWN_ROWS = 200  # of a table; report.json has all
MAX_BYTES = 5_000_000  # of the page
SIZES = ((2000, 1.0), (400, 1.0), (120, 1.0), (40, 1.0), (40, 0.25), (40, 0.0))
"""Characters of a text or a name, and share of the documents, tried in turn until the page is below its limit."""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src '{script}'; base-uri 'none'; form-action 'none'"
_ABSENT: dict[str, Any] = {
    "kind": "build",
    "input": None,
    "build": None,
    "funnel": None,
    "composition": None,
    "removed": None,
    "histograms": None,
    "duplicates": None,
    "contamination": None,
    "samples": None,
    "cost": None,
    "mixes": [],
    "packed": None,
    "measures": None,
    "comparison": None,
    "gates": {},
    "failed": [],
    "documents": {},
}
"""What a report without one of these keys is read as: a folder has no funnel, a build no measures until its audit."""


def write_report(build: Place) -> None:
    """Writes report.json and report.html into the folder of a finished build.

    Raises InputError where there is none, OutputError where the folder cannot be written.
    """
    found = figures(build)
    write_json(build / "report.json", found)
    write_bytes(build / "report.html", page(found).encode())


def page(found: dict[str, Any]) -> str:
    """The HTML of a report, as `figures.figures` or an audit gives it; cut until it is below MAX_BYTES."""
    from markupsafe import Markup

    whole = {**_ABSENT, **found}
    drawn = {name: Markup(svg) for name, svg in charts(_visible(whole, SIZES[0][0])).items()}  # noqa: S704 - our renderer's
    html = ""
    for length, share in SIZES:
        documents = dict(islice(whole["documents"].items(), int(share * len(whole["documents"]))))
        html = _rendered(_visible({**whole, "documents": documents}, length), drawn, len(whole["documents"]))
        if len(html.encode()) < MAX_BYTES:
            break
    return html


def _rendered(shown: dict[str, Any], drawn: Mapping[str, Any], all_documents: int) -> str:
    limits = {"SHOWN_REASONS": SHOWN_REASONS, "SHOWN_ROWS": SHOWN_ROWS, "all_documents": all_documents}
    template = _environment().get_template("report.html.j2")
    return template.render(frame(), f=shown, charts=drawn, links=Links(shown["documents"]), **limits)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    env = Environment(
        loader=FunctionLoader(own), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    env.filters.update(number=number, percent=percent, measure=measure, of=of, unbroken=unbroken)
    return env


def frame() -> dict[str, Any]:
    """What every page of this room begins with: `style`, `script`, and the `policy` that lets only these in."""
    from markupsafe import Markup

    script = (files("decontam") / "tables.js").read_text("utf-8") + own("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own_parts = {"style": Markup(own("report.css")), "script": Markup(script)}  # noqa: S704 - our own files
    return {**own_parts, "policy": Markup(POLICY).format(script=f"sha256-{digest}")}  # noqa: S704 - ours


@cache
def own(name: str) -> str:
    """The text of a file of this room."""
    return (files("pipelines.audit") / name).read_text("utf-8")


def _visible(value: Any, length: int) -> Any:
    """The value with every text in it made visible, and cut to a length; a NUL would end a text in a browser."""
    if isinstance(value, str):
        shown = visible(value)
        return shown if len(shown) <= length else shown[:length] + "…"
    if isinstance(value, dict):
        return {_visible(k, length): _visible(v, length) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(v, length) for v in value]
    return value


def number(value: float | None) -> str:
    """A count with thousands marked, or a dash."""
    if value is None:
        return "–"
    return f"{int(value):,}" if value == int(value) else f"{value:,.4g}"


def unbroken(text: str) -> str:
    """The text, with no line end between a number and its sign of percent."""
    return text.replace(" %", "\u00a0%")


def of(count: int, noun: str) -> str:
    """A count with its noun, in the plural if need be."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def measure(value: Any) -> str:
    """A value of evidence in words."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " – ".join(map(measure, value))
    return str(value)
