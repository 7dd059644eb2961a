"""A Clerk instance on your own machine: Backend API, signing keys, session tokens and webhooks.

    config.py      what an instance is
    user.py        a user and Clerk's JSON of it      params.py    what create and update accept
    users.py       all of them, kept sorted           listing.py   filters, order, paging
    sessions.py    sessions, keys and tokens          events.py    webhook envelopes
    deliveries.py  what becomes of a message          sender.py    Svix: signs, sends, retries
    faults.py      how the API may misbehave          limits.py    Clerk's quota, calls counted
    instance.py    all of the above as one instance
    api.py         Clerk's HTTP surface               control.py   ours, under /emulator
    emulator.py    both as one ASGI application       server.py    served by uvicorn
    state.py       kept across runs                   __main__.py  the command line

Nothing here is imported by the service, and nothing here imports it.
"""

from scripts.clerk_emulator.config import EmulatorConfig, Endpoint
from scripts.clerk_emulator.emulator import ClerkEmulator
from scripts.clerk_emulator.server import EmulatorServer, running_emulator

__all__ = ["ClerkEmulator", "EmulatorConfig", "EmulatorServer", "Endpoint", "running_emulator"]
