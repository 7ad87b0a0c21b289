<?php

namespace Libcache\Laravel\Concerns;

use Illuminate\Cache\Repository as BaseRepository;
use Illuminate\Events\Dispatcher as EventDispatcher;

/**
 * Cache events go to those who listen; where nobody does, they cost next to nothing.
 *
 * Only Laravel's own dispatcher is asked who listens. Any other (Event::fake(), one that records or forwards) gets them all.
 */
trait AnnouncesEvents
{
    /** Whether events carry the name of the store (Laravel 11 and later). */
    private static ?bool $eventsAreNamed = null;

    /** The dispatcher knows its listeners. */
    private bool $asksDispatcher = false;

    private function useDispatcher($events): void
    {
        $this->asksDispatcher = get_class($events) === EventDispatcher::class;
    }

    protected function event($event): void
    {
        if (! $this->asksDispatcher || $this->events->hasListeners(get_class($event))) {
            parent::event($event);
        }
    }

    /** Whether anybody listens to one of these. */
    private function hears(string ...$events): bool
    {
        if (! $this->asksDispatcher) {
            return $this->events !== null;
        }

        foreach ($events as $event) {
            if ($this->events->hasListeners($event)) {
                return true;
            }
        }

        return false;
    }

    /** Announces an event, if this Laravel has it. */
    private function announce(string $event, $key, ...$rest): void
    {
        if (! $this->hears($event) || ! class_exists($event)) {
            return;
        }

        self::$eventsAreNamed ??= method_exists(BaseRepository::class, 'getName');

        $this->event(self::$eventsAreNamed ? new $event($this->getName(), $key, ...$rest) : new $event($key, ...$rest));
    }
}
