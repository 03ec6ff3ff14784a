"""Start programs from a process that has imported the host: 0.1 s of imports in place of four.

``python warm_start.py serve SOCKET`` imports once and then forks for each request; a request is
``python warm_start.py ask SOCKET fed-plugin WORDS`` or ``... python -c CODE``. The fork takes the
words, folder, environment and standard streams of who asks, and gives its exit code back.
"""

import json
import os
import signal
import socket
import sys

READ_ONCE = ("PYTHONPATH", "OMP_NUM_THREADS", "FASTREID_DATASETS", "FASTREID_PROJECTS")
READ_ONCE += ("FASTREID_COMPAT_SKIP", "MPLBACKEND", "CUDA_VISIBLE_DEVICES")
"""Variables that imports read; a request with another value of one is refused."""


def ask(path, words):
    request = json.dumps((os.getcwd(), words, dict(os.environ))).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(request)
        answer = connection.recv(8)
    return int(answer) if answer else 128 + signal.SIGKILL


def serve(path):
    sys.path[0] = os.path.dirname(sys.executable)  # tests/ holds folders named as packages are
    # What the commands import at their first use; a module that is missing here only costs time.
    import fastreid.engine  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import torch.utils.data  # noqa: F401

    import fed_plugin.cli
    import fed_plugin.fastreid_adapter.embedder
    import fed_plugin.retrieval.evaluation  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                answer(connection)
            connection.close()


def answer(connection):
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    left, parts = int.from_bytes(size, "big"), []
    while left:
        parts.append(connection.recv(left))
        left -= len(parts[-1])
    folder, words, wanted = json.loads(b"".join(parts))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    if differing := [n for n in READ_ONCE if wanted.get(n) != os.environ.get(n)]:
        print(f"{differing} were read when this process began; start cold", file=sys.stderr)
        connection.sendall(b"2")
        os._exit(2)
    os.environ.clear()
    os.environ.update(wanted)
    child = os.fork()  # a child of its own, which may end in any way it likes
    if child == 0:
        connection.close()
        run(words)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(str(code if code >= 0 else 128 - code).encode())
    os._exit(0)


def run(words):
    from types import ModuleType

    sys.modules["__main__"] = main = ModuleType("__main__")
    try:
        if words[0] == "python":
            sys.argv = ["-c"]
            sys.path[0] = ""
            exec(compile(words[2], "<string>", "exec"), vars(main))
            code = 0
        else:
            from fed_plugin.cli import main as command

            sys.argv = words
            code = command()
    except SystemExit as stop:
        code = stop.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finish(code)


def finish(code):
    """End as an interpreter does: threads are awaited, exit functions called, streams written."""
    import atexit
    import threading

    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    what, place, *rest = sys.argv[1:]
    sys.exit(serve(place) if what == "serve" else ask(place, rest))
