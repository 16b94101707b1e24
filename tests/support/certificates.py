"""Authorities, and certificates that they sign, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from routerd.config.pair import Files

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(directory: Path, name: str = "ca") -> Path:
    """Make an authority; return its file."""
    path = directory / f"{name}.pem"
    _openssl("req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}", "-keyout", _key(path), "-out", path)
    return path


def signed(ca: Path, name: str, days: int = 2, usage: str = "serverAuth,clientAuth") -> Files:
    """Have an authority sign a certificate beside it, which is valid for so many days from now on."""
    path, request, extensions = ca.with_name(f"{name}.pem"), ca.with_name(f"{name}.csr"), ca.with_name(f"{name}.ext")
    extensions.write_text(f"extendedKeyUsage={usage}\n")
    _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", _key(path), "-out", request)
    by = ("-CA", ca, "-CAkey", _key(ca), "-CAcreateserial", "-days", str(days), "-extfile", extensions)
    _openssl("x509", "-req", "-in", request, *by, "-out", path)
    return Files(str(path), str(_key(path)), str(ca))


def _key(path: Path) -> Path:
    return path.with_suffix(".key")


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
