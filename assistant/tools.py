"""The house's tools: plain typed Python functions that the model may call while it answers.

`open_toolbox` reads them from a module once, at the start; a `Toolbox` calls them, each within its time, and
turns whatever comes of it into text. Needs the extra `documents`. Knows no dialogue and no engine.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import logging
import re
import sys
import threading
import time
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from assistant.accounts import Account
from assistant.grounding import harmless
from assistant.settings import PREFIX, BadSetting
from feedback.records import storable

if TYPE_CHECKING:
    from retrieval.records import Hit

log = logging.getLogger(__name__)

LONGEST_RESULT = 4_000
"""Characters of a result; what is longer is cut, and says so."""
LONGEST_ARGUMENTS = 20_000
AT_ONCE = 8
"""Calls of one tool that may run at the same time. One that never returns keeps its place for ever, so that
a tool that hangs can hold so many threads and no more; from then on it is busy."""
_MOST_FAULTS = 5

Find = Callable[[str, Account, int | None], Awaitable["list[Hit]"]]
"""Looks a question up in the documents that a person may see."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The person for whom a tool is called, and what a tool may ask of the house.

    A parameter of this type is filled in by the house: the model neither sees nor chooses it.
    """

    account: Account
    _find: Find | None = None
    _groups: set[str] = field(default_factory=set, compare=False)
    """Whose documents were found, of those that are not for everybody."""

    async def find(self, question: str, most: int | None = None) -> list[Hit]:
        """Passages of the documents that this person may see, the best first; none without documents."""
        found = await self._find(question, self.account, most) if self._find else []
        self._groups.update(hit.passage.audience for hit in found if hit.passage.audience)
        return found


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one call, as text for the model. `seconds` is how long it took."""

    text: str
    failed: bool
    seconds: float
    audiences: Sequence[str] = ()
    """The groups whose documents it may tell of."""


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    function: Callable[..., Any]
    caller: str | None
    """The parameter that the house fills in."""
    arguments: type[BaseModel]
    schema: Mapping[str, Any]


class _Fault(Exception):
    """What the model is told in place of a result."""


class Toolbox:
    """Functions that may be called. Belongs to one event loop.

    A plain function runs in a thread of its own, an async one on the loop; both are left to themselves when
    their time is over, since a thread can't be ended.
    """

    def __init__(
        self, functions: Sequence[Callable[..., Any]], *, seconds: float, find: Find | None = None
    ) -> None:
        from langchain_core.tools import ToolException

        self._tools = {tool.name: tool for tool in map(_tool, functions)}
        self._places = {name: asyncio.Semaphore(AT_ONCE) for name in self._tools}
        self._seconds = seconds
        self._find = find
        self._told: type[Exception] = ToolException

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """The tools as an OpenAI request offers them."""
        return [dict(tool.schema) for tool in self._tools.values()]

    async def call(self, name: str, arguments: str, account: Account) -> Result:
        """Call a tool with arguments as the model wrote them. Never raises: a mishap is told as text."""
        started, failed = time.monotonic(), False
        caller = Caller(account, self._find)
        try:
            text = as_text(await self._call(name, arguments, caller))
        except _Fault as fault:
            text, failed = f"Error: {fault}", True
        # Others wrote what is in a result, documents for one: it may not end the result and give orders.
        text = _cut(harmless(storable(text)))
        # A tool that fails may quote what it found as well.
        return Result(text, failed, time.monotonic() - started, sorted(caller._groups))

    async def _call(self, name: str, arguments: str, caller: Caller) -> Any:
        tool = self._tools.get(name)
        if tool is None:
            raise _Fault(f"there is no tool {name[:60]!r}; there are {', '.join(self._tools)}")
        given = _checked(tool, arguments)
        if tool.caller:
            given[tool.caller] = caller
        ended = time.monotonic() + self._seconds
        place = self._places[name]
        try:
            await asyncio.wait_for(place.acquire(), self._seconds)
        except TimeoutError:
            log.error("the tool %s is busy: %d calls of it have not returned", name, AT_ONCE)
            raise _Fault(f"{name} is busy; it can't be used now") from None
        running = _begin(tool.function, given)
        running.add_done_callback(lambda _: place.release())
        try:
            await asyncio.wait({running}, timeout=max(0.0, ended - time.monotonic()))
        finally:
            # What runs as a task is asked to end, what runs in a thread goes on; neither is waited for.
            if not running.done() and isinstance(running, asyncio.Task):
                running.cancel()
        if not running.done():
            log.error("the tool %s did not return within %g s", name, self._seconds)
            raise _Fault(f"{name} did not answer within {self._seconds:g} seconds")
        value, problem = running.result()
        if isinstance(problem, self._told):
            raise _Fault(str(problem) or f"{name} failed")
        if problem is not None:
            log.error("the tool %s failed", name, exc_info=problem)
            raise _Fault(f"{name} failed, and nothing more is known")
        return value


def open_toolbox(place: str, *, seconds: float, find: Find | None = None) -> Toolbox | None:
    """The tools of a module or FILE.py; None when no place is named. Raises `BadSetting` in one line."""
    if not place:
        return None
    if importlib.util.find_spec("langchain_core") is None:
        raise _bad(place, "tools need the extra `documents`: pip install 'apprentice[documents]'")
    try:
        return Toolbox(_functions(place), seconds=seconds, find=find)
    except _Fault as fault:
        raise _bad(place, str(fault)) from None


def as_text(value: Any) -> str:
    """A result for the model: text as it is, anything else as JSON. Raises `_Fault`."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False)
    except Exception as error:
        log.error("the result of a tool can't be written as JSON", exc_info=error)
        raise _Fault("the tool returned something that can't be shown") from None


def _cut(text: str) -> str:
    if len(text) <= LONGEST_RESULT:
        return text
    return f"{text[:LONGEST_RESULT]}… [cut: {len(text) - LONGEST_RESULT} more characters]"


def _checked(tool: _Tool, arguments: str) -> dict[str, Any]:
    """The arguments by name, checked and converted by the function's own types."""
    try:
        given = json.loads(arguments or "{}") if len(arguments) <= LONGEST_ARGUMENTS else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise _Fault("the arguments must be one JSON object")
    names = tool.arguments.model_fields
    if unknown := [str(name)[:60] for name in given if name not in names]:
        raise _Fault(f"{tool.name} has no argument {unknown[0]!r}; it has {', '.join(names) or 'none'}")
    try:
        found = tool.arguments.model_validate(given)
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise _Fault("; ".join(faults[:_MOST_FAULTS])) from None
    return {name: getattr(found, name) for name in names}


# -- running -----------------------------------------------------------------------------------------


_Ended = tuple[Any, BaseException | None]


def _begin(function: Callable[..., Any], given: Mapping[str, Any]) -> asyncio.Future[_Ended]:
    """Start the function; its value or its error is the result, so that nothing of it is ever raised."""
    if inspect.iscoroutinefunction(function):
        return asyncio.create_task(_awaited(function, given), name=f"tool {function.__name__}")
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Ended] = loop.create_future()

    def work() -> None:
        try:
            ended: _Ended = (function(**given), None)
        except BaseException as error:  # noqa: BLE001 - a tool may raise whatever it likes
            ended = (None, error)
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(future.set_result, ended)

    # A daemon, and of no pool: the process must be able to end while a tool hangs.
    threading.Thread(target=work, name=f"tool {function.__name__}", daemon=True).start()
    return future


async def _awaited(function: Callable[..., Awaitable[Any]], given: Mapping[str, Any]) -> _Ended:
    try:
        return await function(**given), None
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        return None, error
    except BaseException as error:  # noqa: BLE001 - raised in a task, `SystemExit` ends the process
        return None, error


# -- reading a module --------------------------------------------------------------------------------


def _bad(place: str, why: str) -> BadSetting:
    return BadSetting(f"{PREFIX}TOOLS={place!r}: {' '.join(why.split())}")


def _functions(place: str) -> list[FunctionType]:
    """The public functions that a module defines itself, or those that its `__all__` names."""
    try:
        module = _module(place)
    except _Fault:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _Fault(f"it can't be loaded: {type(error).__name__}: {error}") from error
    named = getattr(module, "__all__", None)
    if named is not None:
        found = [getattr(module, name, None) for name in named]
        wrong = [name for name, one in zip(named, found, strict=True) if not isinstance(one, FunctionType)]
        if wrong:
            raise _Fault(f"its __all__ names {wrong[0]}, which is no function")
    else:
        found = [
            one
            for name, one in vars(module).items()
            if not name.startswith("_")
            and isinstance(one, FunctionType)
            and one.__module__ == module.__name__
        ]
    functions = [one for one in found if isinstance(one, FunctionType)]
    if not functions:
        raise _Fault("it defines no public function")
    return functions


def _module(place: str) -> ModuleType:
    if not place.endswith(".py") and "/" not in place:
        _importable(Path.cwd())
        return importlib.import_module(place)
    file = Path(place).expanduser().resolve()
    if not file.is_file():
        raise _Fault("there is no such file")
    name = f"apprentice_tools_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise _Fault("it is no Python file: its name must end in .py")
    # The file may import its neighbours, as it could if Python were started on it.
    _importable(file.parent)
    module = importlib.util.module_from_spec(spec)
    # Before it runs, because types are looked up there by the name of their module.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _importable(folder: Path) -> None:
    """At the end of the path: the user's folder must not hide the standard library or us."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _tool(function: Callable[..., Any]) -> _Tool:
    """A function as a tool: its docstring and types become the schema."""
    from langchain_core.tools import tool
    from langchain_core.utils.function_calling import convert_to_openai_tool

    name = function.__name__
    shown, caller = _shown(function)
    try:
        made = tool(shown, parse_docstring=True, error_on_invalid_docstring=False)
        # langchain promises a pydantic model for a function, and types it more widely.
        arguments = typing.cast("type[BaseModel]", made.args_schema)
        schema = convert_to_openai_tool(made)
    except Exception as error:
        raise _Fault(f"{name}: {error}") from error
    return _Tool(name, function, caller, arguments, _ordered(schema))


def _shown(function: Callable[..., Any]) -> tuple[Callable[..., Any], str | None]:
    """The function as the model sees it, without what the house fills in, and the name of that."""
    name, signature = function.__name__, inspect.signature(function)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise _Fault(f"{name}: a tool's name has plain letters, digits and _ only, at most 64")
    if not inspect.getdoc(function):
        raise _Fault(f"{name} has no docstring, by which the model would choose it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _Fault(f"{name} yields; a tool returns its result")
    try:
        types = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise _Fault(f"{name}: its types can't be read: {error}") from error
    for one in signature.parameters.values():
        if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
            raise _Fault(f"{name}: {one} can't be offered; name every argument")
        if one.name not in types:
            raise _Fault(f"{name}: the argument {one.name} has no type")
        if one.name in ("run_manager", "callbacks") or one.name.startswith("_"):
            raise _Fault(f"{name}: an argument can't be called {one.name}")
    callers = [one for one in signature.parameters if types[one] is Caller]
    if len(callers) > 1:
        raise _Fault(f"{name} has two arguments of the type Caller")
    kept = [one for key, one in signature.parameters.items() if key not in callers]

    def shown(**_: Any) -> None: ...

    shown.__name__ = shown.__qualname__ = name
    shown.__doc__, shown.__module__ = inspect.getdoc(function), function.__module__
    shown.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[one.replace(annotation=types[one.name]) for one in kept]
    )
    shown.__annotations__ = {key: kind for key, kind in types.items() if key not in (*callers, "return")}
    return shown, callers[0] if callers else None


def _ordered(schema: Any) -> Any:
    """The same schema, type and description first, as requests and training sets mostly write it."""
    if isinstance(schema, list):
        return [_ordered(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    first = [key for key in ("type", "name", "description") if isinstance(schema.get(key), str)]
    return {key: _ordered(schema[key]) for key in (*first, *(key for key in schema if key not in first))}
