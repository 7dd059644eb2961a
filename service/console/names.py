"""The actions, as the audit trail calls them."""

SYNC = "sync now"
REPLAY = "replay"
REPLAY_QUARANTINED = "replay quarantined"
CHECK = "drift check"
REPAIR = "drift repair"
