"""Adapter folders on disk: may this one be served, what is it called, and how it gets its final place.

Owns the names, the hashes and the rules; reads safetensors as bytes, so nothing that is inspected is ever
loaded or run. Knows neither torch nor the engine, neither rows nor gates.
"""
