"""The settings as options of commands: one definition for environment, flags and documentation."""

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

import typer

from heartline.settings import PLACES, Settings, read_settings, variable

ALL: Final = tuple(Settings.model_fields)


def with_settings(names: Iterable[str] = PLACES) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, whose first parameter is `settings`, an option for each of the named settings.

    Values stay text until `Settings` reads them, so that a wrong one is refused in the same words everywhere.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[1:]
        options = [_option(name) for name in names]

        def run(**values: Any) -> None:  # Any: each option has a type of its own
            flags = {option.name: values.pop(option.name) for option in options}
            command(read_settings(flags), **values)

        run.__name__ = command.__name__
        run.__doc__ = command.__doc__
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # what inspect.signature looks for first
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *options)]
        )
        return run

    return decorate


def _option(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    default = "" if field.default_factory or field.default in (None, "") else f", {field.default}"
    description = field.description or ""
    text = f"{description[:1].upper()}{description[1:]} [{variable(name)}{default}]"
    is_switch = field.annotation is bool
    kind, flags = (bool, f"{flag}/--no-{flag[2:]}") if is_switch else (str, flag)
    option = typer.Option(flags, help=text, metavar=None if is_switch else "VALUE", show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )
