"""Builds libcache._core: the C module, with the C library in it.

The library's sources are those of the repository this lies in, or, in an sdist, those in core/.

    LIBCACHE_SYSTEM=1   link an installed libcache (pkg-config libcache) instead
    LIBCACHE_WERROR=1   warnings of the module's own sources are errors
    CFLAGS, LDFLAGS     added
"""

import os
import re
import shutil
import subprocess
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
ROOT = HERE / "core" if (HERE / "core").is_dir() else HERE.parent.parent
SYSTEM = os.environ.get("LIBCACHE_SYSTEM") == "1"
PACKAGES = ["libcache"] if SYSTEM else ["hiredis", "libcares", "inih", "liblz4"]
WITHOUT_PKG_CONFIG = ["-lcache"] if SYSTEM else ["-lhiredis", "-lcares", "-linih", "-llz4"]


def pkg_config(*options):
    try:
        found = subprocess.run(
            [os.environ.get("PKG_CONFIG", "pkg-config"), *options, *PACKAGES], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.split()


def compile_flags():
    # The headers are <hiredis/...>: the folder above the one that hiredis.pc names.
    flags = [re.sub(r"/hiredis$", "", flag) for flag in pkg_config("--cflags") or []]
    return [flag for flag in flags if flag != "-I/usr/include"]


def version():
    header = (ROOT / "include/libcache.h").read_text()
    return ".".join(re.search(rf"define LIBCACHE_VERSION_{part}\s+(\d+)", header).group(1) for part in ("MAJOR", "MINOR", "PATCH"))


class BuildExt(build_ext):
    def build_extension(self, ext):
        if not SYSTEM:
            sources = sorted(glob(str(ROOT / "lib/*.c")) + glob(str(ROOT / "lib/*/*.c")))
            headers = glob(str(ROOT / "include/*.h")) + glob(str(ROOT / "lib/**/*.[hi]*"), recursive=True) + [__file__]
            ext.extra_objects = self.core_objects(sources, headers)
            # Only now: the sdist's manifest, which is made of `depends` too, has the library in a folder of its own.
            ext.depends = [*ext.depends, *sources, *headers]
        super().build_extension(ext)

    def core_objects(self, sources, headers):
        """The C library's objects; only what is older than its source or any header is compiled."""
        newest = max(os.path.getmtime(header) for header in headers)
        objects = self.compiler.object_filenames(sources, output_dir=self.build_temp)
        pairs = list(zip(sources, objects))
        self.compiler.compile(
            [s for s, o in pairs if not os.path.exists(o) or os.path.getmtime(o) < max(newest, os.path.getmtime(s))],
            output_dir=self.build_temp,
            include_dirs=[str(ROOT / "include"), str(ROOT / "lib")],
            extra_postargs=[*compile_flags(), "-std=gnu11", "-fvisibility=hidden", "-pthread", "-DNDEBUG"],
        )
        return objects


class Sdist(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        if not SYSTEM:
            for folder in ("lib", "include"):
                shutil.copytree(ROOT / folder, Path(base_dir) / "core" / folder, dirs_exist_ok=True)


core = Extension(
    "libcache._core",
    sources=sorted(os.path.relpath(path, HERE) for path in glob(str(HERE / "src/_core*.c"))),
    depends=sorted(os.path.relpath(path, HERE) for path in glob(str(HERE / "src/*.h"))),
    include_dirs=[] if SYSTEM else [str(ROOT / "include")],
    extra_compile_args=[*compile_flags(), "-std=gnu11", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-missing-field-initializers"]
    + (["-Werror"] if os.environ.get("LIBCACHE_WERROR") == "1" else []),
    extra_link_args=[
        "-pthread", "-Wl,-Bsymbolic", "-Wl,-z,nodelete", f"-Wl,--version-script={HERE / 'src/_core.map'}",
        *(pkg_config("--libs") or WITHOUT_PKG_CONFIG), "-lm",
    ],
)  # fmt: skip

os.chdir(HERE)
setup(version=version(), ext_modules=[core], cmdclass={"build_ext": BuildExt, "sdist": Sdist})
