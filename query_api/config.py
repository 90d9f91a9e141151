"""What the query API is told at start."""

import dataclasses
from typing import Final, Literal

Lookups = Literal["any", "operator"]
TextStyle = Literal["long", "short"]

PREFIXES: Final = ("/api/hackatime/v1", "/api/v1", "/api/compat/wakatime/v1")
"""Where clients of Hackatime, WakaTime and Wakapi look for `/users/…`."""

PLUGINS_PREFIX: Final = "/api"
"""Where plugins that were set up for Wakapi send heartbeats and ask for the status bar, and nothing else."""

RETRY_AFTER_S: Final = 5
"""What a 503 asks callers to wait: about as long as a restart takes."""


@dataclasses.dataclass(frozen=True)
class QueryConfig:
    """Settings of the query API.

    `stats_api_key`: the operator's key, None for none. `lookups`: whose key finds users by email and Slack id.
    `statusbar_text`: the seed's wording ("2 hrs") or Hackatime's ("2h").
    """

    stats_api_key: str | None = dataclasses.field(default=None, repr=False)
    lookups: Lookups = "any"
    statusbar_text: TextStyle = "long"
