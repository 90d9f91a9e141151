"""Which lake an address means."""

from pathlib import Path

from storage.lake import Lake


def open_lake(url: str) -> Lake:
    """Take the lake at a folder or at s3://BUCKET/PREFIX. Nothing is read or written yet."""
    if url.startswith("s3://"):
        from storage.lake.s3 import S3Lake  # the AWS client costs memory and start-up time

        return S3Lake.at(url)
    from storage.lake.folder import FolderLake

    return FolderLake(Path(url))
