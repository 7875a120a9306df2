"""Tests of scripts/check_commits.sh: which histories pass, and which do not."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

CHECK = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/check_commits.sh"
BODY = "Why it is so."


class History:
    """A repository of its own."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *words):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        # Of the machine's settings and hooks nothing.
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        subprocess.run(["git", *who, *words], cwd=self.path, env=env, check=True, capture_output=True)

    def commit(self, subject, *bodies):
        texts = [word for text in (subject, *bodies) for word in ("-m", text)]
        self.git("commit", "--quiet", "--allow-empty", *texts)

    def add_check(self):
        (self.path / "scripts").mkdir(exist_ok=True)
        shutil.copy(CHECK, self.path / "scripts")
        self.git("add", ".")
        self.commit("Check the commits", BODY)

    def check(self):
        """The exit code, and what was said."""
        done = subprocess.run([self.path / "scripts" / CHECK.name], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr


class Commits(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.history = History(self.dir.name)
        self.history.commit("Begin without a body")
        self.history.add_check()

    def test_what_has_a_body_passes_and_what_was_before_does_not_matter(self):
        self.history.commit("Say why", BODY)
        self.assertEqual(self.history.check(), (0, ""))

    def test_no_body_fails_whoever_signed_it(self):
        for bodies in ([], ["Signed-off-by: a <a@example.com>"]):
            self.history.commit("Say nothing", *bodies)
            self.history.commit("Say why", BODY)
            code, said = self.history.check()
            self.assertEqual(code, 1)
            self.assertIn("Say nothing: no body", said)
            self.assertNotIn("Say why:", said)
            self.history.git("reset", "--quiet", "--hard", "HEAD~2")

    def test_a_merge_fails(self):
        self.history.git("checkout", "--quiet", "-b", "side")
        self.history.commit("Go aside", BODY)
        self.history.git("checkout", "--quiet", "main")
        self.history.commit("Go on", BODY)
        self.history.git("merge", "--quiet", "--no-ff", "-m", "Join them\n\n" + BODY, "side")
        code, said = self.history.check()
        self.assertEqual(code, 1)
        self.assertIn("Join them: a merge commit", said)

    def test_a_shallow_clone_is_checked_as_far_as_it_goes(self):
        self.history.commit("Say nothing")
        self.history.commit("Say why", BODY)
        for depth, code in ((1, 0), (2, 0), (3, 1)):
            with tempfile.TemporaryDirectory() as path:
                self.history.git("clone", "--quiet", f"--depth={depth}", f"file://{self.history.path}", f"{path}/clone")
                clone = object.__new__(History)
                clone.path = pathlib.Path(path, "clone")
                self.assertEqual(clone.check()[0], code, depth)

    def test_without_any_history_there_is_nothing_to_check(self):
        shutil.rmtree(self.history.path / ".git")
        code, said = self.history.check()
        self.assertEqual((code, said), (0, "no history here, so no commit to check\n"))
        self.history.git("init", "--quiet")
        self.assertEqual(self.history.check()[0], 0)


if __name__ == "__main__":
    unittest.main()
