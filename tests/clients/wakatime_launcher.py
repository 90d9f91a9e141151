"""Start the unmodified wakatime 13.1.0: it wants names that left `collections` in Python 3.10."""

import collections
import collections.abc
import sys

for name in ("Callable", "Mapping", "MutableMapping", "Sequence"):
    setattr(collections, name, getattr(collections.abc, name))

from wakatime import execute  # noqa: E402  (the names must be there first)

sys.exit(execute(sys.argv[1:]))
