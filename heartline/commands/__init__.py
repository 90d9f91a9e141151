"""The commands of `heartline`, by subject; `heartline.cli` puts them together."""
