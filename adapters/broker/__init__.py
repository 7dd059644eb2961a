"""Publishing to a message broker."""

JSON = "application/json"
"""The content type of every message."""
