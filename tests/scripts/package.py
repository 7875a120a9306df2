"""Tests of scripts/package.sh: what is in the package, that it runs from there, and its life on a machine with systemd."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import support
from support import HERE, ROOT, Server, missing, run, tool

PROGRAM = "usr/bin/aspine"
# The script's code where no machine can be made.
NO_MACHINE = 77
MACHINE_S = 240


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name in ("dpkg-deb", "dpkg-shlibdeps", "strip"):
            tool(name, "apt-get install dpkg-dev binutils")
        cls.dir = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        # A build for tests is mostly what strip takes away: once is enough.
        cls.binary = cls.dir / "aspine"
        run("strip", "--strip-debug", "-o", cls.binary, support.BINARY)
        code, said = run(ROOT / "scripts/package.sh", "--binary", cls.binary, "--out", cls.dir)
        assert code == 0, said
        cls.deb = pathlib.Path(said.splitlines()[-1])
        cls.tree = cls.dir / "tree"
        run("dpkg-deb", "--raw-extract", cls.deb, cls.tree)

    def control(self):
        return dict(line.split(": ", 1) for line in (self.tree / "DEBIAN/control").read_text().splitlines() if ": " in line)

    def test_it_says_what_it_is(self):
        control = self.control()
        version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        self.assertEqual(control["Version"], version.replace("-", "~"))
        self.assertEqual(control["Package"], "aspine")
        # From which libc on is found out, not written down.
        self.assertRegex(control["Depends"], r"libc6 \(>= 2\.\d+\).*libgcc-s1")
        self.assertEqual(run("dpkg-deb", "--info", self.deb)[0], 0)

    def test_everything_is_where_it_belongs(self):
        code, said = run("dpkg-deb", "--contents", self.deb)
        self.assertEqual(code, 0, said)
        for path in (
            PROGRAM,
            "usr/lib/systemd/system/aspine.service",
            "etc/aspine/aspine.toml",
            "usr/share/aspine/cpus.sh",
            "usr/share/aspine/seccomp.json",
            "usr/share/bash-completion/completions/aspine",
            "usr/share/doc/aspine/README.md",
            "usr/share/doc/aspine/copyright",
            "usr/share/doc/aspine/docs/architecture/README.md",
            "usr/share/doc/aspine/docs/operations.md",
            "usr/share/doc/aspine/docs/plots/open-20k.svg",
            "usr/share/doc/aspine/examples/90-aspine.conf",
            "usr/share/doc/aspine/tuning/README.md",
            "usr/share/fish/vendor_completions.d/aspine.fish",
            "usr/share/man/man1/aspine.1.gz",
            "usr/share/zsh/vendor-completions/_aspine",
        ):
            self.assertRegex(said, rf"(?m)^-\S+ root/root +[1-9]\d* .* \./{re.escape(path)}$", "missing, empty, or not root's")
        self.assertEqual((self.tree / "DEBIAN/conffiles").read_text(), "/etc/aspine/aspine.toml\n")

    def test_the_program_runs_from_it(self):
        with Server(binary=self.tree / PROGRAM) as server:
            client = server.connect()
            self.assertEqual(client.ask("SET a 1"), "+OK")
            self.assertEqual(client.ask("GET a"), "1")
            client.close()

    def test_its_settings_are_settings(self):
        """With the places of a test instead of the system's, also the lines that are out of use as shipped."""
        text = (self.tree / "etc/aspine/aspine.toml").read_text()
        everything = re.sub(r'(?m)^#([a-z-]+ = .+)$', r"\1", text)
        everything = re.sub(r"(?m)^(authkey-file|cpus) = .*$", "", everything)
        for name, settings in {"as shipped": text, "with all of it": everything}.items():
            with self.subTest(name):
                for place in ("/var/lib/aspine", "/var/log/aspine", "/run/aspine"):
                    settings = settings.replace(place, str(self.dir))
                settings = re.sub(r"(?m)^cores = .*$", "cores = 1", settings)
                path = self.dir / "settings.toml"
                path.write_text(settings)
                code, said = run(self.tree / PROGRAM, "server", "--config", path, "--check", "--port", "0")
                self.assertEqual(code, 0, said)

    def test_the_same_sources_make_the_same_package(self):
        code, said = run(ROOT / "scripts/package.sh", "--binary", self.binary, "--out", self.dir / "again")
        self.assertEqual(code, 0, said)
        self.assertEqual(pathlib.Path(said.splitlines()[-1]).read_bytes(), self.deb.read_bytes())

    def test_its_life_on_a_machine(self):
        """tests/scripts/installed.sh, under a systemd of its own."""
        folder = self.dir / "machine"
        folder.mkdir()
        shutil.copy(self.deb, folder / "aspine.deb")
        shutil.copy(HERE / "installed.sh", folder / "run")
        machine = subprocess.Popen([HERE / "machine.sh", folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            said, _ = machine.communicate(timeout=MACHINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(machine.pid, signal.SIGKILL)
            said, _ = machine.communicate()
        if machine.returncode == NO_MACHINE:
            missing("a machine of its own", said.strip())
        output = folder / "output"
        told = output.read_text() if output.exists() else said
        self.assertEqual(machine.returncode, 0, told)
        self.assertTrue(told.endswith("all of it went well\n"), told)


if __name__ == "__main__":
    unittest.main()
