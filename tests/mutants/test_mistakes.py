"""The mistakes are the intended ones, and code whose changes no test could find stays as it is."""

import ast

import pytest

from tests.mutants.patterns import spoilt_patterns
from tests.mutants.python import python_mutants
from tests.mutants.sql import sql_mutants
from tests.mutants.targets import ROOT, TARGETS


def after(source: str) -> list[str]:
    """The replacement in every mutant."""
    return [mutant.after for mutant in python_mutants(source)]


MISTAKES = {
    "x = a < b": ["a <= b", "a >= b"],
    "x = a == b": ["a != b"],
    "x = a in b": ["a not in b"],
    "x = a and b": ["a or b", "b", "a"],
    "x = not a": ["a"],
    "x = a + b": ["a - b"],
    "x = f(a, b=c)": ["f(a)"],
    "x = (a, b)": ["(b,)", "(a,)"],
    "x = {a: b}": ["{}"],
    "x = a[:b]": [":"],
    "x = 5": ["4", "6"],
    "x = 1.0": ["0.5", "2.0"],
    "x = True": ["False"],
    "x = 'word'": ["'wordx'"],
    "x = isinstance(a, b | c)": ["isinstance(a, b)", "isinstance(a, c)"],
    "x = a if b else c": ["True", "False"],
    "f()": ["pass"],
    "x.a = b": ["pass"],
    "raise A('word', b=c)": ["pass", "A('word')"],
    "def f():\n    return a": ["return None"],
    "try: pass\nexcept A: pass": ["except (): pass"],
}


@pytest.mark.parametrize("source", MISTAKES)
def test_mistakes_are_made(source: str) -> None:
    assert after(source) == MISTAKES[source]


@pytest.mark.parametrize(
    "source",
    [
        '"""Words."""',
        "x: int | None",
        "def f(a: 'A' = b) -> 'C': ...",
        "x = 'words for people'",
        "x = f'{a} and {b}'",
        "x = NewType('X', str)",
        "x = Literal['a', 'b']",
        "import a, b",
        "def f():\n    return None",
        "@dataclass(slots=True, kw_only=True)\nclass A: ...",
    ],
)
def test_mistakes_that_no_test_can_find_are_not_made(source: str) -> None:
    assert after(source) == []


def test_a_mutant_is_the_whole_module_with_one_mistake() -> None:
    source = "a = 1\nb = a < 2\n"
    for mutant in python_mutants(source):
        assert ast.dump(ast.parse(mutant.source)) != ast.dump(ast.parse(source))
        assert len(mutant.source.splitlines()) == 2
    assert [mutant.line for mutant in python_mutants(source)] == [1, 1, 2, 2, 2, 2]


def test_patterns_become_too_lenient_or_too_strict() -> None:
    assert list(spoilt_patterns(r"a[0-9_]{1,20}b+")) == [
        r"a[0-9_]{0,20}b+",
        r"a[0-9_]{2,20}b+",
        r"a[0-9_]{1,19}b+",
        r"a[0-9_]{1,21}b+",
        r"a[0-9_]{1,20}b*",
        r"a[0-9_]{1,20}b",
        r"a[_]{1,20}b+",
        r"a[0-9]{1,20}b+",
    ]
    assert after(r"x = re.compile(rb'[0-9]{10}')") == [
        "re.compile(b'[0-9]{9}')",
        "re.compile(b'[0-9]{11}')",
    ]


STATEMENT = '''
"""Not to be spoilt: select a where b = c."""
S = """
select a  -- b = c, said in passing
from t
where a is null and b = $1
for update
"""
'''


def test_statements_are_changed_but_not_comments_or_docstrings() -> None:
    mutants = list(sql_mutants(STATEMENT))
    assert [mutant.after for mutant in mutants] == [
        "<>", "is not null", "or", "(nothing)", "(nothing)", "(nothing)", "(nothing)", "'x'",
    ]  # fmt: skip
    for mutant in mutants:
        assert "Not to be spoilt: select a where b = c." in mutant.source
        assert "b = c, said in passing" in mutant.source


def test_the_targets_and_their_tests_are_there() -> None:
    for target in TARGETS.values():
        assert target.path.is_file()
        assert all((ROOT / tests).exists() for tests in target.tests)
