"""From a run directory to an adapter: `python -m training.trainers RUN_DIR`, one process a run.

One file a method. Knows the files of the directory and nothing else: no database, no engine, no page.
This package holds the heavy imports (torch, trl, peft, transformers); importing it does none of them.
"""
