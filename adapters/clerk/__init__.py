"""Clerk: users, deliveries and session tokens.

`prove/` verifies where something comes from, `translate/` turns Clerk's JSON into the domain's
words, and `api/` makes the calls.
"""
