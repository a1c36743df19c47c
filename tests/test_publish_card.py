"""The dataset card and the Croissant description of a published build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import yaml
from click.testing import CliRunner
from publishing import make_build

from pipelines import dataset as ds
from pipelines.audit.figures import figures
from pipelines.card import Card, header, write_card
from pipelines.card_words import limits
from pipelines.cli import main
from pipelines.columns import COLUMNS
from pipelines.croissant import CONFORMS_TO
from pipelines.licence_ids import header_licence, licence_ids
from pipelines.publish_private import public_recipe
from pipelines.publish_report import public_figures

REPO = "org/corpus"


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished build."""
    return make_build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="module")
def published(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, published to a folder."""
    folder = tmp_path_factory.mktemp("to") / "published"
    result = CliRunner().invoke(main, ["publish", str(build), "--to", str(folder)])

    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def card(build: Path) -> Card:
    """What the card of the build is made of."""
    recipe = orjson.loads((build / "recipe.json").read_bytes())
    shown = public_figures(figures(build), recipe["params"])
    return Card(shown, public_recipe(recipe), ds.DOCUMENTS.names, [("default", "data/*.parquet")], REPO)


def section(text: str, name: str) -> str:
    return text.split(f"\n## {name}\n")[1].split("\n## ", maxsplit=1)[0]


def test_the_header_is_what_the_hub_reads(card: Card) -> None:
    """YAML between dashes, with the fields that name, count and load the corpus."""
    found = yaml.safe_load(write_card(card).split("---\n")[1])

    assert found == {
        "pretty_name": "small",
        "license": "other",
        "license_name": "see-section-licences",
        "size_categories": ["n<1K"],
        "task_categories": ["text-generation"],
        "tags": ["mathematics", "pretraining", "decontaminated", "deduplicated", "mathcorpus"],
        "configs": [
            {"config_name": "default", "data_files": [{"split": "train", "path": "data/*.parquet"}], "default": True}
        ],
    }


def test_languages_and_licences_of_the_header(card: Card) -> None:
    """Codes of languages without und and mixed, code where there is source code; licences where all documents state one."""
    rows = [{"language": code, "documents": 1, "source": "web"} for code in ("zh", "und", "mixed", "en", None)]
    composition = card.figures["composition"] | {
        "by_language": rows,
        "by_source": [{"source": "code"}, {"source": "synth"}],
        "by_licence": [{"licence": "MIT License"}, {"licence": "CC BY-SA 4.0 (LICENSE.md)"}],
        "total": {"documents": 1_000_000},
    }
    found = header(Card(card.figures | {"composition": composition}, {}, (), ()))

    assert found["language"] == ["code", "en", "zh"]
    assert found["license"] == ["cc-by-sa-4.0", "mit"]
    assert found["size_categories"] == ["1M<n<10M"]
    assert "synthetic" in found["tags"]


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ("CC BY 4.0 (LICENSE.md)", ["cc-by-4.0"]),
        ("CC BY-SA 4.0 text, GPL-3.0 source", ["cc-by-sa-4.0", "gpl-3.0"]),
        ("CC BY-NC-SA 3.0", ["cc-by-nc-sa-3.0"]),
        ("https://creativecommons.org/licenses/by-nd/2.5/", ["cc-by-nd-2.5"]),
        ("cc-by-4.0", ["cc-by-4.0"]),
        ("Apache License, Version 2.0", ["apache-2.0"]),
        ("LGPL-2.1", ["lgpl-2.1"]),
        ("GFDL-1.2 (COPYING)", ["gfdl"]),
        ("CC0 1.0", ["cc0-1.0"]),
        ("public domain in the USA", []),
        ("permitted to all", []),
    ],
)
def test_licences_as_people_write_them(stated: str, found: list[str]) -> None:
    """Every identifier that a statement names, and none that it does not."""
    assert licence_ids(stated) == found


def test_one_unknown_licence_leaves_the_header_open() -> None:
    """None stated, or one that is not known: no identifier speaks for the whole."""
    assert header_licence(["MIT", "CC0"]) == ["cc0-1.0", "mit"]
    assert header_licence(["MIT", None]) == []
    assert header_licence(["MIT", "ask the author"]) == []


def test_the_card_tells_what_the_build_counted(card: Card) -> None:
    """Composition, benchmarks, reasons, licences and digests, each from the figures."""
    told = write_card(card)
    total = card.figures["composition"]["total"]

    assert f"{total['documents']:,} documents, {total['tokens']:,} tokens" in told
    assert 'load_dataset("org/corpus", split="train")' in told
    assert "| farm/test | 2 | 2 | 1 | 1 |" in section(told, "Benchmarks checked")
    assert "| decontaminate | `contaminated:farm` | 1 |" in section(told, "What was removed")
    assert re.search(r"\| CC BY 4.0 \| cc-by-4.0 \| 1 \|", section(told, "Licences"))
    assert card.figures["build"]["datasets"]["corpus"]["digest"] in section(told, "Digests and versions")
    assert all(f"| `{column}` |" in section(told, "Columns") for column in ds.DOCUMENTS.names)


def test_the_method_is_the_recipes(card: Card) -> None:
    """A sentence for each stage with its numbers; the recipe below it, without paths."""
    told = section(write_card(card), "Method")

    assert "1. **Read**: `notes` (jsonl, web), `books` (jsonl, book)." in told
    assert "5. **Decontamination**: a document that shares 13 tokens in a row" in told
    assert "against: ${data}/bench" in told


def test_limits_are_drawn_from_the_build(card: Card) -> None:
    """Stages that it had not or that could not run, look-alikes that stayed, silence on licences, made documents."""
    told = "\n".join(limits(card.recipe, card.figures, card.ran))
    bare = "\n".join(limits(card.recipe, card.figures, {"quality"}))

    assert "Personal data" in told
    assert "1 documents stay although something in them resembles a benchmark item (1 near)" in told
    assert "documents state no licence" in told
    assert "Not decontaminated" not in told
    assert "Not decontaminated" in bare
    assert "The recipe's stage `decontaminate` could not run" in bare


def test_every_stage_has_words(card: Card) -> None:
    """No stage of a recipe is unknown to the card."""
    from typing import get_args

    from pipelines.card_words import _STAGES
    from pipelines.recipe import Stage

    kinds = [get_args(kind.model_fields["stage"].annotation)[0] for kind in get_args(get_args(Stage)[0])]
    assert set(kinds) <= set(_STAGES)


def test_text_of_others_is_no_markup(card: Card) -> None:
    """A host, a licence and a reason from the web can end no cell, and are no tag and no link."""
    hostile = "a|b\n<script>alert(1)</script>[x](http://e.org)`c"
    row = {"documents": 1, "tokens": 1, "characters": 1, "shown": []}
    composition = card.figures["composition"] | {
        "by_host": [{"host": hostile, **row}],
        "by_licence": [{"licence": hostile, **row}],
    }
    removed = [{"stage": "ingest", "reason": f"not_html:{hostile}", "documents": 1}]
    told = write_card(Card(card.figures | {"composition": composition, "removed": removed}, card.recipe, (), ()))
    tables = [line for line in told.splitlines() if "alert" in line]

    assert len(tables) == 3
    assert all(line.startswith("| ") for line in tables)
    assert sum("<script>" in line for line in tables) == 1  # within a code span, which is text
    assert "`not_html:a\\|b <script>alert(1)</script>[x](http://e.org)'c`" in told
    assert "[x](" not in "".join(line for line in tables if "`not" not in line).replace("\\[x\\](", "")


# --- Croissant --------------------------------------------------------------------------------------------------------


def test_croissant_has_what_the_format_asks_for(published: Path) -> None:
    """The required properties; each shard with its digest; each column with a type and a source."""
    found: dict[str, Any] = orjson.loads((published / "croissant.json").read_bytes())
    *shards, together = found["distribution"]
    [records] = found["recordSet"]

    assert found["conformsTo"] == CONFORMS_TO
    required = {"@context", "@type", "name", "description", "license", "url", "creator", "datePublished", "version"}
    assert required <= found.keys()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["datePublished"])
    assert {s["contentUrl"]: s["sha256"] for s in shards} == {
        f"data/{p.name}": ds.file_sha256(p)[0] for p in (published / "data").iterdir()
    }
    assert together["includes"] == "data/*.parquet"
    assert [f["name"] for f in records["field"]] == ds.DOCUMENTS.names
    assert {f["name"]: f["dataType"] for f in records["field"] if f["dataType"] != "sc:Text"} == {
        **dict.fromkeys(("language_score", "math_score", "quality_score", "lm_score", "edu_score"), "sc:Float"),
        "tokens": "sc:Integer",
    }
    assert [f["name"] for f in records["field"] if f.get("repeated")] == ["parents"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_croissant_is_read_by_its_own_library(build: Path, published: Path) -> None:
    """Valid without error or warning, and its records are the documents of the corpus."""
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    found = mlcroissant.Dataset(jsonld=str(published / "croissant.json"))
    issues = found.metadata.ctx.issues
    records = sorted(record["documents/text"].decode() for record in found.records(record_set="documents"))
    texts = pa.concat_tables(list(ds.Dataset.load(build / "corpus").tables(["text"])))["text"].to_pylist()

    assert (issues.errors, issues.warnings) == (set(), set())
    assert records == sorted(texts)


def test_every_column_is_explained() -> None:
    """Of all documents, and of mixes."""
    assert set(ds.DOCUMENTS.names) | {"part", "copy"} == set(COLUMNS)
