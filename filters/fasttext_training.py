"""Trains a fastText model in a process of its own: `python -P -m filters.fasttext_training EXAMPLES OUT SETTINGS`.

With one thread fastText initialises a tenth of its input matrix and takes the rest of the memory as it comes. A process
that has used and freed much memory hands it dirty pages: NaN, or another model each time. A fresh process maps fresh,
zeroed pages, as long as no large block is ever kept on its heap; `mallopt` sees to that.
"""

from __future__ import annotations

import ctypes
import json
import sys

import fasttext

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h; fixed, so that large blocks are always mapped and never reused
_MMAP_FROM_BYTES = 1 << 16


def main(examples: str, out: str, settings: str) -> None:
    """Trains on a file of labelled lines and saves the model."""
    if sys.platform == "linux":
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM_BYTES)
    fasttext.train_supervised(examples, **json.loads(settings)).save_model(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
