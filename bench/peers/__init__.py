"""The others. Each reads the same environment and answers the same three routes."""
