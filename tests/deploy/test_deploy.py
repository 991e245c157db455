"""What `deploy/` and the Dockerfile say: held to the programs that read them, where those are installed.

`make test-deploy` installs them: Docker Compose, Helm as a library, Kubernetes' schemas, hadolint.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import httpx
import pytest
import yaml

from segmend import __version__
from segmend.cli.start import start
from tests.server.running import PATIENCE
from tests.store.servers import free_port

ROOT = Path(__file__).parents[2]
DEPLOY, TOOLS = ROOT / "deploy", ROOT / ".deploy" / "bin"
COMPOSE, CHART, UNIT = DEPLOY / "compose.yaml", DEPLOY / "helm" / "segmend", DEPLOY / "segmend.service"
TOKEN = "a token of a file"


def tool(name: str) -> str:
    """Return a program that reads these files; skip the test, by its name, where it is not there."""
    found = shutil.which(name, path=f"{TOOLS}:{os.environ.get('PATH', '')}")
    if found is None:
        assert not os.environ.get("SEGMEND_DEMAND_DEPLOY"), f"{name} is not installed"
        pytest.skip(f"{name} is not installed (make test-deploy)")
    return found


def ran(*command: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def variables() -> set[str]:
    """Return the variables of the environment that `segmend start` reads, also those that name files."""
    named = {str(option.envvar) for option in start.params if isinstance(option, click.Option) and option.envvar}
    return named | {"SEGMEND_TOKEN_FILE", "SEGMEND_DATABASE_FILE"}


def options(words: list[str]) -> list[str]:
    known = {name for option in start.params for name in (*option.opts, *option.secondary_opts)}
    return [word for word in words if word.startswith("--") and word not in known]


class TestCompose:
    @pytest.fixture(scope="class")
    @classmethod
    def services(cls):
        return yaml.safe_load(COMPOSE.read_text())["services"]

    def test_docker_compose_takes_it(self, tmp_path):
        shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets"))
        ran("sh", tmp_path / "deploy" / "secrets.sh")
        said = ran(tool("docker-compose"), "-f", tmp_path / "deploy" / "compose.yaml", "config", "--format", "json")
        assert set(json.loads(said)["services"]) == {"segmend", "postgres", "minio", "owner", "bucket"}

    def test_nothing_runs_as_root_or_writes_where_it_need_not(self, services):
        for name, one in services.items():
            assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["security_opt"] == ["no-new-privileges:true"]
            assert one["user"].partition(":")[0] != "0" or name == "owner"
            once = one["restart"] == "no"
            assert once or ("healthcheck" in one and one["restart"] == "unless-stopped")
            told = one.get("environment", {})
            assert all(value.startswith("/run/secrets/") for key, value in told.items() if key.endswith("_FILE"))
            assert not any(re.search("PASSWORD$|TOKEN$|SECRET", key) for key in told)

    def test_segmend_knows_what_it_is_told(self, services):
        own = services["segmend"]
        assert {name for name in own["environment"] if name.startswith("SEGMEND_")} <= variables()
        assert options(own["command"]) == []

    def test_secrets_are_drawn_once_and_for_no_other_account(self, tmp_path):
        shutil.copy(DEPLOY / "secrets.sh", tmp_path)
        first, second = (ran("sh", tmp_path / "secrets.sh") for _ in range(2))
        folder = tmp_path / "secrets"
        named = yaml.safe_load(COMPOSE.read_text())["secrets"]
        assert first == second and {path.name for path in folder.iterdir()} == set(named)
        assert folder.stat().st_mode & 0o077 == 0
        password = (folder / "postgres_password").read_text().strip()
        assert f":{password}@postgres/" in (folder / "database").read_text()

    @pytest.mark.long
    def test_the_server_runs_with_it_on_a_root_that_cannot_be_written(self, services, tmp_path):
        """As in its container: but for /tmp and its folder everything is read-only, and secrets come from files."""
        unshare = tool("unshare")
        if os.geteuid() != 0 or subprocess.run([unshare, "--mount", "true"], capture_output=True).returncode:
            pytest.skip("only root can make a root that cannot be written")
        (tmp_path / "token").write_text(f"{TOKEN}\n")
        (tmp_path / "database").write_text(f"sqlite:///{tmp_path}/data/segmend.db\n")
        (tmp_path / "data").mkdir()
        port = free_port()
        told = {
            name: re.sub(r"\$\{.*:-(.*)\}", r"\1", value) for name, value in services["segmend"]["environment"].items()
        }
        told |= {
            "SEGMEND_TOKEN_FILE": str(tmp_path / "token"),
            "SEGMEND_DATABASE_FILE": str(tmp_path / "database"),
            "SEGMEND_FOLDER": str(tmp_path / "data"),
        }
        del told["SEGMEND_BLOBS"]
        words = [sys.executable, "-m", "segmend", *services["segmend"]["command"], "--port", str(port)]
        script = (
            'mount --bind "$1" "$1"; mount -o remount,bind,ro /; touch /nobody 2>/dev/null && exit 9; shift; exec "$@"'
        )
        process = subprocess.Popen(
            [unshare, "--mount", "sh", "-c", script, "sh", str(tmp_path), *words],
            env={**os.environ, **told, "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent", "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout.readline().startswith("Segmend is at"), process.stderr.read()
            with httpx.Client(base_url=f"http://localhost:{port}", timeout=PATIENCE) as client:
                end = time.monotonic() + PATIENCE
                while client.get("/readyz").status_code != 200 and time.monotonic() < end:
                    time.sleep(0.05)
                assert client.get("/readyz").json() == {"ready": True, "store": True, "method": True}
                assert client.get("/api/cases").status_code == 401
                assert client.get("/api/cases", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        finally:
            process.terminate()
            _, said = process.communicate(timeout=PATIENCE)
        assert "Read-only" not in said and "Traceback" not in said


class TestChart:
    CASES = (
        {"values": {"secret": {"token": TOKEN}}},
        {
            "values": {
                "replicas": 3, "secret": {"name": "segmend"}, "database": True, "blobs": "s3://segmend/blobs",
                "hosts": ["a.example.org", "b.example.org"], "rootPath": "/segmend", "proxies": ["10.0.0.0/8"],
                "volume": {"storageClassName": "fast"}, "nodeSelector": {"a": "b"}, "imagePullSecrets": [{"name": "x"}],
                "tolerations": [{"key": "a", "operator": "Exists"}], "podAnnotations": {"prometheus.io/scrape": "true"},
                "ingress": {"enabled": True, "className": "nginx", "tls": [{"secretName": "t", "hosts": ["a"]}]},
            }
        },
        {"values": {}, "refused": "Segmend needs a token"},
        {"values": {"secret": {"name": "s"}, "replicas": 2}, "refused": "More than one server needs database: true"},
        {"values": {"secret": {"token": TOKEN}, "database": True}, "refused": "A database and S3 need secret.name"},
        {"values": {"secret": {"token": TOKEN}, "rootPath": "segmend"}, "refused": "rootPath"},
    )  # fmt: skip

    def test_helm_and_the_schemas_of_kubernetes_take_it(self, tmp_path):
        python = Path(tool("kubernetes-validate")).with_name("python")
        (tmp_path / "cases.json").write_text(json.dumps(self.CASES))
        oldest = re.search(r">=(\d+\.\d+)", yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"])
        assert oldest is not None
        said = ran(python, ROOT / "tools" / "chart.py", CHART, oldest[1], tmp_path / "cases.json")
        small, large, *refused = json.loads(said)
        assert refused == [None] * 4
        kinds = ["Pod", "Secret", "Service", "ServiceAccount", "StatefulSet"]
        assert sorted(one["kind"] for one in small) == kinds
        assert sorted(one["kind"] for one in large) == sorted({*kinds, "Ingress"} - {"Secret"})
        servers = next(one for one in large if one["kind"] == "StatefulSet")
        (container,) = servers["spec"]["template"]["spec"]["containers"]
        told = {one["name"]: one["value"] for one in container["env"]}
        assert {name for name in told if name.startswith("SEGMEND_")} <= variables()
        assert told["SEGMEND_ALLOW_HOST"] == "a.example.org b.example.org" and told["SEGMEND_PROXY"] == "10.0.0.0/8"
        assert options(container["args"]) == []

    def test_it_is_of_this_version(self):
        about = yaml.safe_load((CHART / "Chart.yaml").read_text())
        assert about["appVersion"] == __version__


class TestUnit:
    def test_systemd_takes_it_and_finds_it_closed(self, tmp_path):
        analyze = tool("systemd-analyze")
        unit = tmp_path / "segmend.service"
        text = UNIT.read_text().replace("/opt/segmend/bin/segmend", shutil.which("true") or "/bin/true")
        unit.write_text(text.replace("User=segmend\n", ""))  # an account that is not there yet
        said = subprocess.run([analyze, "verify", unit], capture_output=True, text=True)
        assert said.returncode == 0 and "segmend.service" not in said.stderr, said.stderr
        shutil.copy(UNIT, unit)
        (line,) = re.findall(r"Overall exposure level.*: ([0-9.]+)", ran(analyze, "security", "--offline=yes", unit))
        assert float(line) < 2

    def test_segmend_knows_what_it_is_told(self):
        text = UNIT.read_text()
        assert set(re.findall(r"SEGMEND_\w+", text)) <= variables()
        assert options(re.search("ExecStart=(.*)", text)[1].split()) == []
        assert text in (ROOT / "docs" / "deployment.md").read_text()


def test_hadolint_finds_nothing_in_the_dockerfile():
    assert ran(tool("hadolint"), ROOT / "Dockerfile") == ""
