"""Switches the telemetry of every library off, for this process and its children. Imported before them.

Without a hub model that the user named, no library may reach the network at all.
"""

from __future__ import annotations

import os

_QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    "WANDB_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",
}


def go_offline(hub_model: bool) -> None:
    """Set the switches; without a hub model that the user named, forbid the hub altogether."""
    os.environ.update(_QUIET)
    if not hub_model:
        os.environ["HF_HUB_OFFLINE"] = "1"
