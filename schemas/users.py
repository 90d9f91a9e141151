"""Who sends heartbeats."""

from typing import Final, Literal, get_args

import msgspec

TrustLevel = Literal["blue", "red", "green", "yellow"]
TRUST_LEVELS: Final = get_args(TrustLevel)


class User(msgspec.Struct, frozen=True):
    """A user as the directory keeps them."""

    user_id: int
    username: str
    timezone: str
    email: str | None = None
    slack_uid: str | None = None
    trust_level: str = "blue"
    trust_value: int = 0
    public_stats: bool = True
    created_at_us: int = 0
    modified_at_us: int = 0

    @property
    def is_red(self) -> bool:
        """Convicted users may send and see their status bar, and are refused on /api/v1/my/* (semantics.md)."""
        return self.trust_level == "red"
