"""Runs a program that io_uring is forbidden to, as containers do it.

usage: without_io_uring.py PROGRAM ARGUMENT...
"""

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
EPERM = 1
# On every architecture but alpha's.
IO_URING_SETUP = 425
# struct sock_filter: code, jt, jf, k
LOAD_NUMBER = struct.pack("HBBI", 0x20, 0, 0, 0)
IF_EQUAL = struct.pack("HBBI", 0x15, 0, 1, IO_URING_SETUP)
FORBID = struct.pack("HBBI", 0x06, 0, 0, SECCOMP_RET_ERRNO | EPERM)
ALLOW = struct.pack("HBBI", 0x06, 0, 0, SECCOMP_RET_ALLOW)

code = ctypes.create_string_buffer(LOAD_NUMBER + IF_EQUAL + FORBID + ALLOW)
# struct sock_fprog: as aligned as in C
program = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(code)))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in [
    (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0),
]:
    if libc.prctl(*map(ctypes.c_ulong, arguments)) != 0:
        sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
