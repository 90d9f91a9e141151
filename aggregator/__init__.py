"""The log becomes stats, tail and lake."""
