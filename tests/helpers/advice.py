"""The advice in a message, evaluated."""

import ast
import re
from typing import Any


def advised(message: str, known: dict[str, Any]) -> list[tuple[str | None, Any]]:
    """Each argument that a message says to pass: its name, if the message has one, and its value.

    After the word "pass" stands an expression, or a keyword with its value; "as X" may follow.
    """
    found = []
    for match in re.finditer(r"pass ", message):
        words = message[match.end() :]
        for end in sorted({m.start() for m in re.finditer(r"[\s,;:]|$", words)}, reverse=True):
            try:
                call: Any = ast.parse(f"f({words[:end]})", mode="eval").body
            except SyntaxError:
                continue
            if len(call.args) + len(call.keywords) != 1:
                continue
            value = (call.args or [keyword.value for keyword in call.keywords])[0]
            if not call.keywords and isinstance(value, (ast.Name, ast.Constant, ast.Compare)):
                continue  # a word, a number or a condition
            name = call.keywords[0].arg if call.keywords else None
            of_X = re.match(r" as (\w+)", words[end:])
            found.append((name or (of_X[1] if of_X else None), eval(ast.unparse(value), known)))
            break
    return found
