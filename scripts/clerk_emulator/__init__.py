"""A Clerk instance on your own machine: Backend API, signing keys, session tokens and webhooks.

Nothing here is imported by the service, and nothing here imports the service.
"""

from scripts.clerk_emulator.config import EmulatorConfig, Endpoint
from scripts.clerk_emulator.deliveries import SignedDelivery
from scripts.clerk_emulator.emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.plans import DeliveryPlan, FaultPlan
from scripts.clerk_emulator.server import running_emulator

__all__ = [
    "ApiFault",
    "ClerkEmulator",
    "DeliveryPlan",
    "EmulatorConfig",
    "Endpoint",
    "FaultKind",
    "FaultPlan",
    "SignedDelivery",
    "running_emulator",
]
