"""The tiny base model, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_model import make


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("base") / "model")
