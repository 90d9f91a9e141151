import pytest

from schemas.languages import fill_language, infer_language


@pytest.mark.parametrize(
    ("entity", "language"),
    [
        ("/a/b.py", "Python"),
        ("/a/B.PY", "Python"),
        ("b.ts", "TypeScript"),
        ("b.tsx", "TSX"),
        ("b.rs", "Rust"),
        ("b.json", "JSON"),
        ("b.sql", "SQL"),
        ("b.h", "C"),
        ("b.cs", "C#"),
        ("b.md", "Markdown"),
        ("b.yml", "YAML"),
        ("b.lua", "Lua"),
        ("b.vue", "Vue"),
        ("b.zig", "Zig"),
        ("C:\\work\\b.swift", "Swift"),
        ("/a.py/Dockerfile", "Dockerfile"),
        ("GNUmakefile", "Makefile"),
        ("CMakeLists.txt", "CMake"),
        ("go.mod", "Go Module"),
        (".bashrc", "Shell"),
        ("archive.tar.gz", None),
        (".py", None),
        ("...py", None),
        ("py", None),
        ("a.py/", None),
        ("a.", None),
        ("", None),
        (None, None),
    ],
)
def test_a_language_is_told_by_file_name_then_extension(entity, language):
    assert infer_language(entity) == language


@pytest.mark.parametrize("blank", [None, "", "  ", "unknown", "Unknown", " UNKNOWN "])
@pytest.mark.parametrize("file_type", [None, "", "file"])
def test_only_a_missing_language_of_a_file_is_filled(blank, file_type):
    assert fill_language(blank, "a.py", file_type) == "Python"
    assert fill_language(blank, "a.zzzz", file_type) == blank
    assert fill_language("py", "a.py", file_type) == "py"
    assert fill_language(blank, "a.py", "domain") == blank


def test_luau_is_always_luau():
    assert fill_language("Lua", "/a/b.LUAU", "file") == "Luau"
    assert fill_language("Lua", "b.luau", "app") == "Lua"
