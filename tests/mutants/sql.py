"""Mistakes in the SQL that a module's text literals hold."""

import re
import tokenize
from collections.abc import Iterator
from io import StringIO

from tests.mutants.python import Mutant

_STATEMENT = re.compile(r"\b(select|insert|update|delete)\b")
_BETWEEN_STATEMENTS = {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT}
_COMMENT = re.compile(r"--[^\n]*")

_RULES = [
    (pattern if isinstance(pattern, re.Pattern) else re.compile(pattern), others)
    for pattern, others in [
        # Comparisons.
        (r"(?<= )=(?= )", ("<>",)),
        (r"(?<= )<>(?= )", ("=",)),
        (r"(?<= )<(?= )", ("<=", ">=")),
        (r"(?<= )>(?= )", (">=", "<")),
        (r"\bis null\b", ("is not null",)),
        (r"\bis not null\b", ("is null",)),
        (r"\bnot (?=exists\b|is_new\b)", ("",)),
        (r"\bwhere is_new\b", ("where not is_new",)),
        # Conditions joined otherwise, and left out.
        (r"\band\b", ("or",)),
        (r"\bor\b", ("and",)),
        (r" and [^\n()]*(?=\n|\)| then\b|$)", ("",)),
        (r"\n\s+and [^\n]*(?:\([^()]*\)[^\n]*)?", ("",)),
        (r"(?<=where )[^\n]*? (?:and|or) ", ("",)),
        (r"(?<=when )[^\n]*? (?:and|or) ", ("",)),
        (r"\n\s+when [^\n]*(?:\n\s+(?:=|>|then) [^\n]*)*", ("",)),
        (r"\n\s*where [^\n]*(?:\n\s+and [^\n]*)*", ("",)),
        # Clauses that make a statement atomic, ordered and unique.
        (r"\n\s*for update(?: skip locked)?", ("",)),
        (r"\bskip locked\b", ("",)),
        (r"\n\s*order by [^\n]*", ("",)),
        (r"\s+order by \w+(?=\))", ("",)),
        (r"\n\s*on conflict [^\n]*do nothing", ("",)),
        (r"\bdo nothing\b", ("do update set digest = excluded.digest",)),
        (r"\bmaterialized\b", ("not materialized",)),
        (r"\bdistinct\b", ("",)),
        (r"\n\s*limit \$\d", ("",)),
        (r"\bleft join\b", ("join",)),
        # Values.
        (r"'[a-z_:]+'", ("'x'",)),
        (r"(?<=[+>] )\d+", ("2",)),
        (r"(?<= )\+(?= )", ("-",)),
        (r"\bcoalesce\(([^,()]+), [^,()]+\)", (r"\1",)),
        (r"\bcase\s+when ([^\n]+?)\s+then ([^\n]+?) else ([^\n]+?) end", (r"\2", r"\3")),
        (r"\bfalse\b", ("true",)),
        (r"\btrue\b", ("false",)),
        (r"\bnull\b(?! then)", ("'x'",)),
        (r"\bnow\(\)", ("null",)),
        (r"\n\s+\w+ = [^\n]*,(?=\n)", ("",)),
        (r"\bpage\.(?=\w+_at|digest)", ("stored.",)),
        (r"\bstored\.(?=\w+_at|digest)", ("page.",)),
        (r"\bexcluded\.", ("sync_journal.",)),
        (r"\bsync_journal\.(?=outcome|deliveries)", ("excluded.",)),
    ]
]


def sql_mutants(source: str) -> Iterator[Mutant]:
    """Some of them are not valid SQL; `statements.py` finds out."""
    lines = source.splitlines(keepends=True)
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(StringIO(source).readline):
        is_docstring, before = before in _BETWEEN_STATEMENTS, token.type
        if token.type == tokenize.STRING and _STATEMENT.search(token.string) and not is_docstring:
            start = sum(map(len, lines[: token.start[0] - 1])) + token.start[1]
            yield from _of_literal(source, token.string, start)


def _of_literal(source: str, literal: str, start: int) -> Iterator[Mutant]:
    seen = {literal}
    for pattern, others in _RULES:
        for found in pattern.finditer(_without_comments(literal)):
            for other in others:
                spoilt = literal[: found.start()] + found.expand(other) + literal[found.end() :]
                if spoilt not in seen:
                    seen.add(spoilt)
                    yield _mutant(source, literal, spoilt, start, found, other)


def _mutant(  # noqa: PLR0917 - the parts of a mutant
    source: str, literal: str, spoilt: str, start: int, found: re.Match[str], other: str
) -> Mutant:
    at = start + found.start() + len(found[0]) - len(found[0].lstrip())
    return Mutant(
        line=source.count("\n", 0, at) + 1,
        before=_words(literal, found),
        after=" ".join(found.expand(other).split()) or "(nothing)",
        source=source[:start] + spoilt + source[start + len(literal) :],
    )


def _words(literal: str, found: re.Match[str]) -> str:
    """The text that was replaced; if it is short, with its line."""
    words = " ".join(found[0].split())
    if len(words) > 12:
        return words
    begin = literal.rfind("\n", 0, found.start() + 1) + 1
    end = literal.find("\n", found.end())
    line = literal[begin : end if end >= 0 else None]
    return f"{words}  in  {' '.join(line.split())}"


def _without_comments(literal: str) -> str:
    """Comments become spaces, so that positions stay the same."""
    return _COMMENT.sub(lambda found: " " * len(found[0]), literal)
