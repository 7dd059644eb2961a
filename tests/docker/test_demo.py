"""compose.yaml: the service beside an emulated Clerk."""

import yaml

from service.bootstrap.settings import read_settings
from tests.docs.reference import ROOT

SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def test_each_start_emulates_the_same_clerk_instance() -> None:
    """The database is kept, and takes the webhooks of one instance."""
    given = {name.lower(): value for name, value in SERVICES["service"]["environment"].items()}
    instance = read_settings(_env_file=None, **given).clerk_instance_id
    assert instance is not None
    assert SERVICES["clerk"]["environment"]["CLERK_INSTANCE_ID"] == instance
