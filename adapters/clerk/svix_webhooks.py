"""`svix.webhooks` without the package around it.

The package imports the models of Svix's whole API, which would take a quarter of the time until the
service is ready, and 8 MB. The module needs none of them.
"""

from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svix.webhooks import Webhook, WebhookVerificationError

__all__ = ["Webhook", "WebhookVerificationError"]


def _module_alone() -> ModuleType | None:
    """The module under a name of its own, so that an application's `import svix` is as before.

    None if it cannot be had without its package.
    """
    package = find_spec("svix")
    if package is None or package.origin is None:
        return None
    file = Path(package.origin).with_name("webhooks.py")
    spec = spec_from_file_location(f"{__name__}_alone", file)
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError):  # it imports a part of its package, or is not a file
        return None
    return module


if not TYPE_CHECKING:
    _module = _module_alone() or import_module("svix.webhooks")
    Webhook = _module.Webhook
    WebhookVerificationError = _module.WebhookVerificationError
