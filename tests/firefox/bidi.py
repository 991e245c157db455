"""Debian's Firefox, driven through WebDriver BiDi, which it speaks itself: no driver and no library beside it.

The protocol: https://w3c.github.io/webdriver-bidi. One tab; every command waits for its reply.
"""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

from websockets.sync.client import connect

NAMES = ("firefox-esr", "firefox")
PATIENCE = 180  # seconds; a busy machine draws on its processor
LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
KEYS = {
    "Control": "\ue009",
    "Shift": "\ue008",
    "Enter": "\ue007",
    "Escape": "\ue00c",
    "ArrowUp": "\ue013",
    "ArrowDown": "\ue015",
}
PREFERENCES = """
user_pref("browser.download.folderList", 2);
user_pref("browser.download.dir", "{downloads}");
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("intl.accept_languages", "en");
"""


def found():
    """Return the path of Firefox; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


class ScriptError(Exception):
    """The page's script threw something."""


class Firefox:
    """A Firefox with one tab, without a window of its own."""

    def __init__(self, folder: Path, *, width=1280, height=800):
        self.downloads = folder / "downloads"
        profile = folder / "profile"
        for one in (self.downloads, profile):
            one.mkdir()
        (profile / "user.js").write_text(PREFERENCES.format(downloads=self.downloads))
        options = ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile), "about:blank"]
        self.process = subprocess.Popen(
            [found(), *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=_environment(folder)
        )
        self.said = []  # errors of the page, and what its policy forbids
        try:
            self._begin(width, height)
        except BaseException:
            self.end()
            raise

    def _begin(self, width, height):
        self.connection = connect(f"{self._address()}/session", max_size=None, open_timeout=PATIENCE)
        self.socket = self.connection.__enter__()
        self.number = 0
        self.version = self.command("session.new", capabilities={})["capabilities"]["browserVersion"]
        self.command("session.subscribe", events=["log.entryAdded"])
        self.tab = self.command("browsingContext.getTree")["contexts"][0]["context"]
        self.command("browsingContext.setViewport", context=self.tab, viewport={"width": width, "height": height})

    def _address(self):
        for line in self.process.stderr:
            if (told := LISTENS.search(line)) is not None:
                return told[1]
        raise AssertionError(f"Firefox ended with {self.process.wait()} before it listened.")

    def close(self):
        self.connection.__exit__(None, None, None)
        self.end()

    def end(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stderr.close()

    def command(self, method, **parameters):
        """Return the reply to a command."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE))
            if message.get("method") == "log.entryAdded":
                self._note(message["params"])
            elif message.get("id") == self.number:
                assert message["type"] == "success", f"{method}: {message.get('message')}"
                return message["result"]

    def _note(self, entry):
        text = entry.get("text") or ""
        if entry.get("type") == "javascript" or "Content-Security-Policy" in text:
            self.said.append(text)

    def go(self, url):
        self.command("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def evaluate(self, expression):
        """Return the value of an expression of the page, a promise's result in its place."""
        text = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        target = {"context": self.tab}
        reply = self.command("script.evaluate", expression=text, target=target, awaitPromise=True)
        if reply["type"] != "success":
            raise ScriptError(reply["exceptionDetails"]["text"])
        return json.loads(reply["result"]["value"])

    def wait(self, expression):
        """Wait until an expression holds, and return it."""
        end = time.monotonic() + PATIENCE
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < end, expression
            time.sleep(0.05)
        return value

    def act(self, source, *actions, **options):
        self.command(
            "input.performActions",
            context=self.tab,
            actions=[{**source, "id": source["type"], "actions": actions, **options}],
        )

    def drag(self, places):
        """Press the mouse at the first place, pass through the others, release at the last; one place is a click."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in places]
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        self.act({"type": "pointer", "parameters": {"pointerType": "mouse"}}, moves[0], down, *moves[1:], up)

    def turn(self, place, lines):
        """Turn the wheel at a place, down by so many notches of 100 pixels."""
        x, y = (round(one) for one in place)
        step = {"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": 100 if lines > 0 else -100}
        self.act({"type": "wheel"}, *[step] * abs(lines))

    def press(self, keys):
        """Press keys together, as in "Control+Shift+z"."""
        values = [KEYS.get(key, key) for key in keys.split("+")]
        down = [{"type": "keyDown", "value": value} for value in values]
        self.act({"type": "key"}, *down, *[{"type": "keyUp", "value": value} for value in reversed(values)])

    def type(self, text):
        for letter in text:
            self.press(letter)

    def click_on(self, selector, *, text=""):
        """Click an element, the first one with this text in it."""
        found_one = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find((one) => one.checkVisibility() && one.textContent.includes({json.dumps(text)}))"
        )
        self.wait(f"{found_one} !== undefined")
        x, y = self.evaluate(
            f"(() => {{ const one = {found_one}; one.scrollIntoView({{ block: 'nearest' }});"
            " const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        self.drag([(x, y)])


def _environment(folder):
    """Return what Firefox needs to know of the machine, with a home of its own."""
    home = folder / "home"
    home.mkdir()
    return {"HOME": str(home), "PATH": "/usr/bin:/bin", "MOZ_REMOTE_SETTINGS_DEVTOOLS": "0", "LANG": "C.UTF-8"}
