"""llvmlite's binding, imported when it is first used: it takes a third of the time that importing graphc would take.

This is the one room that is filled late. `llvm.parse_assembly` is `llvmlite.binding.parse_assembly`, and so on.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


def __getattr__(name: str) -> Any:
    return getattr(importlib.import_module("llvmlite.binding"), name)


def version() -> str:
    """Return the versions of LLVM and llvmlite."""
    numbers = ".".join(map(str, importlib.import_module("llvmlite.binding").llvm_version_info))
    return f"llvm {numbers} llvmlite {importlib.import_module('llvmlite').__version__}"


def lock() -> AbstractContextManager[Any]:
    """Return what llvmlite holds during each of its calls, also those that free code; nothing before the first."""
    library = getattr(sys.modules.get("llvmlite.binding.ffi"), "lib", None)
    found: AbstractContextManager[Any] = getattr(library, "_lock", nullcontext())
    return found
