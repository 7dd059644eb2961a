"""How long the console waits for Clerk, in seconds."""

CLERK_TIMEOUT_OF_A_PAGE = 3.0
"""For what every page, or the overview, asks for on its own."""
