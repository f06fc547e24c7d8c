"""Writes the generated blocks of README.md and docs/: `make docs`."""

from __future__ import annotations

from tools.docs.blocks import ROOT, fill_blocks, pages

for page in pages():
    text = page.read_text(encoding="utf-8")
    filled = fill_blocks(text)
    if filled != text:
        page.write_text(filled, encoding="utf-8")
        print(page.relative_to(ROOT))
