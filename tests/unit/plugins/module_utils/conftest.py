"""What several tests read files with."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def drbd() -> Callable[[str], dict[str, Any]]:
    """Return a function that reads DRBD's configuration: {statement: what follows it, section and its braces: what is in them}.

    A resource has a statement `disk` and a section `disk {}`.
    """

    def read(text: str) -> dict[str, Any]:
        tokens = re.findall(r'"[^"\n]*"|[{};]|[^\s{};"]+', text)

        def block() -> dict[str, Any]:
            found, words = {}, []
            while tokens and tokens[0] != "}":
                word = tokens.pop(0)
                if word == "{":
                    key, words = " ".join([*words, "{}"]), []
                    assert key not in found
                    found[key] = block()
                    assert tokens.pop(0) == "}"
                elif word == ";":
                    key, *values = words
                    assert key not in found
                    found[key], words = " ".join(values), []
                else:
                    words.append(word)
            assert words == [], f"no semicolon after {words}"
            return found

        found = block()
        assert tokens == []
        return found

    return read
