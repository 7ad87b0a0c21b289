<?php

namespace App\Exceptions;

use Illuminate\Foundation\Exceptions\Handler as ExceptionHandler;

class Handler extends ExceptionHandler
{
    /** This is an API: errors are JSON, whatever was asked for. */
    protected function shouldReturnJson($request, \Throwable $e)
    {
        return true;
    }
}
