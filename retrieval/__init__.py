"""Passages that may help an answer: documents in, passages found. Optional: needs the extra `documents`."""
