"""The HTTP service: FastAPI serves the routes, `bootstrap/` builds and connects all parts."""
