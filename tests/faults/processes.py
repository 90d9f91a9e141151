"""Finding the processes of a running server."""

from pathlib import Path


def processes_below(root):
    """The root's descendants and their command lines."""
    children = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue  # it has just ended
        children.setdefault(parent, []).append((int(folder.name), command))
    found = [(root, "")]
    for pid, _ in found:  # grows while it is walked
        found.extend(children.get(pid, []))
    return found[1:]


def is_alive(pid):
    try:
        return (Path(f"/proc/{pid}/stat")).read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
