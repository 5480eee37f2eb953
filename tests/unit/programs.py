"""The nodes' programs, for tests that call their functions."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load(script: Path) -> ModuleType:
    """Return a Python program as a module of its own, newly loaded."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks up its module.
    sys.modules[script.stem] = module
    spec.loader.exec_module(module)
    return module
