"""The model of a code stage: the one that is given, or one trained from labelled source files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filters.errors import InputError
from pipelines import keys
from pipelines.places import Place
from pipelines.recipe import CodeStage
from pipelines.sources import seed_rows

if TYPE_CHECKING:
    from filters.code_model import Seed


def train_code_model(config: CodeStage, base: Place, path: Path) -> None:
    """Trains the model of a code stage on its seeds, and writes it."""
    from filters.code_model import save_model, train_code

    save_model(train_code(list(read_seeds(config, base))), path)


def read_seeds(config: CodeStage, base: Place) -> Iterator[Seed]:
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
