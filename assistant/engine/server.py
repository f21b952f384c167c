"""Runs inside the engine's own process: vLLM's OpenAI server on a CPU, with one import instead of three.

vLLM imports for some fourteen seconds, and by default once each in its API server, engine core and worker.
Here the core is forked from the server after the import, and does the worker's part itself. Nothing else of
ours is known here.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from typing import Any

from assistant.processes import die_with_parent

HELD_BACK = ("pandas", "ray", "scipy", "sklearn")
"""Libraries import these only if they are there, a chat engine never uses them: a quarter of the time."""


def main() -> None:
    """Serve with the arguments of `vllm serve`, until the process is told to end."""
    gc.disable()
    held_back = [name for name in HELD_BACK if name not in sys.modules]
    # None in sys.modules makes `import name` fail as if it were not installed.
    sys.modules.update(dict.fromkeys(held_back))  # type: ignore[arg-type]
    from vllm.entrypoints.launchers.api_server.entry import main as serve
    from vllm.v1.engine import utils

    for name in held_back:
        del sys.modules[name]
    gc.enable()
    # What is imported stays for good: out of the collector's way, its pages remain shared after the fork.
    gc.freeze()
    # Forking the core is vLLM's own default on a GPU. For CPUs it asks for spawn because of OpenMP's threads;
    # none has been started by then, since the server computes nothing.
    utils.get_mp_context = lambda: multiprocessing.get_context("fork")
    os.register_at_fork(after_in_child=die_with_parent)
    make_seeds_safe()
    make_prompt_logprobs_safe()
    serve()


def make_seeds_safe() -> None:
    """Let a request with a seed be read in pieces on a CPU, which kills vLLM 0.32.

    After a piece of a prompt the engine throws the drawn token away and winds the request's random numbers
    back by an offset that CPU generators do not have. Nothing was answered by then: back is the beginning.
    """
    import torch

    class Rewindable(torch.Generator):
        def get_offset(self) -> int:
            return 4  # what a drawn token takes on a GPU, and what the engine takes off again

        def set_offset(self, offset: int) -> None:
            self.manual_seed(self.initial_seed())

    torch.Generator = Rewindable


def make_prompt_logprobs_safe() -> None:
    """Let log-probabilities of a prompt be asked for beside other requests, which kills vLLM 0.32 on a CPU.

    The output layer's LoRA takes its adapters by the batch's requests, not by the prompt's tokens, so that
    the two do not fit together. Our adapters leave that layer alone: where they do not fit, none is needed.
    """
    from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

    add = PunicaWrapperCPU.add_lora_logits

    def add_if_fitting(self: Any, y: Any, x: Any, *given: Any, **named: Any) -> Any:
        rows, requests = x.view(-1, x.shape[-1]).shape[0], self.sampler_indices.shape[0]
        return add(self, y, x, *given, **named) if requests in (1, rows) else None

    PunicaWrapperCPU.add_lora_logits = add_if_fitting


if __name__ == "__main__":
    main()
