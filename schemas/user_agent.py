"""Editor, operating system and AI model from a user agent (semantics.md, section 2, rule 9; clients.md, section 6)."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

AI_CATEGORY: Final = "ai coding"


class Derived(NamedTuple):
    """What a user agent tells; None where it does not."""

    editor: str | None
    operating_system: str | None
    ai_model: str | None


class _Product(NamedTuple):
    name: str  # lower case
    version: str
    token: str  # as written


_NOTHING: Final = Derived(None, None, None)
_WAKATIME: Final = re.compile(r"wakatime/\S*\s+\(([^)]*)\)(.*)", re.IGNORECASE | re.DOTALL)
_COMMENT: Final = re.compile(r"\([^)]*\)")
_RUNTIME: Final = re.compile(r"(?:go|java|python|node)\d[^/]*|(?:python|node)/v?\d.*")
_PLUGIN: Final = re.compile(r"(.+)[-_](?:waka|hacka)time")
_MODEL: Final = re.compile(
    r"(?:claude|composer|deepseek|fable|gemini|gemma|glm|gpt|grok|haiku|kimi|llama|mistral|nemotron|opus|qwen|sonnet"
    r"|o\d)(?![a-z])"
)
_BROWSERS: Final = (
    (re.compile(r"\bedg(?:e|a|ios)?/"), "edge"),
    (re.compile(r"\b(?:opr|opera)/"), "opera"),
    (re.compile(r"\b(?:firefox|fxios)/"), "firefox"),
    (re.compile(r"\b(?:chrome|chromium|crios)/"), "chrome"),
    (re.compile(r"\bsafari/"), "safari"),
)
_SYSTEMS: Final = (
    (re.compile(r"\bwsl2?\b"), "wsl"),
    (re.compile(r"\bandroid\b"), "android"),
    (re.compile(r"\b(?:iphone|ipad|ios)\b"), "ios"),
    (re.compile(r"windows|\bwin(?:32|64)?(?:_|\b)"), "windows"),
    (re.compile(r"macintosh|mac[ _]?os|\bmac(?:_|\b)|darwin"), "macos"),
    (re.compile(r"\bcros\b|chrome ?os"), "chromeos"),
    (re.compile(r"linux"), "linux"),
)
_PLATFORMS: Final = {
    "darwin": "macos",
    "mac": "macos",
    "macintosh": "macos",
    "win": "windows",
    "win32": "windows",
    "none": None,
    "": None,
}
_RELAYS: Final = frozenset({"wakatime", "waka-relay", "wakatime-cli", "wakatime-ls", "exec-wakatime", "mcp-wakatime"})
_EDITORS: Final = {
    "claude": "claude-code",
    "claudecode": "claude-code",
    "godotengine": "godot",
    "idea": "intellijidea",
    "robloxstudio": "roblox-studio",
    "wakatime.nvim": "neovim",
    "vscode-insiders": "vscode",
}
_SPACED_NAMES: Final = (
    (re.compile(r"visual studio code(?: - insiders)?", re.IGNORECASE), "vscode"),
    (re.compile(r"intellij idea", re.IGNORECASE), "intellijidea"),
)
# What may open a chain in an AI category without being a model: agents, and editors under another editor's plugin.
_NEVER_MODELS: Final = re.compile(
    r"amp|antigravity|antigravity-cli|antigravity-desktop|claude-code|claudecode|cline|code-server|codex"
    r"|codex-cli|continue|copilot|cursor|fish|gemini-cli|github-copilot|github-copilot-cli|githubcopilot"
    r"|goose|kiro|neovim|nvim|opencode|opencode-cli|opencode-desktop|pi|positron|qoder|qwen-code"
    r"|qwen-code-cli|roo-code|trae|vim|vscode|vscodium|windsurf|zed|zsh"
)


@lru_cache(maxsize=4096)
def parse(user_agent: str | None, category: str | None) -> Derived:
    """Read what a user agent tells. In the category "ai coding" a leading model name is split off.

    The caller bounds the length of `user_agent`: results are kept in memory.
    """
    if user_agent is None or not user_agent.strip():
        return _NOTHING
    if match := _WAKATIME.match(user_agent):
        platform, chain = match.groups()
        return _derive(_products(chain), _platform(platform), category)
    lowered = user_agent.lower()
    system = _first(_SYSTEMS, lowered)
    if browser := _first(_BROWSERS, lowered):
        return Derived(browser, system, None)
    products = _products(user_agent)
    if not any(p.version or _plugin_stem(p.name) for p in products):
        return Derived(None, system, None)  # free text, not products
    return _derive(products, system, category)


def _derive(products: list[_Product], system: str | None, category: str | None) -> Derived:
    model = None
    if category is not None and category.lower() == AI_CATEGORY and _starts_with_model(products):
        model, products = products[0].token, products[1:]
    return Derived(_editor(products), system, model)


def _products(chain: str) -> list[_Product]:
    chain = _COMMENT.sub(" ", chain)
    for pattern, name in _SPACED_NAMES:
        chain = pattern.sub(name, chain)
    products = []
    for token in chain.split():
        name, _, version = token.partition("/")
        lowered = name.lower()
        if lowered and lowered not in _RELAYS and not _RUNTIME.fullmatch(token.lower()):
            products.append(_Product(lowered, version, token))
    return products


def _starts_with_model(products: list[_Product]) -> bool:
    """Tell whether the chain is MODEL EDITOR..., not EDITOR PLUGIN nor AGENT EDITOR PLUGIN."""
    if len(products) < 2:
        return False
    first, *rest = products
    stems = {_plugin_stem(p.name) for p in rest}
    if _NEVER_MODELS.fullmatch(first.name) or _EDITORS.get(first.name, first.name) in stems or _plugin_stem(first.name):
        return False
    others = [p for p in rest if p.version and not _plugin_stem(p.name)]
    if any(p.version == first.version for p in others):
        return False  # a client named twice: claude/2.1.202 claude-code/2.1.202
    return bool(others) or _MODEL.match(first.name) is not None


def _editor(products: list[_Product]) -> str | None:
    if not products:
        return None
    name = products[0].name
    return _EDITORS.get(name) or _plugin_stem(name) or name


def _plugin_stem(name: str) -> str | None:
    match = _PLUGIN.fullmatch(name)
    return _EDITORS.get(match[1], match[1]) if match else None


def _platform(platform: str) -> str | None:
    lowered = platform.lower()
    if "-wsl2-" in lowered:
        return "wsl"
    if "android" in lowered:
        return "android"
    first = re.split(r"[-_;\s]", lowered, maxsplit=1)[0]
    return _PLATFORMS.get(first, first)


def _first(patterns: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str | None:
    return next((name for pattern, name in patterns if pattern.search(text)), None)
