#!/bin/sh
# For Doxygen: comments of libcache.h in the form that it reads. A comment that begins a line documents what follows; one behind a
# declaration documents that. Titles of chapters become groups' text.                       SPDX-License-Identifier: MIT
exec sed -E \
    -e 's,^/\* ---- ([0-9]+\. [^-]*) -+ \*/$,/** @name \1 */,' \
    -e 's,^/\*$,/**,' \
    -e 's,^/\* ,/** ,' \
    -e 's,([;\,{0-9A-Z)]) */\* ,\1 /**< ,' \
    "$1"
