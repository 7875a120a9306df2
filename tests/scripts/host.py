"""Tests of what tunes a machine: tuning/cpus.sh on a tree that only looks like one, the sysctl file, the unit file."""

import os
import pathlib
import re
import tempfile
import unittest

from support import BINARY, ROOT, run, tool

CPUS = ROOT / "tuning/cpus.sh"
UNIT = ROOT / "tuning/aspine.service"


class Cpus(unittest.TestCase):
    """A machine of eight CPUs, three interrupts, one of which stays where it is, and cgroups without systemd."""

    def setUp(self):
        self.root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.files = {
            "proc/irq/default_smp_affinity": "ff",
            "proc/irq/4/smp_affinity_list": "0-7",
            "proc/irq/31/smp_affinity_list": "3",
            "proc/irq/32/smp_affinity_list": "0-1,6-7",
            "sys/devices/system/cpu/online": "0-7",
            "sys/devices/virtual/workqueue/cpumask": "ff",
            "sys/fs/cgroup/system.slice/cpuset.cpus": "",
            "sys/fs/cgroup/user.slice/cpuset.cpus": "0-7",
            "sys/fs/cgroup/aspine.slice/cpuset.cpus": "",
        }
        for cpu in range(8):
            self.files[f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"] = "powersave"
        for name, text in self.files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    def cpus(self, *words, **options):
        return run(CPUS, "--root", self.root, *words, **options)

    def changed(self):
        """What is in the files that are not as they were."""
        now = {name: (self.root / name).read_text().strip() for name in self.files}
        return {name: text for name, text in now.items() if text != self.files[name]}

    expected = {
        "proc/irq/default_smp_affinity": "c3",
        "proc/irq/4/smp_affinity_list": "0-1,6-7",
        "proc/irq/31/smp_affinity_list": "0-1,6-7",
        "sys/devices/virtual/workqueue/cpumask": "c3",
        "sys/fs/cgroup/system.slice/cpuset.cpus": "0-1,6-7",
        "sys/fs/cgroup/user.slice/cpuset.cpus": "0-1,6-7",
        "sys/fs/cgroup/aspine.slice/cpuset.cpus": "2-5",
    } | {f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor": "performance" for cpu in range(2, 6)}

    def test_by_itself_it_changes_nothing_and_says_what_it_would_do(self):
        code, said = self.cpus("2-5")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.changed(), {})
        self.assertFalse((self.root / "run").exists())
        for name, value in self.expected.items():
            self.assertIn(f"would write '{value}' to /{name} (now '{self.files[name]}')", said)
        self.assertNotIn("irq/32", said, "that one is elsewhere already")
        self.assertIn("nothing was changed; --apply does it", said)

    def test_apply_does_just_that_and_undo_puts_it_back(self):
        code, said = self.cpus("--apply", "2-5")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.changed(), self.expected)
        code, said = self.cpus("2,3,4,5")
        self.assertEqual((code, said.count("would")), (0, 0), said)
        # Another choice on top: undo goes back to the beginning all the same.
        code, said = self.cpus("--apply", "7,1")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.changed()["proc/irq/32/smp_affinity_list"], "0,2-6")
        self.assertEqual(self.changed()["proc/irq/default_smp_affinity"], "7d")
        code, said = self.cpus("--undo")
        self.assertEqual(code, 0, said)
        self.assertEqual(self.changed(), {})
        code, said = self.cpus("--undo")
        self.assertEqual((code, "nothing to undo" in said), (1, True), said)

    def test_what_the_kernel_refuses_stays_and_is_said(self):
        path = self.root / "proc/irq/31/smp_affinity_list"
        path.unlink()
        # Root may write to any file: something that nobody can write to.
        path.symlink_to("/proc/version")
        self.files.pop("proc/irq/31/smp_affinity_list")
        code, said = self.cpus("--apply", "2-5")
        self.assertEqual(code, 0, said)
        self.assertIn("/proc/irq/31/smp_affinity_list: the kernel refuses a change", said)
        self.assertIn("1 files kept their value", said)
        self.assertEqual(self.changed(), {name: value for name, value in self.expected.items() if "/31/" not in name})

    def test_where_systemd_runs_the_slices_are_its(self):
        (self.root / "run/systemd/system").mkdir(parents=True)
        fake = self.root / "bin/systemctl"
        fake.parent.mkdir()
        fake.write_text(f'#!/bin/sh\necho "$@" >>{self.root}/asked\n')
        fake.chmod(0o755)
        environment = os.environ | {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
        code, said = self.cpus("2-5", env=environment)
        self.assertIn("would run systemctl set-property --runtime system.slice AllowedCPUs=0-1,6-7", said)
        self.assertFalse((self.root / "asked").exists())
        code, said = self.cpus("--apply", "2-5", env=environment)
        self.assertEqual(code, 0, said)
        slices = ["system.slice", "user.slice", "init.scope"]
        asked = [f"set-property --runtime {name} AllowedCPUs=0-1,6-7" for name in slices]
        asked.append("set-property --runtime aspine.slice AllowedCPUs=2-5")
        self.assertEqual((self.root / "asked").read_text().splitlines(), asked)
        code, said = self.cpus("--undo", env=environment)
        self.assertEqual(code, 0, said)
        undone = [f"set-property --runtime {name} AllowedCPUs=" for name in ["aspine.slice", *reversed(slices)]]
        self.assertEqual((self.root / "asked").read_text().splitlines()[4:], undone)
        self.assertEqual(self.changed(), {})

    def test_large_machines(self):
        (self.root / "sys/devices/system/cpu/online").write_text("0-95\n")
        code, said = self.cpus("2-33,64-95")
        self.assertEqual(code, 0, said)
        self.assertIn("CPUs 2-33,64-95 for Aspine, 0-1,34-63 for all else", said)
        self.assertIn("would write 'fffffffc,00000003' to /proc/irq/default_smp_affinity", said)

    def test_lists_that_are_none_are_refused(self):
        for words, why in {
            ("x",): "is no list of CPUs",
            ("2-",): "is no list of CPUs",
            ("5-2",): "runs backwards",
            ("2-9",): "CPU 8-9 is not online; there are 0-7",
            ("0-7",): "every CPU there is",
            (): "tuning/cpus.sh",
            ("--apply",): "tuning/cpus.sh",
            ("1", "2"): "tuning/cpus.sh",
            ("--frobnicate", "1"): "tuning/cpus.sh",
        }.items():
            with self.subTest(words):
                code, said = self.cpus(*words)
                self.assertNotEqual(code, 0, said)
                self.assertIn(why, said)
        self.assertEqual(self.changed(), {})

    def test_this_machine_can_be_read(self):
        code, said = run(CPUS, "0")
        self.assertTrue(code == 0 and "for Aspine" in said or "every CPU there is" in said, said)


class Sysctl(unittest.TestCase):
    def settings(self):
        lines = (ROOT / "tuning/sysctl.conf").read_text().splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]

    def test_each_exists_or_is_marked_as_one_that_may_not(self):
        for line in self.settings():
            match = re.fullmatch(r"(-?)([a-z0-9_.]+) = ([0-9]+)", line)
            self.assertTrue(match, line)
            optional, name, _ = match.groups()
            path = pathlib.Path("/proc/sys", name.replace(".", "/"))
            self.assertTrue(path.exists() or optional, f"{name} does not exist here")

    def test_each_is_in_the_readme(self):
        text = (ROOT / "tuning/README.md").read_text()
        for line in self.settings():
            name = line.lstrip("-").split(" ")[0]
            self.assertIn(f"`{name}`", text)


class Unit(unittest.TestCase):
    systemd = "apt-get install systemd"

    def here(self):
        """The unit with the program where it is, for verify looks whether it is there."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        text = UNIT.read_text()
        self.assertIn("ExecStart=/usr/bin/aspine ", text)
        # The manual is installed by the package.
        text = text.replace("=/usr/bin/aspine ", f"={BINARY} ").replace("Documentation=man:aspine(1)\n", "")
        unit = folder / "aspine.service"
        unit.write_text(text)
        return unit

    def test_verify_has_nothing_to_say(self):
        code, said = run(tool("systemd-analyze", self.systemd), "verify", "--man=no", self.here())
        self.assertEqual((code, said), (0, ""))

    def test_verify_finds_a_planted_mistake(self):
        unit = self.here()
        unit.write_text(unit.read_text().replace("WatchdogSec=10s", "WatchdogSec=soon"))
        _, said = run(tool("systemd-analyze", self.systemd), "verify", "--man=no", unit)
        self.assertIn("Failed to parse sec value, ignoring: soon", said)

    def test_it_is_confined(self):
        """At most 1.5 of 10; what is left is the network, /proc/sys, and group-writable sockets."""
        code, said = run(tool("systemd-analyze", self.systemd), "security", "--offline=true", "--threshold=15", "--no-pager",
                         self.here())
        self.assertEqual(code, 0, said)

    def test_the_filter_lets_io_uring_through(self):
        text = UNIT.read_text()
        for name in ("io_uring_setup", "io_uring_enter", "io_uring_register", "sched_setaffinity"):
            self.assertRegex(text, rf"(?m)^SystemCallFilter=[^~\n]*\b{name}\b")

    def test_each_tuning_line_is_in_the_readme(self):
        text = (ROOT / "tuning/README.md").read_text()
        for name in ("CPUAffinity", "NUMAPolicy", "LimitMEMLOCK", "LimitNOFILE", "SystemCallFilter", "WatchdogSec"):
            self.assertIn(f"`{name}", text)


if __name__ == "__main__":
    unittest.main()
