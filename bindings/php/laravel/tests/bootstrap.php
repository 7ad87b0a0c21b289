<?php

/**
 * Loads the package and illuminate: those of LIBCACHE_LARAVEL_VENDOR (the vendor folder of any Laravel, 8.83 to 13) if that is
 * set, else Debian's.
 */

if (! extension_loaded('libcache')) {
    fwrite(STDERR, "The extension libcache is not loaded: php -d extension=.../libcache.so\n");
    exit(2);
}

require ($vendor = getenv('LIBCACHE_LARAVEL_VENDOR')) ? "{$vendor}/autoload.php" : 'Illuminate/autoload.php';
require __DIR__.'/../autoload.php';

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'Libcache\\Laravel\\Tests\\')) {
        $file = __DIR__.'/'.strtr(substr($class, strlen('Libcache\\Laravel\\Tests\\')), '\\', '/').'.php';

        if (is_file($file)) {
            require $file;
        }
    }
});
