"""nDPI asked packet by packet: what it calls a flow, and after how many packets.

The library comes with the wheel of nfstream, which exports all of it.  Sizes and offsets are those
that the wheel's own declarations say; the functions are those of nDPI 5 (`ndpi_api.h`), and another
version is refused: called with the wrong arguments it would not fail, but lie.

An engine remembers addresses over flows (its LRU caches), and calls a flow by what another one of
the same server was: use a fresh one for every tunnel.  This file refuses to interpret labels.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from circumtest.appearance import Named
from circumtest.detect.frames import Flow, Frame
from circumtest.errors import EnvironmentUnfit

KNOWN = "5."
"""The version whose functions are declared here."""
HEURISTICS = (("tls", "dpi.heuristics", "0x07"), ("openvpn", "dpi.heuristics", "0x01"))
"""What nDPI leaves off by itself, with the values that its own reader gives it (`ndpiReader.c`):
TLS and OpenVPN in disguise, by the look of their exchanges."""

_REMEDY = "pip install 'circumtest[ndpi]'"


def version() -> str:
    """The engine's own, such as "5.0.0".  Raises EnvironmentUnfit when there is none to be used."""
    return _load()[1]


class Engine:
    """A detection module and the flows that it was shown.  Made by `engine`."""

    def __init__(self, lib: Any, ffi: Any, module: int) -> None:
        self._lib, self._module = lib, module
        self._size = ffi.sizeof("struct ndpi_flow_struct")
        self._confidence = ffi.offsetof("struct ndpi_flow_struct", "confidence")
        self._flows: dict[Flow, ctypes.Array[ctypes.c_char]] = {}
        self._packets: dict[Flow, int] = {}
        self._named: dict[Flow, Named] = {}

    def see(self, frame: Frame) -> None:
        """Show it the next packet, in order of time."""
        flow = frame.flow
        if flow not in self._flows:
            self._flows[flow] = ctypes.create_string_buffer(self._size)
        self._packets[flow] = self._packets.get(flow, 0) + 1
        found = self._lib.ndpi_detection_process_packet(
            self._module, self._flows[flow], frame.ip, len(frame.ip), int(frame.at * 1000), None
        )
        if label := self._label(found):
            before = self._named.get(flow)
            packet = before.packet if before else self._packets[flow]
            self._named[flow] = Named(label, packet, self._how(flow))

    def named(self, flow: Flow) -> Named:
        """What a flow is called now that no more of it comes."""
        if flow not in self._named and flow in self._flows:
            guessed = self._lib.ndpi_detection_giveup(self._module, self._flows[flow])
            if label := self._label(guessed):
                self._named[flow] = Named(label, 0, self._how(flow))
        return self._named.get(flow, Named())

    def forget(self) -> None:
        """Give back what the library allocated for its flows."""
        for buffer in self._flows.values():
            self._lib.ndpi_free_flow_data(buffer)
        self._flows.clear()

    def _label(self, found: Any) -> str:
        """Master and application, each once; "" for neither."""
        parts = [self._word(number) for number in (found.master, found.app) if number]
        return ".".join(dict.fromkeys(parts))

    def _word(self, number: int) -> str:
        name: bytes = self._lib.ndpi_get_proto_name(self._module, number)
        return name.decode("ascii", "replace")

    def _how(self, flow: Flow) -> str:
        number = ctypes.c_int.from_buffer(self._flows[flow], self._confidence).value
        name: bytes = self._lib.ndpi_confidence_get_name(number)
        return name.decode("ascii", "replace")


@contextmanager
def engine(*, heuristics: bool = False) -> Iterator[Engine]:
    """A fresh engine that has seen nothing.  Raises EnvironmentUnfit when there is none here."""
    lib, _, ffi = _load()
    module = lib.ndpi_init_detection_module(None)
    if not module:
        raise EnvironmentUnfit("nDPI could not be started", "free some memory")
    asked = None
    try:
        for setting in HEURISTICS if heuristics else ():
            if lib.ndpi_set_config(module, *(word.encode() for word in setting)):
                raise EnvironmentUnfit(f"nDPI does not know {' '.join(setting)}", _REMEDY)
        lib.ndpi_finalize_initialization(module)
        asked = Engine(lib, ffi, module)
        yield asked
    finally:
        if asked:
            asked.forget()
        lib.ndpi_exit_detection_module(module)


def _load() -> tuple[Any, str, Any]:
    """The library with its functions declared, its version, and the wheel's declarations."""
    try:
        import _lib_engine
    except ImportError:
        raise EnvironmentUnfit("nDPI is not installed", _REMEDY) from None
    ffi = _lib_engine.ffi
    lib: Any = ctypes.CDLL(_lib_engine.__file__)
    lib.ndpi_revision.restype = ctypes.c_char_p
    revision = lib.ndpi_revision().decode("ascii", "replace")
    number: str = revision.partition("-")[0]
    flow = ffi.sizeof("struct ndpi_flow_struct")
    if not number.startswith(KNOWN) or lib.ndpi_detection_get_sizeof_ndpi_flow_struct() != flow:
        raise EnvironmentUnfit(f"nDPI {number} is not the one known here, {KNOWN}x", _REMEDY)
    _declare(lib, ffi.sizeof("struct ndpi_proto"))
    return lib, number, ffi


def _declare(lib: Any, size: int) -> None:
    """What the functions take and give; a found protocol begins with its two numbers."""

    class Found(ctypes.Structure):
        _fields_ = (
            ("master", ctypes.c_uint16),
            ("app", ctypes.c_uint16),
            ("rest", ctypes.c_uint8 * (size - 4)),
        )

    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    u16, u64 = ctypes.c_uint16, ctypes.c_uint64
    for name, gives, takes in (
        ("ndpi_init_detection_module", pointer, (pointer,)),
        ("ndpi_set_config", ctypes.c_int, (pointer, text, text, text)),
        ("ndpi_finalize_initialization", ctypes.c_int, (pointer,)),
        ("ndpi_exit_detection_module", None, (pointer,)),
        ("ndpi_detection_process_packet", Found, (pointer, pointer, text, u16, u64, pointer)),
        ("ndpi_detection_giveup", Found, (pointer, pointer)),
        ("ndpi_free_flow_data", None, (pointer,)),
        ("ndpi_get_proto_name", text, (pointer, u16)),
        ("ndpi_confidence_get_name", text, (ctypes.c_int,)),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = gives, takes
