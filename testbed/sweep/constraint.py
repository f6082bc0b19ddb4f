"""Which configurations of a study run: conditions on its variables.

A condition is written as for pandas' `DataFrame.query`. Of that language it has names of variables,
literals, comparisons, arithmetic and `and`, `or`, `not`: nothing is called, no attribute is read,
and no name but a variable's means anything. simpleeval took more code: it has no list for `==`, and
checks only the parts of a condition that some row reaches.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from testbed.errors import ConfigurationError, unknown_name

#: A text in quotes, a name in backticks, or an operator that query reads as `and` or `or`.
_SPECIAL = re.compile(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|`([^`]*)`|([&|])""")
_WORDS = {"&": " and ", "|": " or "}

_ALLOWED = (
    *(ast.Expression, ast.Name, ast.Load, ast.List, ast.Tuple),
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Invert, ast.USub, ast.UAdd),
    *(ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod),
    *(ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn),
)
_LITERALS = (str, int, float)


def satisfying(
    rows: Sequence[Mapping[str, object]], conditions: Sequence[str], also: Mapping[str, str]
) -> list[bool]:
    """Return for each row, values by the variables' names, whether it meets all conditions.

    Names with other than letters, digits and underscores stand in backticks; `also` has further
    names of variables, each with the one that it stands for. Raise ConfigurationError for a
    condition that cannot be read or evaluated, or does more than compare.
    """
    columns = {name: f"_variable_{number}" for number, name in enumerate(rows[0])}
    frame = pd.DataFrame(list(rows)).rename(columns=columns)
    known = columns | {name: columns[means] for name, means in also.items()}
    met = pd.Series(True, index=frame.index)
    for condition in conditions:
        try:
            met &= _evaluated(frame, _checked(condition, known), condition)
        except ConfigurationError as error:
            raise ConfigurationError(f"--constraint {condition!r}: {error}") from error
    return met.tolist()


def _checked(condition: str, columns: Mapping[str, str]) -> str:
    """Return a condition with its names replaced by columns, once it is known to be harmless."""

    def replace(found: re.Match[str]) -> str:
        text, name, operator = found.groups()
        return text or (_WORDS[operator] if operator else _column(name, columns))

    try:
        tree = ast.parse(_SPECIAL.sub(replace, condition).strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"cannot be read: {error.args[0]}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, _LITERALS):
            continue
        if not isinstance(node, _ALLOWED):
            shown = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise ConfigurationError(
                f"{shown}: a constraint compares variables with values, and nothing else"
            )
        if isinstance(node, ast.Name) and node.id not in columns.values():
            node.id = _column(node.id, columns)
    return ast.unparse(tree)


def _column(name: str, columns: Mapping[str, str]) -> str:
    if name not in columns:
        raise ConfigurationError(unknown_name("variable", name, columns))
    return columns[name]


def _evaluated(frame: pd.DataFrame, expression: str, condition: str) -> pd.Series:
    try:
        found = frame.eval(expression, engine="python", local_dict={}, global_dict={})
    except Exception as error:  # pandas raises what the operators of the values' types raise
        raise ConfigurationError(f"cannot be evaluated: {error}") from error
    if not (isinstance(found, pd.Series) and found.dtype == bool):
        raise ConfigurationError("is no condition on the variables")
    return found
