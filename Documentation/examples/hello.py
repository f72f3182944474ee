#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""hello, in Python: libratman through ctypes makes an address, sends and receives."""
import ctypes
import os

Id = ctypes.c_uint8 * 32


class Recipient(ctypes.Structure):
    _fields_ = [("id", Id), ("is_namespace", ctypes.c_bool)]


class Letterhead(ctypes.Structure):
    _fields_ = [("sender", Id), ("to", Recipient), ("stream_size", ctypes.c_uint64)]


lib = ctypes.CDLL("libratman.so.0")
lib.ratman_strerror.restype = ctypes.c_char_p
lib.ratman_recv_read.restype = ctypes.c_ssize_t


def ratman(name, *args):
    result = getattr(lib, "ratman_" + name)(*args)
    if result < 0:
        raise OSError(name + ": " + lib.ratman_strerror(result).decode())
    return result


r, send, recv = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
me, token, head = Id(), Id(), Letterhead()
ratman("open", ctypes.byref(r), os.environ.get("RATMAN_BIND", "127.0.0.1:5852").encode(), 10000)
ratman("addr_create", r, b"hello.py", me, token)
ratman("addr_up", r, me, token)
text = "Hello from Python".encode()
ratman("send_begin", r, me, token, ctypes.byref(Recipient(me, False)), ctypes.c_size_t(1), ctypes.byref(send))
ratman("send_write", send, text, ctypes.c_size_t(len(text)))
ratman("send_end", send)
ratman("recv_begin", r, me, token, None, ctypes.c_uint32(1), ctypes.byref(recv))
ratman("recv_next", recv, ctypes.byref(head), 10000)
buf = ctypes.create_string_buffer(head.stream_size)
n = ratman("recv_read", recv, buf, ctypes.c_size_t(len(buf)))
print(buf.raw[:n].decode())
lib.ratman_recv_end(recv)
ratman("addr_destroy", r, me, token, ctypes.c_bool(True))
lib.ratman_close(r)
