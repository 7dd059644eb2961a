"""The other services. Each reads the same environment and has the same three routes."""
