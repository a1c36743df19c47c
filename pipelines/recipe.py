"""Recipes: what a build reads, which stages it runs, and with which numbers.

A recipe is YAML, checked by pydantic with no key left unknown. Stages and sources are discriminated unions (on
`stage` and `format`), so that a misspelt stage is an error and not another stage that happens to fit.
`docs/recipes.md` is generated from the docstrings and descriptions here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelines.recipe_base import Model, SourceKind
from pipelines.recipe_base import StageModel as _Stage
from pipelines.recipe_mix import Mix, check_mixes
from pipelines.recipe_personal import PersonalDataStage, check_personal
from pipelines.recipe_synth import ScoreStage, SynthStage

MEGABYTE = 1_000_000
Share = Annotated[float, Field(ge=0, le=1)]


class _Source(Model):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="name of the source; part of every id")
    path: str | list[str] = Field(description="file, folder or glob, or a list of them; relative to the recipe")
    source: SourceKind = Field(default="web", description="what the documents are: web, book, code or synth")
    licence: str | None = Field(default=None, description="licence of the documents, if the input does not say")
    max_document_mb: float = Field(default=20, gt=0, description="larger documents are removed as too_large")


class _WithIds(_Source):
    ids: Literal["origin", "record"] = Field(
        default="origin",
        description="origin: ids come from file and record; record: from the input's own id (repeats are removed)",
    )


class WarcSource(_WithIds):
    """WARC files (.warc, .warc.gz, .warc.zst): every response record is a document; its own id is WARC-Record-ID."""

    format: Literal["warc"]


class WetSource(_WithIds):
    """WET files (.wet, .wet.gz, .wet.zst): every conversion record is a document, its text taken as it is; its own
    id is WARC-Record-ID."""

    format: Literal["wet"]


class HtmlSource(_Source):
    """HTML files (.html, .htm, .xhtml, perhaps with .gz or .zst), one document each."""

    format: Literal["html"]


class _Rows(_WithIds):
    text_field: str = Field(default="text", description="the column that holds the text")
    id_field: str = Field(default="id", description="the column that holds the input's own id, kept as source_id")
    url_field: str = Field(default="url", description="the column that holds the address")
    html: bool = Field(default=False, description="true where the text column holds HTML, as text or as bytes")


class JsonlSource(_Rows):
    """JSON lines (.jsonl, .jsonl.gz, .jsonl.zst), one object a line."""

    format: Literal["jsonl"]


class ParquetSource(_Rows):
    """Parquet files."""

    format: Literal["parquet"]


class TextSource(_Source):
    """Folders of books: LaTeX, Markdown, AsciiDoc, XML, plain text or EPUB, one document a file."""

    format: Literal["text"]
    source: SourceKind = "book"
    extensions: tuple[str, ...] = Field(
        default=(".tex", ".md", ".markdown", ".rst", ".adoc", ".asc", ".ptx", ".cnxml", ".txt", ".epub"),
        description="files to take; the others are not read",
    )


class CodeSource(_Source):
    """Folders of source code, one document a file."""

    format: Literal["code"]
    source: SourceKind = "code"
    extensions: tuple[str, ...] = Field(
        default=(
            ".py",
            ".jl",
            ".lean",
            ".r",
            ".m",
            ".c",
            ".cpp",
            ".h",
            ".hs",
            ".js",
            ".rs",
            ".v",
            ".thy",
            ".sage",
        ),
        description="files to take; the others are not read",
    )


Source = Annotated[
    WarcSource | WetSource | HtmlSource | JsonlSource | ParquetSource | TextSource | CodeSource,
    Field(discriminator="format"),
]


class ExtractStage(_Stage):
    """Main content of web pages as Markdown, with every formula; other documents pass."""

    stage: Literal["extract"]
    checkpoint: bool = True  # the dearest map of a build
    main_content: bool = Field(default=True, description="false keeps navigation and footers")
    first_pass: bool = Field(
        default=False, description="true removes pages without a sign of mathematics unextracted, as no_math_signs"
    )


class LanguageStage(_Stage):
    """Language by script where that is certain, else by py3langid; source code passes as `und`."""

    stage: Literal["language"]
    keep: tuple[str, ...] = Field(default=("en", "zh"), min_length=1, description="languages that stay")


class RecallStage(_Stage):
    """Mathematical documents by a fastText classifier, trained on seeds (or given)."""

    stage: Literal["recall"]
    positive: str | list[str] = Field(default_factory=list, description="seeds that are mathematics (JSONL or Parquet)")
    negative: str | list[str] = Field(default_factory=list, description="seeds that are not")
    model: str | None = Field(default=None, description="a fastText .bin to use instead of training one")
    books: Literal["sections", "whole"] = Field(
        default="sections",
        description="sections: books are scored and kept by section and chapter; whole: as pages are",
    )
    text_field: str = Field(default="text", description="the seeds' text column")
    threshold: Share | dict[SourceKind, Share] = Field(
        default=0.5, description="least math_score that stays; one number, or one for each kind of source"
    )
    dim: int = Field(default=100, ge=1, description="size of a vector")
    epochs: int = Field(default=5, ge=1, description="passes over the seeds")
    learning_rate: float = Field(default=0.5, gt=0, description="fastText's lr")
    word_ngrams: int = Field(default=2, ge=2, le=5, description="fastText's wordNgrams")
    min_count: int = Field(default=1, ge=1, description="fastText's minCount")
    buckets: int = Field(default=200_000, ge=1, description="rows for hashed n-grams")

    @model_validator(mode="after")
    def _seeds_or_model(self) -> RecallStage:
        if self.model is None and not (self.positive and self.negative):
            msg = "recall needs positive and negative seeds, or a model"
            raise ValueError(msg)
        return self


class CodeStage(_Stage):
    """Mathematical source code by rules and a classifier of its own; stands before recall, which then leaves code."""

    stage: Literal["code"]
    seeds: str | list[str] = Field(default_factory=list, description="labelled source files (JSONL or Parquet)")
    model: str | None = Field(default=None, description="a model.json to use instead of training one")
    text_field: str = Field(default="text", description="the seeds' text column")
    path_field: str = Field(default="path", description="the seeds' column with the path of the file")
    label_field: str = Field(default="project_is_math", description="the seeds' column that is true for mathematics")
    group_field: str = Field(default="package", description="the seeds' package: no word of one package is learnt")
    threshold: Share = Field(default=0.5, description="least math_score that stays")
    library_threshold: Share = Field(default=0.1, description="the same for files of a known numerical library")
    max_bytes: int = Field(default=1 << 20, ge=1, description="larger files go as too_large")
    max_digit_share: Share = Field(default=0.7, description="characters that are digits, above it digits")

    @model_validator(mode="after")
    def _seeds_or_model(self) -> CodeStage:
        if self.model is None and not self.seeds:
            msg = "code needs seeds, or a model"
            raise ValueError(msg)
        return self


class QualityStage(_Stage):
    """Rules that do not kill mathematics: nothing on braces, digits or short lines alone."""

    stage: Literal["quality"]
    min_tokens: int = Field(default=20, ge=0, description="shorter documents go as too_short")
    max_number_share: Share = Field(default=0.6, description="numbers of no formula or table; above it number_junk")
    max_repeated_line_share: Share = Field(default=0.4, description="characters in lines there a third time or more")
    max_link_line_share: Share = Field(default=0.8, description="lines of few words and no formula, above it link_list")
    max_stamp_line_share: Share = Field(default=0.6, description="lines with a date, time or address: log_lines")
    max_boilerplate_share: Share = Field(default=0.5, description="characters in lines of boilerplate")
    max_spam_share: Share = Field(default=0.03, description="entries of the list of spam for each token")
    max_adult_share: Share = Field(default=0.02, description="entries of the list of adult text for each token")


class ExactDedupStage(_Stage):
    """One document of each content, and of each web address, stays: by priority of source, then quality, then id."""

    stage: Literal["exact_dedup"]
    priority: tuple[SourceKind, ...] = Field(default=("book", "web", "code", "synth"), description="first wins")
    urls: bool = Field(default=True, description="one web page of each canonical address stays")


class MinhashDedupStage(_Stage):
    """Near duplicates: MinHash bands make candidates, the exact Jaccard of their shingles makes edges."""

    stage: Literal["minhash_dedup"]
    checkpoint: bool = True  # what comes behind it is what people change most
    priority: tuple[SourceKind, ...] = Field(default=("book", "web", "code", "synth"), description="first wins")
    bands: int = Field(default=14, ge=1, description="bands of the signature")
    rows: int = Field(default=8, ge=1, description="slots of a band")
    ngram: int = Field(default=5, ge=1, description="tokens of a shingle")
    threshold: Share = Field(default=0.75, description="least Jaccard similarity to the document that stays")
    proof: Literal["shingles", "signature"] = Field(
        default="shingles", description="shingles: exact Jaccard; signature: its estimate, with less on disk"
    )
    band_cap: int = Field(default=50, ge=1, description="members of a band that are all compared with each other")
    band_hubs: int = Field(default=8, ge=1, description="of a larger band, the best, that all others are compared with")
    sibling_tokens: int = Field(
        default=200, ge=0, description="shorter texts that differ in numbers and operators alone stay; 0: they do not"
    )
    seed: int = Field(default=1, ge=0, description="seed of the permutations")


class ParagraphDedupStage(_Stage):
    """Paragraphs that many web pages of a host share are cut out of all of them; never formulas, tables or code."""

    stage: Literal["paragraph_dedup"]
    min_pages: int = Field(default=10, ge=2, description="pages of a host that make a paragraph boilerplate")
    min_tokens: int = Field(default=8, ge=1, description="shorter ones stay: headings, `Proof.`, `Solution:`")


class DecontaminateStage(_Stage):
    """Benchmark text: a shared 13-gram, and the LCS of the window around it above the threshold.

    A Reduce: stock phrases are counted over all documents that come here.
    """

    stage: Literal["decontaminate"]
    against: str | list[str] = Field(description="folders NAME/SPLIT.jsonl[.gz], files, or names of the registry")
    fields: dict[Literal["question", "solution", "option"], list[str]] | None = Field(
        default=None, description="columns of the benchmarks, where the defaults do not fit"
    )
    rule: Literal["qwen-math", "qwen2-formula"] = Field(
        default="qwen-math", description="qwen2-formula needs no anchor, but refuses texts above 1,024 tokens"
    )
    ngram: int = Field(default=13, ge=1, le=64, description="tokens of an anchor")
    window_slack: Share = Field(default=0.25, description="share of the item's length added on each side")
    lcs_threshold: Share = Field(default=0.6, description="contaminated strictly above it")
    inclusive: bool = Field(default=False, description="contaminated at the threshold, too")
    short: bool = Field(default=True, description="items shorter than an anchor match as a whole")
    word_threshold: float = Field(
        default=0.33, ge=-1, le=1, description="share of the words up to which a match is for review"
    )
    short_signs: bool = Field(default=True, description="with other operators they are look-alikes")
    short_anywhere: bool = Field(default=False, description="they match in the middle of a sentence, too")
    near: bool = Field(default=True, description="find look-alikes as well: class `near`")
    near_ngram: int = Field(default=7, ge=1, le=64, description="tokens of an anchor of look-alikes")
    near_masked: bool = Field(default=True, description="anchors with numbers masked are theirs, too")
    stock_documents: int = Field(
        default=50, ge=1, description="documents in which an n-gram convicts nothing that make it a stock phrase"
    )
    profile: Literal["web", "posttrain"] = Field(
        default="web", description="posttrain removes `near` too; web keeps them, with evidence, but in no sample"
    )


class TakedownStage(_Stage):
    """Documents that somebody asked to be left out: `id ...`, `url ...` or `host ...`, a line each."""

    stage: Literal["takedown"]
    path: str = Field(description="text file (.txt) with one entry a line; # begins a comment")


class OrphansStage(_Stage):
    """Synthesised samples go as parent_gone where a document that they were made of is not in the build any more."""

    stage: Literal["orphans"]


class TokensStage(_Stage):
    """Counts tokens: by the project's own tokeniser (words, numbers, Chinese characters), or by that of a model."""

    stage: Literal["tokens"]
    tokenizer: str = Field(
        default="builtin", min_length=1, description="builtin, a tokenizer.json or its folder, or a name of the hub"
    )


class DatatroveStage(_Stage):
    """Any filter of datatrove, by its import path."""

    stage: Literal["datatrove"]
    filter: str = Field(pattern=r"^[\w.]+\.\w+$", description="for example datatrove.pipeline.filters.LambdaFilter")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="its name in the ledger")
    args: dict[str, Any] = Field(default_factory=dict, description="arguments of its constructor")


Stage = Annotated[
    ExtractStage
    | LanguageStage
    | CodeStage
    | RecallStage
    | QualityStage
    | ExactDedupStage
    | MinhashDedupStage
    | ParagraphDedupStage
    | DecontaminateStage
    | PersonalDataStage
    | TakedownStage
    | OrphansStage
    | ScoreStage
    | SynthStage
    | TokensStage
    | DatatroveStage,
    Field(discriminator="stage"),
]


def stage_name(stage: Stage) -> str:
    """The stage's name in ledger, report and folders."""
    return stage.name if isinstance(stage, DatatroveStage) else stage.stage


class Recipe(Model):
    """A whole build."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="name of the corpus")
    seed: int = Field(default=1, ge=0, description="every random choice is a digest of it, the stage and the id")
    shard_mb: float = Field(default=8, gt=0, description="small input files are read together up to this size")
    params: dict[str, str | None] = Field(
        default_factory=dict,
        description="names for ${...} in this file; null must be given with --set NAME=VALUE",
    )
    sources: list[Source] = Field(min_length=1, description="what to read")
    stages: list[Stage] = Field(min_length=1, description="what to do, in this order")
    mixes: list[Mix] = Field(default_factory=list, description="mixes of the corpus to make, each in mixes/NAME")

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        names = [s.name for s in self.sources]
        stages = [stage_name(s) for s in self.stages]
        for kind, seen in (("source", names), ("stage", stages)):
            if twice := sorted({n for n in seen if seen.count(n) > 1}):
                msg = f"two {kind}s are named {twice[0]!r}; names must differ"
                raise ValueError(msg)
        if "extract" in stages[1:]:
            msg = "extract must be the first stage, since the others read text"
            raise ValueError(msg)
        html = [s.name for s in self.sources if s.format in ("warc", "html") or getattr(s, "html", False)]
        if html and stages[0] != "extract":
            msg = f"source {html[0]!r} holds HTML, so the first stage must be extract"
            raise ValueError(msg)
        check_personal(stages)
        check_mixes(self.mixes, stages)
        return self
