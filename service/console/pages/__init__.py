"""What is shown: one module a page, each its own router. Nothing here changes anything."""
