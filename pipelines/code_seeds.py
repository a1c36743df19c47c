"""The model of a code stage: the one that is given, or one trained from labelled source files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters.errors import InputError
from pipelines import dataset as ds
from pipelines import keys
from pipelines.inputs import resolve
from pipelines.plan import KEY_CHARS, Plan, PlannedStage
from pipelines.progress import Events
from pipelines.recipe import CodeStage
from pipelines.sources import seed_rows

if TYPE_CHECKING:
    from filters.code_model import Seed


def prepare_code_model(plan: Plan, stage: PlannedStage, events: Events) -> Path:
    """The folder with model.json and its manifest, made once for each key."""
    from filters.code_model import save_model, train_code

    config = stage.config
    assert isinstance(config, CodeStage)
    assert stage.need is not None
    root = plan.work / f"model-{stage.name}-{stage.need[:KEY_CHARS]}"
    if (root / "manifest.json").exists():
        return root
    tmp = root / "model.tmp"
    with ds.writing(root):
        root.mkdir(parents=True, exist_ok=True)
        if config.model is not None:
            shutil.copyfile(resolve(config.model, plan.base)[0], tmp)
        else:
            events.note("training the classifier of source code")
            save_model(train_code(list(read_seeds(config, plan.base))), tmp)
        ds.commit_file(tmp, root / "model.json")
    sha256, size = ds.file_sha256(root / "model.json")
    ds.write_json(root / "manifest.json", {"key": stage.need, "sha256": sha256, "bytes": size})
    return root


def read_seeds(config: CodeStage, base: Path) -> Iterator[Seed]:
    """The labelled files of a code stage; InputError at the first row without text or label."""
    from filters.code_model import Seed

    for file in keys.code_seed_files(config, base):
        for where, row in seed_rows(file):
            text, label = _field(row, config.text_field, str), _field(row, config.label_field, bool)
            if text is None:
                msg = f"{file}: {where}: no text in {config.text_field!r}; name the column with text_field"
                raise InputError(msg)
            if label is None:
                msg = f"{file}: {where}: no true or false in {config.label_field!r}; name the column with label_field"
                raise InputError(msg)
            path = _field(row, config.path_field, str) or ""
            yield Seed(text, path, str(_field(row, config.group_field, object) or path.partition("/")[0]), label)


def _field(row: Any, name: str, kind: type) -> Any:
    found = row.get(name) if isinstance(row, dict) else None
    return found if isinstance(found, kind) else None
