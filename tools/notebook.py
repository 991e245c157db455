"""Execute a notebook and write it as a page: `python tools/notebook.py docs/notebook.ipynb`.

The outputs (what was printed, the value of a cell's last line, pictures) go into the notebook, and all of it into the
Markdown page of the same name, with the pictures in `images/`. It needs no Jupyter: a notebook is JSON, its cells are
Python. One that shows widgets is executed by a Jupyter all the same, that of an environment:
`python tools/notebook.py docs/widget.ipynb .viewers/jupyter`.
"""

import ast
import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image as Picture

Cell = dict[str, Any]


def run(cell: Cell, names: dict[str, object], number: int) -> None:
    """Execute a cell of code in the names of those before it, and keep its outputs in it."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"cell {number}", "exec"), names)  # noqa: S102 - running cells is what this is for
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)  # noqa: S307
    cell["execution_count"] = number
    cell["outputs"] = []
    if printed.getvalue():
        cell["outputs"].append({"output_type": "stream", "name": "stdout", "text": lines(printed.getvalue())})
    if value is not None:
        shown = (
            {"image/png": encoded(value)} if isinstance(value, Picture.Image) else {"text/plain": lines(repr(value))}
        )
        cell["outputs"].append(
            {"output_type": "execute_result", "execution_count": number, "data": shown, "metadata": {}}
        )


def lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def encoded(picture: Picture.Image) -> str:
    """Return a picture as base64 of a small PNG."""
    file = io.BytesIO()
    picture.convert("RGB").quantize(128, dither=Picture.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode("ascii")


def page(cells: list[Cell], folder: Path, name: str) -> str:
    """Return the cells as Markdown; their pictures are written beside it."""
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            if "text" in output:
                parts.append("```text\n" + "".join(output["text"]).rstrip() + "\n```")
            elif "image/png" in output["data"]:
                path = Path("images") / f"{name}-{cell['execution_count']}.png"
                (folder / path).write_bytes(base64.b64decode(output["data"]["image/png"]))
                parts.append(f"![What the cell above shows]({path.as_posix()})")
            else:
                parts.append("```text\n" + "".join(output["data"]["text/plain"]) + "\n```")
    return "\n\n".join(parts) + "\n"


def kernel(folder: Path, python: str, paths: str) -> None:
    """Tell Jupyter, whose data lie in a folder, of a kernel that also looks for packages in `paths`, behind its own."""
    begin = f"import sys; sys.path.extend({paths.split(os.pathsep)!r}); from ipykernel import kernelapp; "
    command = [python, "-c", f"{begin}kernelapp.launch_new_instance()", "-f", "{connection_file}"]
    about = {"argv": command, "display_name": "Segmend", "language": "python"}
    place = folder / "kernels/segmend"
    place.mkdir(parents=True, exist_ok=True)
    (place / "kernel.json").write_text(json.dumps(about), encoding="utf-8")


def run_by_jupyter(path: Path, home: Path) -> list[Cell]:
    """Return the cells of a notebook as an environment's Jupyter executed them, without what only its session knows."""
    paths = [str(Path(__file__).parents[1] / "src"), *(p for p in sys.path if p.endswith("-packages"))]
    with tempfile.TemporaryDirectory() as folder:
        kernel(Path(folder), str(home / "bin/python"), os.pathsep.join(paths))
        command = [home / "bin/python", "-m", "nbconvert", "--to", "notebook", "--execute", "--stdout", path]
        options = ["--ExecutePreprocessor.kernel_name=segmend", "--ExecutePreprocessor.store_widget_state=False"]
        environment = {**os.environ, "JUPYTER_PATH": folder}
        done = subprocess.run([*command, *options], check=True, capture_output=True, env=environment)
    cells: list[Cell] = json.loads(done.stdout)["cells"]
    for cell in cells:
        cell["metadata"] = {}
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return cells


def main(path: Path, home: Path | None = None) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    if home is not None:
        notebook["cells"] = run_by_jupyter(path, home)
    names: dict[str, object] = {"__name__": "__main__"}
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        if home is None:
            run(cell, names, number)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(page(notebook["cells"], path.parent, path.stem), encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
