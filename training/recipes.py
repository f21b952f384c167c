"""PROVISIONAL by the lead so that the loop can be tried: its owner overwrites this file."""
from __future__ import annotations
from training.records import Recipe
def validate(recipe): pass
def parameters_of(folder): return 5_000_000
def device(): return "cpu"
def choose(*, base, parameters, examples, device, method="dpo", threads=0, seed=0):
    return Recipe(method="dpo", base=base, learning_rate=1e-3, epochs=4, batch_size=8, dtype="float32")
