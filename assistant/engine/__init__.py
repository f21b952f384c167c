"""The engine: vLLM as a process of its own (`process`, `server`), and how it is asked (`client`, `pool`)."""
