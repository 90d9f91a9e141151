"""Judge an answer as wakatime-cli v1.90 does: what becomes of each heartbeat sent (clients.md, sections 2, 3)."""

import json

TAKEN = "taken"
DROPPED = "dropped"
KEPT = "kept offline"
RESENT = "sent again for ever"
LOST = "lost: the client crashes"


def fates(status, body, sent):
    """Return what becomes of each of `sent` heartbeats after this answer to a bulk request."""
    if status not in (201, 202):
        return [KEPT] * sent
    try:
        pairs = json.loads(body)["responses"] or []
        judged = [_fate(*_parse(pair)) for pair in pairs[:sent]]
    except IndexError:
        return [LOST] * sent
    except (ValueError, TypeError, KeyError):
        return [KEPT] * sent
    return judged + [RESENT] * (sent - len(judged))


def _parse(pair):
    if not isinstance(pair, list):
        raise TypeError("a pair is a list")
    first, status = pair[0], pair[1]
    if type(status) is not int:
        raise TypeError("a status is an integer")
    if first is not None and not isinstance(first, dict):
        raise TypeError("the first element is an object")
    if first and "data" in first:
        raise TypeError("v1.90 reads `data` as a heartbeat, and many of ours would not pass")
    return first or {}, status


def _fate(first, status):
    if status >= 400:
        _check_reason(first)
    if status in (201, 202):
        return TAKEN
    return DROPPED if status == 400 else RESENT


def _check_reason(first):
    errors = first.get("errors", {})
    if any(not isinstance(reasons, list) for reasons in errors.values()):
        raise IndexError("errors is an object of lists")
    if not errors and not isinstance(first.get("error"), str):
        raise TypeError("an item of 400 and above says why")


_TEXTS = ("text", "digital", "decimal", "name")
_INTEGERS = ("hours", "minutes", "seconds")
_NUMBERS = ("total_seconds", "percent")
_LISTS = ("categories", "dependencies", "editors", "languages", "machines", "operating_systems", "projects")


def printed_status(status, body):
    """Return what `--today` prints for this answer, or None where it prints nothing and exits 1."""
    try:
        answer = json.loads(body)
        data = {} if answer.get("data") is None else answer["data"]
        total = data.get("grand_total") or {}
        entries = [entry for name in _LISTS for entry in data.get(name) or []]
        fit = status == 200 and all(_types_fit(entry) for entry in [total, *entries])
    except (ValueError, AttributeError):
        return None
    if not fit or not isinstance(answer.get("cached_at") or "", str):
        return None
    categories = data.get("categories") or []
    if len(categories) > 1:
        return ", ".join(f"{entry['text']} {entry['name']}" for entry in categories)
    return total.get("text", "")


def _types_fit(entry):
    return (
        all(isinstance(entry.get(key, ""), str) for key in _TEXTS)
        and all(type(entry.get(key, 0)) is int for key in _INTEGERS)
        and all(type(entry.get(key, 0)) in (int, float) for key in _NUMBERS)
    )
