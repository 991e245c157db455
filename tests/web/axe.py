"""What axe-core finds on a page, in each of its colours."""

from pathlib import Path

AXE = Path(__file__).parent.parent.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("dark", "light", "contrast")
# Findings as sentences: by all rules, best practice and WCAG 2.2's target size among them, or of colours alone.
FINDINGS = """async (colours) => {
  const contrast = {runOnly: {type: "rule", values: ["color-contrast"]}};
  const only = colours ? contrast : {rules: {"target-size": {enabled: true}}};
  const {violations} = await axe.run(document, {resultTypes: ["violations"], ...only});
  return violations.flatMap(({id, nodes}) => nodes.map(({target, html}) => `${id}: ${target.join(" ")} ${html}`));
}"""


def findings(page, where, themes=THEMES):
    """Return what axe-core finds on a page as it is, and of colours in the other themes."""
    if not page.evaluate("'axe' in window"):
        session = page.context.new_cdp_session(page)  # the page's policy lets nobody else run scripts in it
        session.send("Runtime.evaluate", {"expression": AXE.read_text()})
        session.detach()
    shown, found = page.evaluate("document.documentElement.dataset.theme"), []
    for theme in themes:
        page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        found += [f"{where}, {theme}: {one}" for one in page.evaluate(FINDINGS, theme != themes[0])]
    page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", shown)
    return found
