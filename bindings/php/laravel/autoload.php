<?php

/** For projects without Composer: loads the classes of this package. */

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Libcache\\Laravel\\')) {
        $file = __DIR__.'/src/'.strtr(substr($class, strlen('Libcache\\Laravel\\')), '\\', '/').'.php';

        if (is_file($file)) {
            require $file;
        }
    }
});
