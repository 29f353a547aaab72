"""Reports as text: one module per format, and no rule knows any of them."""
