"""The example service under load, without a cache, with redis-py's cache-aside and with libcache: examples/fastapi-auth/load.py.

python bench/python/bench_service.py [--quick] [options of load.py]
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "fastapi-auth"))

import load  # noqa: E402

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "--quick" in arguments:
        arguments.remove("--quick")
        arguments = ["--rounds", "1", "--seconds", "2", "--users", "50", *arguments]
    load.main(arguments)
