"""The language of a file by its name (semantics.md, section 2, rule 6)."""

from typing import Final

from schemas.language_names import EXTENSIONS, FILE_NAMES

_BY_EXTENSION: Final = {name: language for language, names in EXTENSIONS.items() for name in names.split()}
_BY_FILE_NAME: Final = {name: language for language, names in FILE_NAMES.items() for name in names.split()}
_TYPES_OF_FILES: Final = (None, "", "file")


def infer_language(entity: str | None) -> str | None:
    """Look up a path's file name, then its extension, both in any case; None where neither is known."""
    if not entity:
        return None
    name = entity.replace("\\", "/").rpartition("/")[2].lower()
    stem, _, extension = name.rpartition(".")
    # A leading point hides a file, it starts no extension.
    return _BY_FILE_NAME.get(name) or (_BY_EXTENSION.get(extension) if stem.strip(".") else None)


def fill_language(language: str | None, entity: str | None, entity_type: str | None) -> str | None:
    """Give the language to store: as sent unless blank or "unknown", else by the file's name.

    Only files are looked up (type "file" or none: a domain is no file name); .luau is always Luau.
    """
    if entity_type not in _TYPES_OF_FILES:
        return language
    if entity is not None and entity[-5:].lower() == ".luau":
        return "Luau"
    if language is None or language.strip().lower() in {"", "unknown"}:
        return infer_language(entity) or language
    return language
