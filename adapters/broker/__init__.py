"""Publishing to a message broker."""
