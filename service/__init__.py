"""The running thing. FastAPI faces the world; `bootstrap/` ties the knot."""
