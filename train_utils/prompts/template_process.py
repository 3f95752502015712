"""Rendering of chat templates in a process of their own, with limits on time, memory and length.

A template is a program of whoever made the model. Nested loops, huge numbers and growing texts cannot all be stopped
from within the process that runs it, and may depend on the conversation. The process is one for all templates, starts
once (0.4 s of processor time) and answers in well under a millisecond; if a template exhausts a limit, the process ends
and the next rendering gets a new one.
"""

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import IO, Any

RENDER_SECONDS = 1  # of processor time per rendering; templates of released models take some milliseconds
RENDER_MEMORY = 256 << 20  # bytes that a rendering may take
LONGEST_TEXT = 4_000_000  # characters; a conversation that fits a context of a million tokens
LONGEST_TEMPLATE = 1_000_000  # characters; those of released models have up to some ten thousand
_READY = "ready\n"


class TemplateLimitError(ValueError):
    """A chat template exhausted the time or the memory of a rendering, or ended its process."""


class _Renderer:
    """Process that renders, as this process sees it; started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._process: subprocess.Popen[str] | None = None
        self._is_ready = False

    def start(self) -> "subprocess.Popen[str]":
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.close()
                self._process, self._is_ready = self._started(), False
            return self._process

    @staticmethod
    def _started() -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # NumPy is imported, and the threads' memory counts
            start_new_session=True,  # Ctrl-C stops an answer, not this process
        )

    def ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        with self._lock:
            process = self.start()
            assert process.stdin and process.stdout
            if not self._is_ready and process.stdout.readline() != _READY:
                self.close()
                raise OSError(f"chat templates cannot be rendered; `{sys.executable} -P {__file__}` shows why")
            self._is_ready = True
            try:
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
                reply = json.loads(process.stdout.readline() or "{}")
            except BaseException as error:
                self.close()  # also after an interrupt: the next answer would be that of this request
                if not isinstance(error, OSError):
                    raise
                reply = {}
            if not reply:
                self.close()
            return reply

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError), process:  # closes the pipes, also one with an unread request, and waits
                pass

    def forget(self) -> None:
        """Leave the process to the parent, after a fork."""
        self._lock, self._process = threading.RLock(), None


_RENDERER = _Renderer()
atexit.register(_RENDERER.close)
os.register_at_fork(after_in_child=_RENDERER.forget)


def start_renderer() -> None:
    """Start the process, so that it is ready when the first template is rendered."""
    _RENDERER.start()


def render(template: str, messages: Sequence[Mapping[str, str]], prompt: bool, variables: Mapping[str, object]) -> str:
    """Return what `apply_chat_template` of transformers returns as text.

    Args:
        template: the chat template.
        messages: the conversation.
        prompt: whether the generation prompt follows.
        variables: further variables of the template: special tokens and options.

    Raises:
        TemplateLimitError: the template needs more time or memory than `RENDER_SECONDS` and `RENDER_MEMORY`.
        ValueError: the template raises an error, or writes more than `LONGEST_TEXT`.
    """
    request = {"template": template, "messages": messages, "prompt": prompt, "variables": dict(variables)}
    reply = _RENDERER.ask(request)
    if "text" in reply:
        return reply["text"]
    if "error" in reply:
        raise ValueError(reply["error"])
    raise TemplateLimitError(
        f"it takes more than {RENDER_SECONDS} s or {RENDER_MEMORY >> 20} MB; give the tokenizer another chat template"
    )


# -- the process -------------------------------------------------------------------------------------------------------
def _library() -> ModuleType:
    """Return transformers' module of chat templates without the rest of transformers, which takes seconds to import."""
    spec = find_spec("transformers")
    assert spec and spec.origin
    folder = Path(spec.origin).parent
    for name, path in (("transformers", folder), ("transformers.utils", folder / "utils")):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
    import transformers.utils.chat_template_utils as library

    return library


def _serve(requests: IO[str], replies: IO[str]) -> None:
    """Answer one line per line, within the limits; this process ends where one is exceeded."""
    library = _library()
    if (statm := Path("/proc/self/statm")).exists():  # Linux; elsewhere the limit on time alone holds
        used = int(statm.read_text().split()[5]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_DATA, (used + RENDER_MEMORY,) * 2)
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    replies.write(_READY)
    replies.flush()
    for line in requests:
        # No handler: the signal ends the process, also inside a computation that Python cannot interrupt.
        signal.setitimer(signal.ITIMER_PROF, RENDER_SECONDS)
        reply = json.dumps(_rendered(library, json.loads(line)))
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(reply + "\n")
        replies.flush()


def _rendered(library: ModuleType, request: Mapping[str, Any]) -> dict[str, str]:
    try:
        texts, _ = library.render_jinja_template(
            conversations=[request["messages"]],
            chat_template=request["template"],
            add_generation_prompt=request["prompt"],
            **request["variables"],
        )
    except MemoryError:
        return {}
    except Exception as error:  # a template is third-party code, which may raise anything
        kind = "" if type(error).__name__ == "TemplateError" else f"{type(error).__name__}: "  # of `raise_exception`
        return {"error": f"{kind}{' '.join(str(error).split())[:300]}"}
    if len(texts[0]) > LONGEST_TEXT:
        return {"error": f"it writes {len(texts[0]):,} characters, wanted at most {LONGEST_TEXT:,}"}
    return {"text": texts[0]}


if __name__ == "__main__":
    _serve(sys.stdin, sys.stdout)
