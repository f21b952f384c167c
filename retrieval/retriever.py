"""The search as a retriever of langchain: what chains and agents of other people's making ask.

Owns the shape of a document's metadata. Knows nothing of how a passage is found.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from retrieval.records import Kind


class PassageRetriever(BaseRetriever):
    """Gives what `search` finds for `audiences`."""

    search: Any
    """A `retrieval.search.Search`."""
    audiences: frozenset[str]
    kinds: tuple[Kind, ...] = ("document",)
    most: int = 4

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        hits = self.search.find(query, self.audiences, kinds=self.kinds, most=self.most)
        return [
            Document(
                hit.passage.text,
                id=hit.passage.id,
                metadata={
                    "source": hit.passage.source_id,
                    "kind": hit.passage.kind,
                    "title": hit.passage.title,
                    "page": hit.passage.page,
                    "score": hit.score,
                },
            )
            for hit in hits
        ]
