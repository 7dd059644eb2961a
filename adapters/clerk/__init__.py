"""Clerk: users, deliveries and session tokens.

`prove/` verifies signatures, `translate/` turns Clerk's JSON into domain values, and `api/` calls
Clerk's Backend API.
"""
