"""Developers' tools: generated pages, fixtures laid out for use, the demo."""
