"""What a service does every so often goes on, whatever happened once."""

import asyncio

import sqlalchemy as sa

from heartline.services import _every
from storage.directory import Directory, KeyCache
from storage.stats import Database


def test_keys_are_looked_up_again_after_an_error_that_nobody_expected(postgres):
    """A table that is not there for a moment, as while a backup is put back, is no failure of the connection."""
    url = postgres.new_url()
    with Database(url) as database:
        keys, looked = KeyCache(Directory(database)), []
        failed = []

        async def refresh():
            try:
                looked.append(await asyncio.to_thread(keys.refresh))
            except sa.exc.ProgrammingError as error:
                failed.append(error)
                raise

        async def more_of(events):
            before = len(events)
            while len(events) == before:  # noqa: ASYNC110 - what it waits for knows nothing of it
                await asyncio.sleep(0.01)

        def rename(old, new):
            with database.writing() as connection:
                connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))

        async def scenario():
            async with asyncio.timeout(30), _every(0.05, refresh, "The directory"):
                await more_of(looked)
                await asyncio.to_thread(rename, "meta", "elsewhere")
                await more_of(failed)
                await asyncio.to_thread(rename, "elsewhere", "meta")
                await more_of(looked)

        asyncio.run(scenario())
    postgres.drop(url)
