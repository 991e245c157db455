"""Lints the Helm chart, renders it, and holds every object to Kubernetes' schemas; run by a Python that has Helm.

Its arguments are the chart, the oldest version of Kubernetes, and a file with cases as JSON: values and, where they are
refused, a part of the sentence. It prints the rendered objects of each case as JSON.
"""

import json
import logging
import sys
from pathlib import Path

import helm_python as helm
import kubernetes_validate
import yaml

logging.disable(logging.CRITICAL)
chart_folder, version, cases = sys.argv[1:]
found = helm.lint(chart_folder, values={"secret": {"token": "a good token"}})
problems = [one for one in found["messages"] if one["severity"] > 1]  # 1 is advice, such as a missing icon
assert not problems and not found["errors"], found
rendered = []
with helm.Chart.load(chart_folder) as chart:
    for case in json.loads(Path(cases).read_text()):
        try:
            chart.validate_schema(case["values"])
            files = chart.render(case["values"], name="demo", namespace="prod")
        except helm.HelmError as error:
            if "refused" not in case or case["refused"] not in str(error):
                raise
            rendered.append(None)
            continue
        assert "refused" not in case, case
        objects = [one for name, text in files.items() if name.endswith(".yaml") for one in yaml.safe_load_all(text)]
        rendered.append([one for one in objects if one])
        for one in rendered[-1]:
            for wanted in (version, kubernetes_validate.__version__):
                kubernetes_validate.validate(one, wanted, strict=True)
json.dump(rendered, sys.stdout)
