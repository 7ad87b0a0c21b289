<?php

namespace Libcache\Laravel\Tests\Support;

use Illuminate\Contracts\Debug\ExceptionHandler;
use Throwable;

/** An exception handler that remembers what it was told. */
class RecordingHandler implements ExceptionHandler
{
    /** @var string[] */
    public array $reported = [];

    public function report(Throwable $e)
    {
        $this->reported[] = $e->getMessage();
    }

    public function shouldReport(Throwable $e)
    {
        return true;
    }

    public function render($request, Throwable $e)
    {
        throw $e;
    }

    public function renderForConsole($output, Throwable $e)
    {
        throw $e;
    }
}
