"""Tests of scripts/compare: what is written of canned results, what is refused, and that nothing is left running."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parent.parent / "scripts/compare"
sys.path.insert(0, str(SCRIPTS))

import load
import main
import report
import sections
import servers

# A server of the memcached kind: answers `stats` with its own pid, and to anything else with OK.
FAKE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        for line in lines:
            pid = os.getpid() + (len(sys.argv) > 2)
            connection.sendall(b"STAT pid %d\\r\\nEND\\r\\n" % pid if line.startswith(b"stats") else b"OK\\r\\n")
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def fake_kind(extra="", name="fake"):
    return servers.Kind(name, f"{sys.executable} -c '{FAKE}' {{port}} {extra}", "memcached")


class Report(unittest.TestCase):
    def test_the_report_of_canned_results_is_the_expected_one(self):
        results = json.loads((HERE / "results.json").read_text())
        expected = HERE / "report.md"
        text = report.render(results)
        if os.environ.get("ASPINE_BLESS"):
            expected.write_text(text)
        self.assertEqual(text, expected.read_text(), "ASPINE_BLESS=1 writes it anew")

    def test_the_program_writes_it_from_what_is_there(self):
        with tempfile.TemporaryDirectory() as out:
            pathlib.Path(out, "results.json").write_text((HERE / "results.json").read_text())
            subprocess.run([sys.executable, "-B", str(SCRIPTS / "main.py"), "--report-only", "--out", out], check=True,
                           stdout=subprocess.DEVNULL)
            self.assertEqual(pathlib.Path(out, "report.md").read_text(), (HERE / "report.md").read_text())

    def row(self, better="more", **cells):
        cells = {name: {"why": runs} if isinstance(runs, str) else {"runs": runs} for name, runs in cells.items()}
        table = {**sections.table("Throughput", "operations/s", better, 0),
                 "rows": [{"name": "GET", "cells": cells}]}
        return report.render_table(table, list(cells))[-1]

    def test_a_lost_row_says_to_whom(self):
        lost = self.row(redis=[3, 3, 3], memcached=[1, 2, 3], aspine=[1, 1, 2])
        self.assertIn("loses to redis, memcached (ranges overlap)", lost)
        self.assertNotIn("loses", self.row(redis=[3, 3, 3], memcached="can't", aspine=[3, 3, 3]))
        self.assertIn("loses to redis", self.row("less", redis=[3], aspine=[4]))
        self.assertNotIn("loses", self.row("less", redis=[3], aspine=[2]))

    def test_what_a_server_lacks_stands_in_its_cell(self):
        self.assertIn("| saves nothing |", self.row(redis=[3], memcached="saves nothing", aspine=[3]))
        self.assertIn("| not measured |", self.row(redis=[3], memcached=[], aspine=[3]))

    def test_medians_ranges_and_ratios(self):
        self.assertEqual(self.row(redis=[2000, 1000, 9000], aspine=[5000, 3000, 4000]),
                         "| GET | 2 000 [1 000-9 000] | 4 000 [3 000-5 000] | 2.00 |  |")


    def test_the_page_has_medians_of_what_was_measured_in_full(self):
        results = json.loads((HERE / "results.json").read_text())
        results["facts"]["memory"] = "8 GiB"
        results["sections"]["open"]["tables"].append(
            {**results["sections"]["open"]["tables"][0], "title": "Details", "detail": True})
        text = report.page(results, "plots")
        self.assertIn("| 20k/s, p50 | 42 | 39 | 38 | 0.93 | 0.90 |  |", text)
        self.assertIn("(plots/open-20k.svg)", text)
        self.assertIn("memcached 1.6.18", text)
        for left_out in ("Targets", "[40", "Details"):
            self.assertNotIn(left_out, text)

    def test_the_page_is_written_between_its_marks_with_its_pictures(self):
        results = json.loads((HERE / "results.json").read_text())
        results["facts"]["memory"] = "8 GiB"
        with tempfile.TemporaryDirectory() as folder:
            page, out = pathlib.Path(folder, "page.md"), pathlib.Path(folder, "out")
            files = [plot["file"] for section in results["sections"].values() for plot in section.get("plots", [])]
            self.assertTrue(files)
            for file in files:
                (out / file).parent.mkdir(parents=True, exist_ok=True)
                (out / file).write_text("<svg/>")
            for text in ("no mark", "<!-- compare -->\n", "<!-- /compare -->\n<!-- compare -->\n"):
                page.write_text(text)
                with self.assertRaisesRegex(servers.Failed, "page.md: keep"):
                    main.write_page(page, out, results)
                self.assertEqual(page.read_text(), text)
            page.write_text("before\n<!-- compare -->\nold\n<!-- /compare -->\nafter\n")
            main.write_page(page, out, results)
            text = report.page(results, "plots")
            self.assertEqual(page.read_text(), f"before\n<!-- compare -->\n{text}<!-- /compare -->\nafter\n")
            for file in files:
                self.assertTrue((page.parent / "plots" / pathlib.Path(file).name).exists())

    def test_the_page_that_is_written_has_the_marks(self):
        text = main.PAGE.read_text()
        for mark in main.MARKS:
            self.assertEqual(text.count(mark), 1)


class Turns(unittest.TestCase):
    def test_servers_take_turns(self):
        seen = []

        def run(server, repeat):
            seen.append((server, repeat))
            return repeat

        named = {name: object.__new__(servers.Server) for name in "abc"}
        cells = sections.take_turns({**named, "d": "has none"}, 2, run)
        order = [(next(name for name in named if named[name] is server), repeat) for server, repeat in seen]
        self.assertEqual(order, [(name, repeat) for repeat in (0, 1) for name in "abc"])
        self.assertEqual(cells["a"], {"runs": [0, 1]})
        self.assertEqual(cells["d"], {"why": "has none"})

    def test_the_quick_rows_are_among_all(self):
        quick, full = sections.Plan(True, None), sections.Plan(False, None)
        names = [{name for name, _ in sections.loads(plan, 1)} for plan in (quick, full)]
        self.assertLess(names[0], names[1])
        self.assertEqual(len(names[1]), 18)
        self.assertGreaterEqual(full.repeats, 5)


class Loading(unittest.TestCase):
    def test_bulk_requests_are_whole(self):
        for protocol, deadline, first in (
                ("resp", None, b"*3\r\n$3\r\nSET\r\n$15\r\nbulk:0000000000\r\n$2\r\nvv\r\n*3"),
                ("resp", 1234, b"*5\r\n$3\r\nSET\r\n$15\r\nbulk:0000000000\r\n$2\r\nvv\r\n$4\r\nPXAT\r\n$4\r\n1234\r\n*5"),
                ("memcached", 5678, b"set bulk:0000000000 0 5 2\r\nvv\r\nset"),
        ):
            chunks = list(load.bulk_requests(protocol, 4500, b"vv", deadline))
            self.assertTrue(chunks[0][0].startswith(first), chunks[0][0][:90])
            self.assertEqual(sum(chunk.count(b"bulk:") for chunk, _ in chunks), 4500)
            self.assertEqual(sum(end.count(b"\r\n") for _, end in chunks), 4500)

    def test_a_wrong_reply_fails(self):
        server = servers.Server(fake_kind(), free_port(), os.devnull)
        try:
            with self.assertRaisesRegex(servers.Failed, "bulk loading failed"):
                load.bulk_load(server, 5000, b"vv")
        finally:
            server.stop()


class Servers(unittest.TestCase):
    def tearDown(self):
        servers.stop_all()

    def test_a_busy_port_is_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with self.assertRaisesRegex(servers.Failed, "in use.*--port-base"):
                servers.Server(fake_kind(), listener.getsockname()[1], os.devnull)

    def test_another_process_behind_the_port_is_noticed(self):
        with self.assertRaisesRegex(servers.Failed, "answers in place of"):
            servers.Server(fake_kind("other"), free_port(), os.devnull)

    def test_a_server_that_ends_at_once_is_told_of(self):
        with self.assertRaisesRegex(servers.Failed, "did not start"):
            servers.Server(servers.Kind("gone", f"{sys.executable} -c pass {{port}}"), free_port(), os.devnull)

    def test_a_command_line_is_filled_in(self):
        kind = servers.Kind("x", "sh {port} {cores} {cpus} {memory} {memory_mb}")
        self.assertEqual(kind.words(7, 2, 3 << 20), ["sh", "7", "2", "0,1", str(3 << 20), "3"])
        plain = servers.Kind("x", "sh {port}")
        for how in ({"cores": 2}, {"memory": 1 << 20}):
            with self.assertRaises(servers.Lacks):
                plain.words(7, **how)

    def test_servers_end_with_a_comparison_that_is_killed(self):
        port = free_port()
        script = (f"import sys; sys.path[:0] = [{str(SCRIPTS)!r}, {str(HERE)!r}]\n"
                  f"import compare, servers, time\n"
                  f"print(servers.Server(compare.fake_kind(), {port}, '/dev/null').process.pid, flush=True)\n"
                  "time.sleep(600)\n")
        with subprocess.Popen([sys.executable, "-B", "-c", script], stdout=subprocess.PIPE, text=True) as parent:
            pid = int(parent.stdout.readline())
            parent.send_signal(signal.SIGKILL)
            parent.wait()
        deadline = time.monotonic() + 20
        while self.is_running(pid):
            self.assertLess(time.monotonic(), deadline, "the server outlived the comparison")
            time.sleep(0.01)
        servers.refuse_busy(port)

    @staticmethod
    def is_running(pid):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except FileNotFoundError:
            return False


if __name__ == "__main__":
    unittest.main()
