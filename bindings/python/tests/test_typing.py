"""The public typing, as mypy sees it."""

import os
import pathlib
import subprocess
import sys

import pytest

import libcache

pytest.importorskip("mypy")
pytest.importorskip("typing_extensions")
HERE = pathlib.Path(__file__).parent


def test_types_of_decorated_functions(tmp_path):
    environment = {**os.environ, "MYPYPATH": str(pathlib.Path(libcache.__file__).parent.parent)}
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path), str(HERE / "typing_cases.py")]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
