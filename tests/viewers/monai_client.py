"""MONAI Label's own client, driven by lines of JSON: run by the Python of an environment of its own, without Segmend.

A line is `[name, {arguments}]`: "open" makes the client, every other name is a method of it. Every line is answered by
one: `{"value": ...}`, or `{"error": kind, "words": sentence}`.
"""

import json
import sys


def main():
    from monailabel.client import MONAILabelClient

    client = None
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            if name == "open":
                client, value = MONAILabelClient(**arguments), None
            else:
                value = getattr(client, name)(**arguments)
            answer = {"value": value}
        except Exception as error:
            answer = {"error": type(error).__name__, "words": str(getattr(error, "msg", error))}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
