"""What holds for all numba kernels: who may call them, and what their compilation does to the process."""

from __future__ import annotations

import dis
import gc
import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from filters import words
from filters.words import inner, jit

ROOT = Path(__file__).resolve().parent.parent
KERNELS = [
    importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for path in sorted(itertools.chain((ROOT / "filters").glob("*.py"), (ROOT / "decontam").glob("*.py")))
    if "filters.words import" in path.read_text()
]


def test_python_calls_no_kernel_that_has_no_entry_for_python() -> None:
    """Of the modules around kernels: such a call would end the process without a word."""
    seen = {value for module in KERNELS for value in vars(module).values() if isinstance(value, Dispatcher)}
    assert sum(map(_is_inner, seen)) > 50
    assert [(f.__module__, f.__name__, name) for f in _functions() for name in _inner_calls(f)] == []


def _is_inner(value: Any) -> bool:
    return isinstance(value, Dispatcher) and bool(value.targetoptions.get("no_cpython_wrapper"))


def _functions() -> Iterator[FunctionType]:
    for module in KERNELS:
        for value in list(vars(module).values()):
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                yield value
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield from (one for one in vars(value).values() if isinstance(one, FunctionType))


def _inner_calls(function: FunctionType) -> Iterator[str]:
    """The inner kernels that a function names, by themselves or behind their module."""
    known = function.__globals__
    for before, now in itertools.pairwise(_steps(function.__code__)):
        if _is_inner(known.get(now)):
            yield now
        room = known.get(before)
        if isinstance(room, ModuleType) and _is_inner(vars(room).get(now.removeprefix("."))):
            yield now


def _steps(code: CodeType) -> Iterator[str]:
    """What the instructions of a function name, one after the other: a global, or an attribute behind a dot."""
    yield ""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_ATTR", "LOAD_METHOD"):
            yield ("." if step.opname != "LOAD_GLOBAL" else "") + step.argval
        else:
            yield ""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _steps(constant)


def test_the_search_for_inner_kernels_finds_them() -> None:
    """A function that calls one, by its name or through its module, is told."""

    def caller() -> Any:
        return [_inner_example(np.zeros(1)) for _ in range(1)], words.decode(b"", 0, 0), b"".decode()

    assert sorted(_inner_calls(caller)) == [".decode", "_inner_example"]  # type: ignore[arg-type]


@inner
def _inner_example(array: Any) -> Any:
    return array[0]


@pytest.mark.parametrize("collecting", [True, False])
def test_garbage_is_looked_for_again_after_compilation(*, collecting: bool) -> None:
    """As before the kernel was compiled, whether that succeeds or not."""

    @jit
    def good(array: Any) -> Any:
        return _inner_example(array)

    @jit
    def bad(array: Any) -> Any:
        return array.nothing_of_this_name

    was = gc.isenabled()
    try:
        gc.enable() if collecting else gc.disable()
        assert good(np.ones(1)) == 1
        assert gc.isenabled() == collecting
        with pytest.raises(Exception, match="nothing_of_this_name"):
            bad(np.ones(1))
        assert gc.isenabled() == collecting
    finally:
        gc.enable() if was else gc.disable()
