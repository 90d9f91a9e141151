"""The heartbeat as a row of the lake: explicit Arrow types, the columns named as in the API's heartbeat object.

`fields_hash`, `updated_at` and `deleted_at` of the API follow from the others and are not stored.
"""

from typing import Final

import pyarrow as pa

INSTANT: Final = pa.timestamp("us", tz="UTC")

LAKE_SCHEMA: Final = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("user_id", pa.int64(), nullable=False),
        pa.field("time", INSTANT, nullable=False),
        pa.field("entity", pa.string()),
        pa.field("type", pa.string()),
        pa.field("category", pa.string(), nullable=False),
        pa.field("project", pa.string()),
        pa.field("project_root_count", pa.int64()),
        pa.field("branch", pa.string()),
        pa.field("language", pa.string()),
        pa.field("dependencies", pa.list_(pa.string()), nullable=False),
        pa.field("lines", pa.int64()),
        pa.field("line_additions", pa.int64()),
        pa.field("line_deletions", pa.int64()),
        pa.field("lineno", pa.int64()),
        pa.field("cursorpos", pa.int64()),
        pa.field("is_write", pa.bool_()),
        pa.field("editor", pa.string()),
        pa.field("operating_system", pa.string()),
        pa.field("machine", pa.string()),
        pa.field("user_agent", pa.string()),
        pa.field("source_type", pa.string(), nullable=False),
        pa.field("ip_address", pa.string()),
        pa.field("ai_model", pa.string()),
        pa.field("ai_session", pa.string()),
        pa.field("ai_subscription_plan", pa.string()),
        pa.field("ai_input_tokens", pa.int64()),
        pa.field("ai_output_tokens", pa.int64()),
        pa.field("ai_prompt_length", pa.int64()),
        pa.field("ai_line_changes", pa.int64()),
        pa.field("human_line_changes", pa.int64()),
        pa.field("created_at", INSTANT, nullable=False),
    ]
)
"""A lake row. The order of columns, as their types, is the same in every file."""

SORTED_BY: Final = ("user_id", "time", "id")
"""The order of rows in every file."""
