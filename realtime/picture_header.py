"""What the first bytes of a picture file say: its format, its size, and how it is turned.

The decoder knows formats by these bytes, too; a file's name may say something else.
"""

from __future__ import annotations

import math
import re
import struct

HEAD = 64  # bytes that are enough to tell the format
MOST_MISSING = 1 << 26  # bytes of a chunk in a file that was cut off
STARTS = {  # the first bytes of formats that OpenCV decodes
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "Sun raster": (b"\x59\xa6\x6a\x95",),
    "Radiance": (b"#?RADIANCE", b"#?RGBE"),
}
NETPBM = re.compile(rb"P[1-6Ff]\s+[#\d]|P7\n")
NETPBM_SIZE = re.compile(rb"P[1-6Ff]\s+(?:#[^\n]*\n\s*)*(\d{1,9})\s+(\d{1,9})\s")
RADIANCE = re.compile(rb"\n[-+]Y (\d{1,9}) [-+]X (\d{1,9})\n")
# Brands of the files in which HEIC and AVIF lie; the first that a file names decides.
BRANDS = {b"avif": "AVIF", b"avis": "AVIF"}
BRANDS |= dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIC")


def format_of(head: bytes) -> str | None:
    """The format of a picture file by its first HEAD bytes or more; None where it is none's."""
    for name, starts in STARTS.items():
        if head.startswith(starts):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4], "big"), HEAD)
        brands = [head[8:12], *(head[at : at + 4] for at in range(16, length, 4))]
        return next((BRANDS[brand] for brand in brands if brand in BRANDS), None)
    return "Netpbm" if NETPBM.match(head) else None


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height, px, as a picture file says them; None where that isn't understood.

    Args:
        data: The file.
    """
    read = SIZES.get(format_of(data[:HEAD]) or "")
    try:
        return read(data) if read else None
    except (struct.error, IndexError):  # it ends too early
        return None


def claims_too_much(data: bytes) -> bool:
    """Whether a PNG file's chunk claims far more bytes than there are: OpenCV allocates them.

    Args:
        data: The file.
    """
    at = len(STARTS["PNG"][0])
    while data.startswith(STARTS["PNG"]) and at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length > max(len(data) - at, MOST_MISSING):
            return True
        at += 12 + length
    return False


def turned(data: bytes) -> tuple[int, int | None]:
    """How an AVIF picture is to be turned for showing, which OpenCV leaves to its caller.

    Args:
        data: The file.

    Returns:
        By how many quarters of a turn anticlockwise; then cv2.flip's code, or None for no flip.
    """
    properties = _properties(data)
    quarters, axis = properties.get(b"irot"), properties.get(b"imir")
    # Axis 0 exchanges top and bottom, as cv2.flip's 0 does, and 1 left and right.
    return (quarters[0] & 3 if quarters else 0), (axis[0] & 1 if axis else None)


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # fill, or without length
            at += 1 if marker == 0xFF else 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return width, height
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _bmp(data: bytes) -> tuple[int, int] | None:
    if struct.unpack_from("<I", data, 14)[0] == 12:  # of OS/2
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


def _tiff(data: bytes) -> tuple[int, int] | None:
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):  # BigTIFF
        return None
    start = struct.unpack_from(order + "I", data, 4)[0]
    found = {}
    for i in range(struct.unpack_from(order + "H", data, start)[0]):
        at = start + 2 + 12 * i
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in (256, 257):
            found[tag] = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, at + 8)[0]
    return (found[256], found[257]) if len(found) == 2 else None


def _iso(data: bytes) -> tuple[int, int] | None:
    found = re.finditer(b"ispe", data[:65536])
    sizes = [struct.unpack_from(">II", data, each.end() + 4) for each in found]
    return max(sizes, key=math.prod, default=None)  # tiles have sizes, too


def _jpeg_2000(data: bytes) -> tuple[int, int] | None:
    at = data.find(b"ihdr", 0, 4096)
    if at >= 0:
        height, width = struct.unpack_from(">II", data, at + 4)
        return width, height
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    return right - left, bottom - top


def _netpbm(data: bytes) -> tuple[int, int] | None:
    found = NETPBM_SIZE.match(data[:4096])
    return (int(found[1]), int(found[2])) if found else None


def _radiance(data: bytes) -> tuple[int, int] | None:
    found = RADIANCE.search(data, 0, 4096)
    return (int(found[2]), int(found[1])) if found else None


def _properties(data: bytes) -> dict[bytes, bytes]:
    """The item properties of a HEIF file, the first of each kind."""
    at = data.find(b"ipco", 0, 65536)
    if at < 4:
        return {}
    end = min(at - 4 + int.from_bytes(data[at - 4 : at], "big"), len(data))
    found: dict[bytes, bytes] = {}
    at += 4
    while at + 8 <= end:
        length = int.from_bytes(data[at : at + 4], "big")
        if length < 8:
            break
        found.setdefault(data[at + 4 : at + 8], data[at + 8 : at + length])
        at += length
    return {name: value for name, value in found.items() if value}


SIZES = {
    "JPEG": _jpeg,
    "PNG": lambda data: struct.unpack_from(">II", data, 16),
    "GIF": lambda data: struct.unpack_from("<HH", data, 6),
    "WebP": _webp,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _iso,
    "HEIC": _iso,
    "JPEG 2000": _jpeg_2000,
    "Netpbm": _netpbm,
    "Sun raster": lambda data: struct.unpack_from(">II", data, 4),
    "Radiance": _radiance,
}
