"""Tests of what runs Aspine in containers: the seccomp profile by serving under it, the image's recipe, the manifests."""

import ctypes.util
import errno
import json
import pathlib
import re
import sys
import tempfile
import tomllib
import unittest
import urllib.request

import support
from support import ROOT, Server, check, missing, run

PROFILE = ROOT / "tuning/seccomp.json"
IO_URING = {"io_uring_setup", "io_uring_enter", "io_uring_register"}
# What Debian's containers-common gives podman; Docker's and containerd's are its relatives.
USUAL = pathlib.Path("/usr/share/containers/seccomp.json")


def confined(profile):
    if not ctypes.util.find_library("seccomp"):
        missing("libseccomp", "apt-get install libseccomp2")
    return [sys.executable, "-B", support.HERE / "confine.py", profile]


def allowed(profile):
    return {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"
            and not (rule.get("includes") or {}).get("caps") for name in rule["names"]}


class Seccomp(unittest.TestCase):
    def test_it_serves_under_the_profile(self):
        with Server("--unixsocket", f"{self.enterContext(tempfile.TemporaryDirectory())}/socket",
                    before=confined(PROFILE)) as server:
            status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
            self.assertRegex(status, r"Seccomp:\s+2")
            client, subscriber = server.connect(), server.connect()
            self.assertEqual(client.ask("SET a 1 EX 100"), "+OK")
            self.assertEqual(client.ask("GET a"), "1")
            self.assertEqual(subscriber.ask("SUBSCRIBE news"), ["subscribe", "news", 1])
            self.assertEqual(client.ask("PUBLISH news hello"), 1)
            self.assertEqual(subscriber.reply(), ["message", "news", "hello"])
            self.assertEqual(client.ask("SAVE"), "+OK")
            self.assertEqual(client.ask("ASPINE.LOAD"), "+OK")
            self.assertEqual(client.ask("GET a"), "1")
            self.assertIn("# Aspine", client.ask("INFO"))
            client.close()
            subscriber.close()

    def test_the_commands_run_under_it(self):
        with Server() as server:
            for command in ("save", "info", "ping"):
                code, said = run(*confined(PROFILE), support.BINARY, command, "--port", server.port)
                self.assertEqual(code, 0, said)
        _, said = run(*confined(PROFILE), support.BINARY, "doctor")
        self.assertRegex(said, r"(?m)^ok +io_uring ")

    def test_without_io_uring_it_says_what_denies_it_and_what_to_do(self):
        profile = json.loads(PROFILE.read_text())
        for rule in profile["syscalls"]:
            rule["names"] = [name for name in rule["names"] if name not in IO_URING]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(profile, file)
            file.flush()
            with self.assertRaisesRegex(AssertionError, "cannot use io_uring.*seccomp.*io_uring_setup"):
                Server(before=confined(file.name)).__enter__()

    def test_it_denies_what_it_should(self):
        call = "import ctypes; l = ctypes.CDLL(None, use_errno=True); print(l.{}, ctypes.get_errno())"
        # A user namespace, a packet socket, a vsock, clone3 (435 on every architecture), and what it takes to look into others.
        for what in ("unshare(0x10000000)", "socket(17, 3, 0)", "socket(40, 1, 0)", "syscall(435, 0, 0)", "ptrace(0, 0, 0, 0)",
                     "process_vm_readv(1, 0, 0, 0, 0, 0)", "mount(0, 0, 0, 0, 0)"):
            with self.subTest(what):
                command = [sys.executable, "-c", call.format(what)]
                self.assertEqual(run(*confined(PROFILE), *command), (0, f"-1 {errno.ENOSYS}\n"))

    def test_it_is_the_usual_default_with_io_uring_and_less(self):
        profile = json.loads(PROFILE.read_text())
        names = [name for rule in profile["syscalls"] for name in rule["names"] if name != "socket"]
        self.assertEqual(len(names), len(set(names)), "a name stands twice")
        self.assertLessEqual(IO_URING, set(names))
        # The form containerd and CRI-O read knows no conditions on capabilities and kernels.
        for rule in profile["syscalls"]:
            self.assertLessEqual(set(rule), {"comment", "names", "action", "args"})
        if not USUAL.exists():
            missing(str(USUAL), "apt-get install golang-github-containers-common")
        usual = allowed(json.loads(USUAL.read_text()))
        self.assertEqual(allowed(profile) - usual, IO_URING)


class Image(unittest.TestCase):
    dockerfile = ROOT / "scripts/Dockerfile"

    def stages(self):
        """The instructions of each stage, continued lines joined."""
        text = re.sub(r"\\\n\s*", "", self.dockerfile.read_text())
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        stages = []
        for line in lines:
            if line.startswith("FROM "):
                stages.append([])
            stages[-1].append(line)
        return stages

    def test_the_linter_has_nothing_to_say(self):
        self.assertEqual(run(check("hadolint"), self.dockerfile), (0, ""))

    def test_the_toolchain_is_the_one_the_crate_asks_for(self):
        version = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["rust-version"]
        self.assertIn(f"FROM rust:{version}-", self.stages()[0][0])

    def test_the_context_has_what_the_build_reads(self):
        """Cargo reads the manifest in a copy of what .dockerignore lets through, and finds every target it names."""
        kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        with tempfile.TemporaryDirectory() as context:
            for name in kept:
                run("cp", "-r", ROOT / name, pathlib.Path(context, name))
            metadata = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
            code, said = run(*metadata, cwd=context)
            self.assertEqual(code, 0, said)
            line = next(line for line in said.splitlines() if line.startswith("{"))
            targets = json.loads(line)["packages"][0]["targets"]
            self.assertIn("aspine", [target["name"] for target in targets if "bin" in target["kind"]])
            absent = [target["src_path"] for target in targets if not pathlib.Path(target["src_path"]).exists()]
            self.assertEqual(absent, [])

    def test_the_last_stage_has_the_libraries(self):
        """The base image has the packages that nothing installs; the program may need no others."""
        code, said = run("ldd", support.BINARY)
        self.assertEqual(code, 0, said)
        libraries = {pathlib.Path(path).name for path in re.findall(r"(/\S+)", said)}
        self.assertLessEqual(libraries, {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2",
                                         "ld-linux-aarch64.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1"})

    def test_it_is_no_root_and_says_how_it_is(self):
        last = self.stages()[-1]
        words = {line.split()[0]: line for line in last}
        self.assertEqual(words["USER"], "USER 5116:5116")
        self.assertIn('CMD ["aspine", "ping"]', words["HEALTHCHECK"])
        self.assertEqual(words["STOPSIGNAL"], "STOPSIGNAL SIGTERM")

    def test_what_it_runs_is_a_command_line(self):
        last = self.stages()[-1]
        entry, command = (json.loads(next(line for line in last if line.startswith(word + " [")).split(" ", 1)[1])
                          for word in ("ENTRYPOINT", "CMD"))
        self.assertEqual(entry, ["aspine"])
        # Without a key it refuses to serve all addresses, and names the ways to give one.
        code, said = run(support.BINARY, *command[:-4], "--data-dir", "/nowhere")
        self.assertEqual(code, 1, said)
        self.assertIn("--authkey-file", said)


class Kubernetes(unittest.TestCase):
    folder = ROOT / "scripts/kubernetes"

    def manifests(self):
        """Name of each manifest, in the order of the kustomization."""
        return re.findall(r"^  - (\S+\.yaml)$", (self.folder / "kustomization.yaml").read_text(), re.MULTILINE)

    def objects(self):
        """All objects by kind and name, by the parser of the schema tool's own environment."""
        python = check("python")
        script = "import json, sys, yaml; print(json.dumps([o for f in sys.argv[1:] for o in yaml.safe_load_all(open(f))]))"
        code, said = run(python, "-c", script, *(self.folder / name for name in self.manifests()))
        self.assertEqual(code, 0, said)
        return {(o["kind"], o["metadata"]["name"]): o for o in json.loads(said)}

    def test_every_file_is_listed(self):
        files = {path.name for path in self.folder.iterdir()} - {"kustomization.yaml"}
        self.assertEqual(set(self.manifests()), files)

    def test_they_fit_the_schemas(self):
        for version in ("1.28", "1.34"):
            files = [self.folder / name for name in self.manifests()]
            code, said = run(check("kubernetes-validate"), "--strict", "-k", version, *files)
            self.assertEqual(code, 0, said)
            self.assertEqual(said.count(" passed "), len(self.objects()), said)

    def test_a_planted_mistake_is_found(self):
        text = (self.folder / "statefulset.yaml").read_text().replace("readinessProbe:", "readynessProbe:")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            code, said = run(check("kubernetes-validate"), "--strict", "-k", "1.34", file.name)
            self.assertNotEqual(code, 0, said)

    def test_pods_get_cpus_of_their_own(self):
        """Guaranteed, with whole CPUs: what the static CPU manager asks for."""
        pod = self.objects()["StatefulSet", "aspine"]["spec"]["template"]["spec"]
        for container in pod["containers"]:
            self.assertEqual(container["resources"]["requests"], container["resources"]["limits"])
            self.assertRegex(container["resources"]["limits"]["cpu"], r"^[1-9][0-9]*$")

    def test_names_meet(self):
        objects = self.objects()
        stateful = objects["StatefulSet", "aspine"]["spec"]
        labels = stateful["template"]["metadata"]["labels"].items()
        container = stateful["template"]["spec"]["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        self.assertIn(("Service", stateful["serviceName"]), objects)
        for (kind, _), item in objects.items():
            if kind == "Service":
                self.assertLessEqual(item["spec"]["selector"].items(), labels)
                self.assertLessEqual({port["targetPort"] for port in item["spec"]["ports"]}, set(ports))
            elif kind in ("PodDisruptionBudget", "StatefulSet"):
                self.assertLessEqual(item["spec"]["selector"]["matchLabels"].items(), labels)
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(container[probe]["httpGet"]["port"], "admin")
        volumes = {volume["name"] for volume in stateful["template"]["spec"]["volumes"]}
        volumes |= {claim["metadata"]["name"] for claim in stateful["volumeClaimTemplates"]}
        self.assertEqual({mount["name"] for mount in container["volumeMounts"]}, volumes)
        settings = tomllib.loads(objects["ConfigMap", "aspine"]["data"]["aspine.toml"])
        self.assertEqual(settings["port"], ports["resp"])
        self.assertEqual(int(settings["admin-addr"].rsplit(":", 1)[1]), ports["admin"])

    def test_pods_serve_and_answer_their_probes(self):
        """By the settings and paths of the manifests, on loopback, in a directory instead of volumes."""
        objects = self.objects()
        container = objects["StatefulSet", "aspine"]["spec"]["template"]["spec"]["containers"][0]
        self.assertEqual(container["args"], ["server", "--config", "/etc/aspine/aspine.toml"])
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "authkey").write_text("secret\n")
        settings = objects["ConfigMap", "aspine"]["data"]["aspine.toml"].replace("/etc/aspine-auth", str(folder))
        admin = support.free_port()
        settings = re.sub(r'(?m)^admin-addr = .*$', f'admin-addr = "127.0.0.1:{admin}"', settings)
        self.assertIn(f":{admin}", settings)
        (folder / "aspine.toml").write_text(settings)
        with Server("--host", "127.0.0.1", "--config", folder / "aspine.toml") as server:
            client = server.connect()
            self.assertIn("NOAUTH", client.ask("GET a"))
            self.assertEqual(client.ask("AUTH secret"), "+OK")
            client.close()
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                url = f"http://127.0.0.1:{admin}{container[probe]['httpGet']['path']}"
                with urllib.request.urlopen(url, timeout=support.DEADLINE_S) as answer:
                    self.assertEqual(answer.status, 200, probe)


if __name__ == "__main__":
    unittest.main()
