import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.user_agent import parse

WAKATIME = "wakatime/v2.1 (darwin-24.3.0-arm64) go1.26"


@pytest.mark.parametrize(
    ("user_agent", "editor", "system"),
    [
        (
            "wakatime/v1.90.0 (linux-6.18.44-fc-v595-unknown) go1.26.8 vscode/1.92.0 vscode-wakatime/24.6.0",
            "vscode",
            "linux",
        ),
        (
            (
                "wakatime/13.1.0 (Linux-6.18.44-fc-v595-x86_64-with-glibc2.36) Python3.11.7.final.0 vim/9.0 "
                "vim-wakatime/7.1.0"
            ),
            "vim",
            "linux",
        ),
        ("wakatime/v1.115.2 (darwin-24.3.0-arm64) go1.24.2 cursor/1.0.0 vscode-wakatime/25.0.3", "cursor", "macos"),
        (
            (
                "wakatime/v1.115.2 (windows-10.0.22631.5039-x86_64) go1.24.2 IntelliJIDEA/2025.1 "
                "IntelliJIDEA-wakatime/15.0.3"
            ),
            "intellijidea",
            "windows",
        ),
        (
            "wakatime/v1.102.1 (linux-6.8.0-45-generic-x86_64) go1.23.1 neovim/0.10.1 vim-wakatime/11.1.1",
            "neovim",
            "linux",
        ),
        (
            (
                "wakatime/v1.102.1 (linux-5.15.153.1-microsoft-standard-WSL2-x86_64) go1.23.1 vscode/1.95.0 "
                "vscode-wakatime/24.8.0"
            ),
            "vscode",
            "wsl",
        ),
        ("wakatime/v1.106.1 (darwin-23.6.0-arm64) go1.23.3 Zed/0.165.4 Zed-wakatime/0.1.9", "zed", "macos"),
        ("wakatime/v1.115.2 (darwin-24.3.0-arm64) go1.24.2 Figma/124.7.4 macos-wakatime/5.24.0", "figma", "macos"),
        (
            "wakatime/v1.118.0 (linux-6.8.0-x86_64) go1.24.4 GodotEngine/4.3.0 Godot_Super-Wakatime/1.0.0",
            "godot",
            "linux",
        ),
        ("wakatime/v1.118.0 (linux-6.8.0-x86_64) go1.24.4 zsh/5.9 terminal-wakatime/1.1.5", "zsh", "linux"),
        (
            "wakatime/v1.118.0 (windows-10.0.26100-x86_64) go1.24.4 RobloxStudio/0.650 roblox-wakatime/1.0",
            "roblox-studio",
            "windows",
        ),
        ("wakatime/unset (Linux-none-none) wakapi-anyide-wakatime/unset", "wakapi-anyide", "linux"),
        ("Chrome/126.0.0.0 linux_x86-64 chrome-wakatime/4.0.8", "chrome", "linux"),
        ("Firefox/139.0 linux_x86-64 firefox-wakatime/4.1", "firefox", "linux"),
        ("python-requests/2.34.2", "python-requests", None),
        ("wakatime/v1.90.0 (linux-6.1) go1.26.8 Unknown/0", "unknown", "linux"),
        ("wakatime/v1.90.0 (win-10) node/v20.1 waka-relay/1.0 emacs-wakatime/1.0", "emacs", "windows"),
        ("wakatime/1.0 (mac-14) Java17 python/3.11 IntelliJ IDEA/2025.1", "intellijidea", "macos"),
        ("wakatime/1.0 (linux-6) Visual Studio Code/1.127.0 (Continue/2.1.0)", "vscode", "linux"),
        ("wakatime/v1.86.0 (windows-10.0.22631-x86_64)", None, "windows"),
        ("wakatime/1.0 (none-none-none) go1.2 kate/1.0", "kate", None),
        ("vscode/1.0.0", "vscode", None),
        ("emacs-wakatime/2.0", "emacs", None),
        (
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 "
                "Safari/537.36 Edg/126.0"
            ),
            "edge",
            "windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 OPR/100.0", "opera", "linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:139.0) Gecko/20100101 Firefox/139.0", "firefox", "macos"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36", "chrome", "android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1 Version/17.5 Safari/605.1", "safari", "macos"),
        ("free text", None, None),
        ("  ", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_editor_and_system_are_read(user_agent, editor, system):
    assert parse(user_agent, "coding") == (editor, system, None)


@pytest.mark.parametrize(
    ("chain", "editor", "model"),
    [
        ("opus/4-8 claude-code/2.1.202", "claude-code", "opus/4-8"),
        (
            "gpt/5.3-codex github-copilot-cli/1.0 cursor/1.105 vscode-wakatime/30.2",
            "github-copilot-cli",
            "gpt/5.3-codex",
        ),
        ("fable/5 opencode-cli/local Zed/1.11.3 Zed-hackatime/0.3.1", "opencode-cli", "fable/5"),
        ("some-new-model/1 vscode/1.99 vscode-wakatime/30", "vscode", "some-new-model/1"),
        ("sonnet/5 vscode-wakatime/30", "vscode", "sonnet/5"),
        ("claude/4-sonnet claude-code/2.1.202", "claude-code", "claude/4-sonnet"),
        ("claude/2.1.202 claude-code/2.1.202", "claude-code", None),
        ("cursor/1.105.1 vscode-wakatime/30", "cursor", None),
        ("vscode/1.128.0 copilot/1.0 vscode-wakatime/30", "vscode", None),
        ("vscodium/1.110.1 claude vscode-wakatime/29", "vscodium", None),
        ("somefork/1.0 vscode-wakatime/29", "somefork", None),
        ("opencode-cli/local Zed/1.11.3 Zed-hackatime/0.3.1", "opencode-cli", None),
        ("claude/2.1.92 claude-code-wakatime/3.1.5", "claude-code", None),
        ("claude-code/2.1.202", "claude-code", None),
    ],
)
def test_an_ai_category_splits_a_leading_model_off(chain, editor, model):
    assert parse(f"{WAKATIME} {chain}", "AI coding") == (editor, "macos", model)


def test_other_categories_have_no_model():
    assert parse(f"{WAKATIME} opus/4-8 claude-code/2.1.202", "coding") == ("opus", "macos", None)


@given(st.text(max_size=80) | st.from_regex(r"wakatime/\S* \([^)]*\).*"), st.sampled_from(["coding", "ai coding"]))
def test_no_user_agent_is_too_strange(user_agent, category):
    for value in parse(user_agent, category):
        assert value is None or (value and value.strip() == value)
