<?php

namespace Libcache;

/*
 * What SimpleCache and CachePool throw: the exception of whichever PSR is installed. Either may be without the other.
 */
if (interface_exists(\Psr\SimpleCache\InvalidArgumentException::class) && interface_exists(\Psr\Cache\InvalidArgumentException::class)) {
    final class InvalidArgument extends \InvalidArgumentException implements \Psr\SimpleCache\InvalidArgumentException, \Psr\Cache\InvalidArgumentException
    {
    }
} elseif (interface_exists(\Psr\SimpleCache\InvalidArgumentException::class)) {
    final class InvalidArgument extends \InvalidArgumentException implements \Psr\SimpleCache\InvalidArgumentException
    {
    }
} else {
    final class InvalidArgument extends \InvalidArgumentException implements \Psr\Cache\InvalidArgumentException
    {
    }
}
