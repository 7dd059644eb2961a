"""Posting to the endpoints of other services, signed as Standard Webhooks."""
