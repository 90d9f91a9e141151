"""A taken shard on a real database and a real lake, and heartbeats put straight into its tail."""

import dataclasses
import itertools
from pathlib import Path

import sqlalchemy as sa

from schemas.heartbeat import Heartbeat
from schemas.record import pack_lines
from schemas.tables import lake_files, tail, users
from storage.history import History
from storage.lake import Lake
from storage.stats import Database
from storage.stats.shard import Shard
from tests.lakes import FolderPlace, S3Place

S = 1_000_000
DAY = 86_400 * S
NOON = 1_700_049_600 * S  # 2023-11-15 12:00 UTC

_ids = itertools.count(1)


def beat(time_us, **fields):
    return Heartbeat(**{"id": next(_ids), "time_us": time_us, "created_at_us": time_us + 5, **fields})


@dataclasses.dataclass
class Store:
    folder: Path
    url: str
    database: Database
    place: FolderPlace | S3Place
    lake: Lake
    shard: Shard

    @classmethod
    def open(cls, folder, stats_url=None, place=None):
        url = stats_url or f"sqlite:///{folder}/stats.db"
        database = Database(url)
        place = place or FolderPlace(folder / "lake")
        return cls(folder, url, database, place, place.lake, Shard.take(database, "log"))

    @property
    def history(self):
        return History(self.database, self.lake)

    def add_user(self, user_id, timezone="UTC"):
        row = dict.fromkeys(("trust_value", "created_at_us", "modified_at_us"), 0)
        row |= {"username": f"user{user_id}", "timezone": timezone, "trust_level": "blue", "public_stats": True}
        with self.database.writing() as connection:
            connection.execute(sa.insert(users).values(user_id=user_id, **row))

    def append(self, user_id, *heartbeats):
        """Put one record into the tail."""
        times = [h.time_us for h in heartbeats]
        row = {"user_id": user_id, "min_us": min(times), "max_us": max(times), "count": len(times)}
        offset = self.shard.offset + 1
        with self.shard.writing(offset) as connection:
            place = {"log": "log", "shard": 0, "offset": offset}
            connection.execute(sa.insert(tail).values(**place, **row, value=pack_lines(heartbeats)))

    def tail_rows(self):
        with self.database.reading() as connection:
            return connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(tail.c.count), 0)))

    def files(self):
        """{path: state} as the catalog has it."""
        with self.database.reading() as connection:
            return {row.path: row.state for row in connection.execute(sa.select(lake_files))}
