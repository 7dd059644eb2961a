"""Clerk: what it says about users, and how we know that it is Clerk who says so.

Deliveries (`webhooks`), session tokens (`sessions`, `signing_keys`) and the Backend API (`api`)
each prove their source first; one translator (`payload`) then turns what they say into our words.
"""
