"""What the services agree on: shapes and pure rules. Nothing here does I/O, reads a clock or a setting."""
