"""A real Kubernetes API server on loopback, with or without the controllers. No node: pods wait."""

import json
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.deploy import toolchain

_START_S = 120.0
_STOP_S = 20.0


class Refused(Exception):  # noqa: N818 - what kubectl answered, not a fault of ours
    """What kubectl says when the API server refuses something or warns of it."""


class ControlPlane:
    """etcd and kube-apiserver as child processes, between with and end.

    Whoever has the token in `kubeconfig` is of the group system:masters.
    """

    def __init__(self, folder: Path, *, controllers: bool = False) -> None:
        self._folder = folder
        self._controllers = controllers
        self._running = ExitStack()
        self.kubeconfig = folder / "kubeconfig"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def kubectl(self, *arguments: str | Path, text: str | None = None) -> str:
        """Run kubectl and return what it prints; raises Refused where it fails or is warned."""
        program = toolchain.folder() / "kubectl"
        command = [program, "--kubeconfig", self.kubeconfig, "--warnings-as-errors", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "Warning" in done.stderr:
            raise Refused(done.stderr.strip())
        return done.stdout

    def get(self, *arguments: str | Path) -> Any:
        """Return what `kubectl get ...` finds, as JSON."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def create(self, resource: Mapping[str, Any], *arguments: str) -> Any:
        """Create one object; with "--dry-run=server" it is only judged."""
        made = self.kubectl(
            "create", "--filename=-", "--output=json", *arguments, text=json.dumps(resource)
        )
        return json.loads(made)

    def apply(self, manifests: str) -> list[dict[str, Any]]:
        """Apply resources on the server's side and return them as they are then."""
        options = ("--server-side", "--validate=strict", "--filename=-", "--output=json")
        return list(_objects(self.kubectl("apply", *options, text=manifests)))

    def _start(self) -> None:
        etcd, peer, api = _free_ports(3)
        programs = toolchain.folder()
        self._run(
            programs / "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        )
        key, public = self._folder / "accounts.key", self._folder / "accounts.pub"
        _openssl("genpkey", "-algorithm", "RSA", "-out", key)
        _openssl("pkey", "-in", key, "-pubout", "-out", public)
        token = secrets.token_hex(16)
        (self._folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
        self._run(
            programs / "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={api}",
            f"--cert-dir={self._folder / 'certificates'}",
            f"--token-auth-file={self._folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            f"--service-account-issuer=https://127.0.0.1:{api}",
            f"--service-account-key-file={public}",
            f"--service-account-signing-key-file={key}",
            "--endpoint-reconciler-type=none",
        )
        server = f"https://127.0.0.1:{api}"
        self._write_kubeconfig(server, token)
        self._await_ready()
        if self._controllers:
            self._run(
                programs / "kube-controller-manager",
                f"--kubeconfig={self.kubeconfig}",
                f"--service-account-private-key-file={key}",
                "--leader-elect=false",
                "--secure-port=0",
            )

    def _write_kubeconfig(self, server: str, token: str) -> None:
        # The certificate is one that the server has just made for itself.
        cluster = {"server": server, "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
            "current-context": "test",
        }
        self.kubeconfig.write_text(json.dumps(config))

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self.kubectl("get", "--raw", "/readyz")
                return
            except Refused as error:
                if time.monotonic() > deadline:
                    words = (self._folder / "kube-apiserver.log").read_text()[-2000:]
                    raise TimeoutError(f"{error}\n{words}") from error

    def _run(self, program: Path, *arguments: str) -> None:
        with (self._folder / f"{program.name}.log").open("wb") as log:
            # It ends with this process, also when this process is killed.
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, *arguments], stdout=log, stderr=log
            )
        self._running.callback(_end, process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _objects(output: str) -> Sequence[dict[str, Any]]:
    found = json.loads(output)
    return list(found["items"]) if found["kind"] == "List" else [found]


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
