<?php

require __DIR__ . '/../../src/autoload.php';
require __DIR__ . '/../redis.inc';
/* Debian's packages of the interfaces. */
foreach (['SimpleCache', 'Cache'] as $psr) {
    if (!interface_exists("Psr\\$psr\\InvalidArgumentException") && is_file("/usr/share/php/Psr/$psr/autoload.php")) {
        require "/usr/share/php/Psr/$psr/autoload.php";
    }
}
