<?php

/* For who does without Composer. */
spl_autoload_register(static function (string $class): void {
    if (preg_match('/^Libcache\\\\(SimpleCache|CachePool|CacheItem|InvalidArgument|Expiry)$/', $class, $m)) {
        require __DIR__ . "/$m[1].php";
    }
});
