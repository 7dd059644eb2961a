"""The running thing. FastAPI faces the world; `bootstrap.py` ties the knot."""
