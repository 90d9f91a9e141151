"""The SQL database of stats, tail, `lake_files` and the directory: SQLite in one file, or PostgreSQL."""

from storage.stats.database import Database

__all__ = ["Database"]
