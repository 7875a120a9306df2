"""Runs a command under a seccomp profile, as a container's runtime would load it.

    confine.py PROFILE COMMAND ...

Reads the form that Docker, containerd and CRI-O share, and has libseccomp make the filter, as they do.
"""

import ctypes
import ctypes.util
import json
import os
import sys

ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000, "SCMP_ACT_KILL_PROCESS": 0x80000000}
OPERATORS = ["", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
UNKNOWN = -1
EPERM = 1


class Compare(ctypes.Structure):
    _fields_ = [("index", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def library():
    lib = ctypes.CDLL(ctypes.util.find_library("seccomp") or "libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    lib.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    lib.seccomp_load.argtypes = [ctypes.c_void_p]
    return lib


def action(name, errno):
    return ACTIONS[name] | (errno if name == "SCMP_ACT_ERRNO" else 0)


def must(result, what):
    if result < 0:
        sys.exit(f"confine.py: {what}: {os.strerror(-result)}")


def load(profile):
    """Holds for this process from here on. Names that this machine's kind has no number for are passed over, as by runtimes."""
    lib = library()
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet", EPERM))
    context = lib.seccomp_init(default)
    for rule in profile["syscalls"]:
        compares = [
            Compare(arg["index"], OPERATORS.index(arg["op"].removeprefix("SCMP_CMP_")), arg["value"], arg.get("valueTwo", 0))
            for arg in rule.get("args") or []
        ]
        array = (Compare * len(compares))(*compares)
        what = action(rule["action"], rule.get("errnoRet", EPERM))
        for name in rule["names"]:
            number = lib.seccomp_syscall_resolve_name(name.encode())
            if number != UNKNOWN and what != default:
                must(lib.seccomp_rule_add_array(context, what, number, len(compares), array), name)
    must(lib.seccomp_load(context), "the filter was not taken")


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        load(json.load(file))
    os.execvp(sys.argv[2], sys.argv[2:])
