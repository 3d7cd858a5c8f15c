"""What the processor is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import cpu


def test_the_processors_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu.platform, "processor", lambda: "")
    monkeypatch.setattr(cpu.platform, "machine", lambda: "arm64")
    assert cpu.processor_name() == "arm64"
    cpu.INFO.write_text("processor\t: 0\nmodel name\t: AMD EPYC: 7\nmodel name\t: other\n")
    assert cpu.processor_name() == "AMD EPYC: 7"
