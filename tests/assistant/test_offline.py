"""Tests of the switches that keep every library's telemetry off."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from assistant.offline import go_offline

SWITCHES = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "WANDB_DISABLED": "true",
}


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is switched here is switched back."""
    for name in (*SWITCHES, "HF_HUB_OFFLINE", "GRADIO_RUN_HISTORY", "HF_HUB_DISABLE_IMPLICIT_TOKEN",
                 "VLLM_DO_NOT_TRACK", "TOKENIZERS_PARALLELISM"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


def test_telemetry_is_off_whatever_the_environment_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    go_offline(hub_model=True)
    assert {name: os.environ[name] for name in SWITCHES} == SWITCHES


def test_the_hub_is_closed_unless_somebody_named_a_hub_model() -> None:
    go_offline(hub_model=True)
    assert "HF_HUB_OFFLINE" not in os.environ
    go_offline(hub_model=False)
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_children_have_the_switches_too() -> None:
    go_offline(hub_model=False)
    code = "import os; print(os.environ['VLLM_NO_USAGE_STATS'], os.environ['HF_HUB_OFFLINE'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 1\n"
