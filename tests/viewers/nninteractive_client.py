"""nnInteractive's own client, driven by lines of JSON: run by the Python of an environment of its own, without Segmend.

A line is `[name, {arguments}]`: "open" makes the client, "buffer" gives it a mask of zeros, "save" and "tell" say what
it has now, and every other name is a method of the client. An argument `{"npy": path}` is an array in a file. Every
line is answered by one: `{"value": ...}`, or `{"error": kind, "words": sentence}`.
"""

import json
import sys

import numpy as np


def plain(value):
    """Return a value as JSON has it."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def given(value):
    """Return an argument; arrays come by the names of their files."""
    return np.load(value["npy"]) if isinstance(value, dict) and set(value) == {"npy"} else value


def main():
    from nnInteractive.inference.remote import nnInteractiveRemoteInferenceSession

    client = None
    for line in sys.stdin:
        name, arguments = json.loads(line)
        arguments = {key: given(value) for key, value in arguments.items()}
        try:
            if name == "open":
                client, value = nnInteractiveRemoteInferenceSession(**arguments), None
            elif name == "buffer":
                value = client.set_target_buffer(np.zeros(arguments["shape"], arguments["dtype"]))
            elif name == "save":
                value = np.save(arguments["path"], client.target_buffer)
            elif name == "tell":
                value = {key: getattr(client, key) for key in arguments["names"]}
            else:
                value = getattr(client, name)(**arguments)
            answer = {"value": plain(value)}
        except Exception as error:
            answer = {"error": type(error).__name__, "words": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
