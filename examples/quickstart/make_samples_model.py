"""Builds the tiny model that the quickstart's stage `synth` asks: it knows what answers.yaml says, and nothing else.

    pip install 'mathcorpus[local]'
    mathcorpus build examples/quickstart/recipe.yaml         # leaves the stage out, since there is no model yet
    python examples/quickstart/make_samples_model.py         # reads the documents of that build
    mathcorpus build examples/quickstart/recipe.yaml         # now with samples

The questions are those that the stage will ask, made by the same code. A real recipe names a server in its place.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import yaml
from datatrove.data import Document
from make_model import Example, build

from pipelines import dataset as ds
from pipelines.recipe_file import load_recipe
from pipelines.recipe_synth import SynthStage
from pipelines.score_step import as_text
from pipelines.synth_rounds import Tools, rounds_of
from synth import prompts
from synth.tasks.task import Asking

HERE = Path(__file__).parent
BEHIND = {"synth", "minhash_dedup", "decontaminate", "orphans", "tokens"}  # stages that stand behind the question
NOTHING = "<none/>"


def documents(build_folder: Path) -> Iterator[Document]:
    """The documents that came as far as the stage."""
    for name in ("corpus", "removed"):
        for table in ds.Dataset.load(build_folder / name).tables():
            for row in table.to_pylist():
                if row["source"] != "synth" and (name == "corpus" or row["stage"] in BEHIND):
                    yield ds.row_to_document({k: v for k, v in row.items() if k not in ("stage", "reason", "score")})


def examples(build_folder: Path) -> list[Example]:
    """What the stage asks, and what is to be answered; equal questions once."""
    [config] = [stage for stage in load_recipe(HERE / "recipe.yaml", {}).stages if isinstance(stage, SynthStage)]
    [round_] = rounds_of(config, Asking(prompts.load(), "model", 1), Tools())
    answers = {one["document"]: one["answer"] for one in yaml.safe_load((HERE / "answers.yaml").read_text("utf-8"))}
    found = {}
    for doc in documents(build_folder):
        if doc.metadata["source"] in config.sources:
            for request in round_.task.plan(as_text(doc)):
                found[request.messages] = [(answers.get(doc.metadata.get("url"), NOTHING), 1.0)]
    return list(found.items())


def main() -> None:
    """Reads the command line, builds the model and says how well it fits."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("out/quickstart"), help="folder of the build")
    parser.add_argument("--out", type=Path, default=HERE / "model", help="folder of the model")
    options = parser.parse_args()
    fit = build(examples(options.build), options.out)
    print(f"{options.out}: {fit.answers} answers; no probability is off by more than {fit.worst:.1e}")


if __name__ == "__main__":
    main()
