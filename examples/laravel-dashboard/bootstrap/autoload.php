<?php

/**
 * Loads the framework, the package and the application's own classes: what Composer's vendor/autoload.php would do. Here the
 * framework is Debian's php-laravel-framework.
 */

if (is_file($composer = __DIR__.'/../vendor/autoload.php')) {
    require $composer;

    return;
}

require 'Illuminate/autoload.php';
require __DIR__.'/../../../bindings/php/laravel/autoload.php';

spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'App\\') && is_file($file = __DIR__.'/../app/'.strtr(substr($class, 4), '\\', '/').'.php')) {
        require $file;
    }
});
