"""Header and section table of a flat file, checked: the twin of runtime/src/format/sections.cc, in the same order."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from ptq_core.flatfile import layout
from ptq_core.flatfile.refusal import FlatFileError


@dataclass(frozen=True)
class Header:
    """What the header says; ``is_newer`` if by a minor version that this reader does not know all of."""

    version: tuple[int, int]
    section_count: int
    targets: int
    producer: str

    @property
    def is_newer(self) -> bool:
        """True if entries may be longer and bits unknown."""
        return self.version[1] > layout.VERSION_MINOR

    @property
    def writer(self) -> str:
        """For messages about what this reader does not know: version and tool."""
        return f"format {self.version[0]}.{self.version[1]}, written by '{self.producer}'"


@dataclass(frozen=True)
class Section:
    """The bytes of a section, of ``count`` entries."""

    data: memoryview
    count: int
    entry_size: int


def read_header(data: memoryview) -> Header:
    """Check the header against the file's size and content."""
    if len(data) < layout.HEADER.size:
        raise FlatFileError(
            "file size",
            f"{len(data)} bytes",
            f"the header alone has {layout.HEADER.size}; the file is truncated",
        )
    (magic, major, minor, header_size, file_size, crc, count, targets, reserved, producer) = (
        layout.HEADER.unpack_from(data)
    )
    if magic != layout.MAGIC:
        raise FlatFileError("magic", f"{magic!r}", f"a flat file begins with {layout.MAGIC!r}")
    writer = _printable(producer)
    if major != layout.VERSION_MAJOR:
        raise FlatFileError(
            "version",
            f"{major}.{minor}, written by '{writer}'",
            f"this reader knows {layout.VERSION_MAJOR}.x",
        )
    if header_size != layout.HEADER.size:
        raise FlatFileError("header_size", f"{header_size}", f"it is {layout.HEADER.size}")
    if file_size != len(data):
        raise FlatFileError(
            "file_size",
            f"{file_size}, the file has {len(data)} bytes",
            "file_size is the size of the file; a shorter file is truncated",
        )
    actual = zlib.crc32(data[layout.CRC_BEGIN :])
    if crc != actual:
        raise FlatFileError(
            "crc32", f"{crc:#010x}, the content gives {actual:#010x}", "the checksum matches the content"
        )
    if not 1 <= count <= layout.MAX_SECTIONS:
        raise FlatFileError("section_count", f"{count}", f"1 … {layout.MAX_SECTIONS}")
    known = sum(layout.TARGETS.values())
    if targets == 0 or (minor <= layout.VERSION_MINOR and targets & ~known):
        raise FlatFileError("targets", f"{targets:#x}", "at least one bit, and only known bits, are set")
    if reserved:
        raise FlatFileError("header reserved", f"{reserved}", "reserved fields are 0")
    text, _, padding = producer.partition(b"\0")
    try:
        name = text.decode()
    except UnicodeDecodeError:
        name = None
    if name is None or producer[-1] != 0 or any(padding):
        raise FlatFileError("producer", f"{producer!r}", "UTF-8, padded with NUL")
    return Header((major, minor), int(count), int(targets), name)


def read_sections(data: memoryview, header: Header) -> dict[bytes, Section]:
    """The known sections of the file by kind: all but META are there, none overlaps, gaps are zero."""
    table_end = layout.HEADER.size + header.section_count * layout.SECTION.size
    if table_end > len(data):
        raise FlatFileError(
            "section_count", f"{header.section_count}", "the section table lies inside the file"
        )
    kinds: dict[bytes, int] = {}
    found: dict[bytes, Section] = {}
    ranges = []
    for i in range(header.section_count):
        fields = layout.SECTION.unpack_from(data, layout.HEADER.size + i * layout.SECTION.size)
        kind, _, offset, size, count, entry_size = fields
        if kind in kinds:
            raise FlatFileError(
                f"section {i} kind", f"the same as that of section {kinds[kind]}", "no kind twice"
            )
        kinds[kind] = i
        _check_section(f"section {i}", fields, table_end, header, len(data))
        ranges.append((offset, size, kind))
        if kind in layout.SECTIONS:
            found[kind] = Section(data[offset : offset + size], count, entry_size)
    for kind in layout.SECTIONS:
        if kind not in found and kind not in layout.OPTIONAL_SECTIONS:
            raise FlatFileError(
                "section table", f"section {kind.decode()} is missing", "all sections but META are present"
            )
    _check_gaps(data, table_end, sorted(ranges, key=lambda place: place[:2]))
    _check_strings(found[b"STRS"].data)
    if found[b"PLAN"].count != 1:
        raise FlatFileError("section 'PLAN' count", f"{found[b'PLAN'].count}", "exactly one")
    return found


def _check_section(
    where: str, fields: tuple[bytes, int, int, int, int, int], table_end: int, header: Header, file_size: int
) -> None:
    kind, flags, offset, size, count, entry_size = fields
    label = f"{where} '{_printable(kind)}'"
    if flags & ~layout.SECTION_REQUIRED:
        raise FlatFileError(f"{label} flags", f"{flags:#x}", "only bit 0 is defined")
    if offset % layout.ALIGNMENT or not table_end <= offset <= file_size:
        raise FlatFileError(
            f"{label} offset", f"{offset}", f"a multiple of {layout.ALIGNMENT} in {table_end} … {file_size}"
        )
    if size > file_size - offset:
        raise FlatFileError(
            f"{label} size", f"{size} bytes at {offset}", f"inside the file's {file_size} bytes"
        )
    if entry_size != 1 and size != count * entry_size:
        raise FlatFileError(
            f"{label} size", f"{size} bytes for {count} entries of {entry_size}", "size is count · entry_size"
        )
    known = layout.SECTIONS.get(kind)
    if known is None:
        if flags & layout.SECTION_REQUIRED:
            raise FlatFileError(
                f"{where} kind",
                f"required section '{_printable(kind)}' is unknown ({header.writer})",
                "a reader knows every required section",
            )
        return
    exact = known == 1 or not header.is_newer
    if entry_size != known if exact else entry_size < known:
        raise FlatFileError(f"{label} entry_size", f"{entry_size}", f"{known}")
    if known == 1 and count != (0 if kind == b"WGTS" else size):
        raise FlatFileError(f"{label} count", f"{count}", "the number of bytes, 0 for WGTS")


def _check_gaps(data: memoryview, table_end: int, ranges: list[tuple[int, int, bytes]]) -> None:
    """``ranges``: (offset, size, kind) of all sections, in this order."""
    end = table_end
    for begin, size, kind in [*ranges, (len(data), 0, b"")]:
        if begin < end:
            raise FlatFileError(
                f"section '{_printable(kind)}' offset",
                f"{begin}, the section before it ends at {end}",
                "sections do not overlap",
            )
        if any(data[end:begin]):
            raise FlatFileError(
                "gap between sections",
                f"bytes {end} … {begin} are not all 0",
                "gaps between sections are zero",
            )
        end = begin + size


def _check_strings(strings: memoryview) -> None:
    if len(strings) and strings[-1] != 0:
        raise FlatFileError("section 'STRS'", f"the last byte is {strings[-1]}", "its last byte is NUL")
    try:
        str(strings, "utf-8")
    except UnicodeDecodeError as error:
        raise FlatFileError(
            "section 'STRS'", f"byte {error.start} is not UTF-8", "strings are UTF-8"
        ) from None


def _printable(text: bytes) -> str:
    """ASCII up to the first NUL, for messages about a file that is not to be believed."""
    return "".join(chr(c) if 0x20 <= c < 0x7F else "?" for c in text.split(b"\0")[0])
