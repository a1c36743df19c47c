"""Solutions with code: parts, runs, and whether what is printed is the answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from filters.errors import UsageError
from synth.numerals import value_of
from synth.sandbox import Limits, Run, Sandbox
from synth.tool_use import MARK, MAX_BLOCKS, Piece, check_tool_use, run_blocks, split_solution


def equal(left: str, right: str) -> bool:
    """By value, or alike."""
    value = value_of(left)
    return left == right or (value is not None and value == value_of(right))


def block(code: str) -> str:
    """A fenced block of Python."""
    return f"```python\n{code}\n```\n"


class Recorder:
    """A runner that answers each run with the next of given outputs, and keeps what it was asked."""

    def __init__(self, *outputs: str) -> None:
        self.outputs = list(outputs)
        self.asked: list[str] = []

    def run(self, code: str, limits: Limits | None = None) -> Run:
        """The next output."""
        self.asked.append(code)
        return Run("ok", self.outputs.pop(0))


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """A sandbox, or a skip where this machine has none."""
    sandbox = Sandbox(Limits(wall_s=2), libraries=())
    try:
        sandbox.__enter__()
    except UsageError as refusal:
        pytest.skip(str(refusal))
    yield sandbox
    sandbox.close()


def test_a_solution_is_text_code_and_output() -> None:
    """In order; the fence after code is its output, blocks of other languages are text."""
    solution = "First\n```python\nprint(1)\n```\n```output\n1\n```\nso\n```text\nx\n```\n\\boxed{1}"
    pieces, unclosed = split_solution(solution)

    assert [piece.kind for piece in pieces] == ["text", "python", "output", "text"]
    assert pieces[1] == Piece("python", "print(1)")
    assert not unclosed


def test_a_bare_fence_after_code_is_output() -> None:
    """As models write it."""
    pieces, unclosed = split_solution(block("print(1)") + "```\n1\n```\ndone")

    assert ([piece.kind for piece in pieces], unclosed) == (["python", "output", "text"], False)


@pytest.mark.parametrize(
    ("solution", "failure"),
    [
        ("Sum them.\n" + block("print(3 + 4)") + "\\boxed{7}", ""),
        (block("x = 3") + "then\n" + block("print(x + 4)") + "<answer>7</answer>", ""),
        (block("print('total:', 7)") + "\\boxed{7}", ""),
        (block("print(7)") + block("y = 2") + "\\boxed{7}", ""),
        (block("print(8)") + "\\boxed{7}", "other_value"),
        (block("print('no idea')") + "\\boxed{7}", "other_value"),
        (block("x = 7") + "\\boxed{7}", "nothing_printed"),
        (block("print(1/0)") + "\\boxed{7}", "code_error"),
        (block("while True: pass") + "\\boxed{7}", "code_timeout"),
        ("It is \\boxed{7}.\n" + block("print(7)") + "\\boxed{7}", "answer_before_code"),
        ("<answer>7</answer>\n" + block("print(7)"), "answer_before_code"),
        (block("print(7)"), "no_answer"),
        (block("print('\\\\boxed{7}')"), "no_answer"),
        ("\\boxed{7}", "no_code"),
        ("```python\nprint(7)\n\\boxed{7}", "unclosed_block"),
        (block("print(7)") * (MAX_BLOCKS + 1) + "\\boxed{7}", "too_many_blocks"),
    ],
)
def test_code_bears_the_answer_out_or_says_why_not(box: Sandbox, solution: str, failure: str) -> None:
    """Each failure by its name, with real code."""
    if failure == "code_timeout":
        solution = solution.replace("while True: pass", "import time\ntime.sleep(99)")

    assert check_tool_use(solution, _quick(box), equal).failure == failure


def _quick(box: Sandbox) -> Sandbox:
    """The sandbox with a short limit, whatever is asked."""

    class Quick:
        def run(self, code: str, limits: Limits | None = None) -> Run:
            return box.run(code, Limits(wall_s=0.7))

    return Quick()  # type: ignore[return-value]


def test_state_is_carried_by_running_again() -> None:
    """The second run holds the first block, and its own output is what follows the mark."""
    recorder = Recorder("1\n", f"1\n{MARK}2\n")
    runs = run_blocks(["a = 1\nprint(a)", "print(a + 1)"], recorder)

    assert [run.stdout for run in runs] == ["1\n", "2\n"]
    assert recorder.asked[1].startswith("a = 1\nprint(a)\nprint('\\x02block")


def test_the_output_of_a_block_is_cut() -> None:
    """1,000 characters are kept."""
    assert len(run_blocks(["print('x' * 5000)"], Recorder("x" * 5000))[0].stdout) == 1000


@pytest.mark.parametrize(
    ("printed", "boxed"), [("sqrt(2)*x**2", "\\sqrt{2} x^{2}"), ("pi/6", "\\pi/6"), ("x = 12", "12"), ("3/4", "3/4")]
)
def test_what_python_prints_is_read_as_mathematics(printed: str, boxed: str) -> None:
    """sympy's writing, and a name before the value."""
    assert check_tool_use(block("print()") + f"\\boxed{{{boxed}}}", Recorder(printed + "\n"), equal).ok
