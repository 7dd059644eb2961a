"""Publishing to a message broker, by way of FastStream."""
