"""Every error that mathcorpus raises on purpose.

    MathcorpusError
    ├── UsageError          wrong use, recipe or input: exit code 2
    │   ├── RecipeError     a recipe that does not validate
    │   ├── InputError      an input that is missing, unreadable or of another shape than was said
    │   ├── OutputError     a place that cannot be written (full, read-only, in use)
    │   └── MemoryLimitError  a worker that needs more memory than it was allowed
    ├── GateError           a gate that the caller asked for did not hold: exit code 3
    └── AccountingError     rows in differ from rows kept + removed: a bug of ours, exit code 1

A message is one line: what was wrong, where, and how to mend it.
"""

from __future__ import annotations


class MathcorpusError(Exception):
    """Root of the tree; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(MathcorpusError):
    """The caller can mend it: an option, a recipe, an input."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe that does not validate; names file, line and key."""


class InputError(UsageError):
    """An input that is missing, unreadable, or of another shape than the recipe says."""


class OutputError(UsageError):
    """A place that cannot be written: full, read-only, or in use."""


class MemoryLimitError(UsageError):
    """A worker that needs more memory than the caller allowed."""


class GateError(MathcorpusError):
    """A gate that the caller asked for did not hold."""

    exit_code = 3


class AccountingError(MathcorpusError):
    """Documents in differ from kept + removed."""
