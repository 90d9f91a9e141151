"""`make bench`: the figures that the README quotes, measured against `heartline up` on this machine."""
