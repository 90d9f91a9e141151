"""How editors, systems and languages are shown (semantics.md, section 7; clients.md, section 6). Pure."""

from typing import Final

_EDITORS: Final = {
    "vscode": "VSCode",
    "vs code": "VSCode",
    "pycharm": "PyCharm",
    "intellij": "IntelliJ IDEA",
    "intellijidea": "IntelliJ IDEA",
    "intellij idea": "IntelliJ IDEA",
    "webstorm": "WebStorm",
    "phpstorm": "PhpStorm",
    "datagrip": "DataGrip",
    "ktexteditor": "Kate",
    "android studio": "Android Studio",
    "visual studio": "Visual Studio",
    "sublime text": "Sublime Text",
    "iterm2": "iTerm2",
    "rubymine": "RubyMine",
    "opencode": "OpenCode",
    "claudecode": "Claude Code",
    "claude code": "Claude Code",
    "zoom.us": "Zoom",
    "windowspowershell": "PowerShell",
    "goland": "GoLand",
    "rustrover": "RustRover",
}
_SYSTEMS: Final = {
    "darwin": "macOS",
    "macos": "macOS",
    "mac": "macOS",
    "wsl": "WSL",
    "mozilla": "Firefox",
    "vscode": "VSCode",
}


def editor_name(editor: str) -> str:
    """Show an editor: vscode is VSCode, others are capitalised."""
    return _EDITORS.get(editor.lower()) or editor.capitalize()


def system_name(system: str) -> str:
    """Show an operating system: macos is macOS, others are capitalised."""
    return _SYSTEMS.get(system.lower()) or system.capitalize()


def as_stored(name: str) -> str:
    """Show projects, machines and categories as they are."""
    return name
