"""Fetches what the tests of the HTML report need beside Python packages: a headless Chromium and the checker axe.

Both come as npm packages at fixed versions, their digests checked, into a cache folder of the user: nothing is installed,
no root is needed. A Chromium that is there already (named in PGOLF_CHROMIUM, or on the path) is taken instead. The packaged
one is built for x86-64 Linux; elsewhere install one. Run as ``python -m tools.get_browser``; without a network it says so
and succeeds, and the tests that need a browser are skipped with the reason.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import brotli

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pgolf"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_TIMEOUT_SECONDS = 120


def registry() -> str:
    """The registry that npm is set to use. URLError: there is no npm to tell."""
    npm = shutil.which("npm")
    if npm is None:
        raise urllib.error.URLError("npm, which knows its registry, is not installed")
    told = subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True, check=False)
    return told.stdout.strip().rstrip("/")


@dataclass(frozen=True)
class Package:
    """An npm package: its name, a version, and the digest that the registry states for it."""

    name: str
    version: str
    sha512: str

    @property
    def url(self) -> str:
        return f"{registry()}/{self.name}/-/{self.name.rsplit('/', 1)[-1]}-{self.version}.tgz"

    @property
    def folder(self) -> Path:
        return CACHE / f"{self.name.strip('@').replace('/', '-')}-{self.version}"


CHROMIUM = Package(
    "@sparticuz/chromium",
    "147.0.0",
    "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ==",
)
AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)


@dataclass(frozen=True)
class Browser:
    """A Chromium and the environment that it needs."""

    executable: Path
    environment: Mapping[str, str]


def find_browser() -> Browser | None:
    """The named one, one on the path, or the fetched one; None if there is none."""
    named = os.environ.get("PGOLF_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if named:
        return Browser(Path(named), {})
    fetched = CHROMIUM.folder / "chromium"
    libraries = {"LD_LIBRARY_PATH": str(CHROMIUM.folder / "lib"), "FONTCONFIG_PATH": str(CHROMIUM.folder)}
    return Browser(fetched, libraries) if fetched.is_file() else None


def find_axe() -> str | None:
    """The source of axe, or None if it was not fetched."""
    script = AXE.folder / "axe.min.js"
    return script.read_text(encoding="utf-8") if script.is_file() else None


def main() -> int:
    """Fetch what is missing; a failure is told and is no error."""
    try:
        if find_axe() is None:
            _unpack_axe(_download(AXE))
        if find_browser() is None:
            _unpack_chromium(_download(CHROMIUM))
    except (OSError, ValueError) as error:
        print(f"get_browser: {error}; tests that need a browser will be skipped", file=sys.stderr)
    return 0


def _download(package: Package) -> tarfile.TarFile:
    with urllib.request.urlopen(package.url, timeout=_TIMEOUT_SECONDS) as answer:
        content = answer.read()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != package.sha512:
        raise ValueError(f"{package.url} has not the digest that was expected")
    return tarfile.open(fileobj=io.BytesIO(content))


def _unpack_axe(archive: tarfile.TarFile) -> None:
    AXE.folder.mkdir(parents=True, exist_ok=True)
    (AXE.folder / "axe.min.js").write_bytes(_content(archive, "package/axe.min.js"))


def _unpack_chromium(archive: tarfile.TarFile) -> None:
    """The program last and whole, so that a fetch that is cut short leaves none."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise ValueError("the packaged Chromium is for x86-64 Linux; install one, or name it in PGOLF_CHROMIUM")
    folder = CHROMIUM.folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("al2023", "swiftshader", "fonts"):
        packed = _content(archive, f"package/bin/{name}.tar.br")
        with tarfile.open(fileobj=io.BytesIO(brotli.decompress(packed))) as inner:
            inner.extractall(folder, filter="data")
    settings = folder / "fonts.conf"
    settings.write_text(f"<fontconfig><dir>{folder}/fonts</dir><cachedir>{folder}/font-cache</cachedir></fontconfig>\n")
    partial = folder / "chromium.partial"
    partial.write_bytes(brotli.decompress(_content(archive, "package/bin/chromium.br")))
    partial.chmod(0o755)
    partial.rename(folder / "chromium")


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file of the package")
    return file.read()


if __name__ == "__main__":
    sys.exit(main())
