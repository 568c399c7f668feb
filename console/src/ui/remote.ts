/** Values that the server has: loading, errors, reloading. */
import { signal, useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ApiError } from "../api/errors";
import { tenant } from "../session";

export interface Remote<T> {
  /** The last value; undefined until there is one. It stays while it is loaded again. */
  readonly value: Signal<T | undefined>;
  readonly error: Signal<ApiError | undefined>;
  readonly loading: Signal<boolean>;
  reload(): void;
}

/**
 * Loads a value when the component appears, when `key` or the tenant changes, and every
 * `everyMs` milliseconds while the page is visible. `load` may `show` a part before the rest is there.
 */
export function useRemote<T>(
  key: string,
  load: (signal: AbortSignal, show: (part: T) => void) => Promise<T>,
  everyMs = 0,
): Remote<T> {
  const value = useSignal<T | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const loading = useSignal(true);
  const again = useSignal(0);
  const latest = useRef(load);
  latest.current = load;
  const forTenant = tenant.value;

  useEffect(() => {
    value.value = undefined;
    error.value = undefined;
  }, [key, forTenant]);

  useEffect(() => {
    const controller = new AbortController();
    let timer: number | undefined;
    const once = async () => {
      loading.value = true;
      try {
        const loaded = await latest.current(controller.signal, (part) => {
          if (!controller.signal.aborted) value.value ??= part;
        });
        if (controller.signal.aborted) return;
        value.value = loaded;
        error.value = undefined;
      } catch (cause) {
        if (controller.signal.aborted) return;
        error.value = asApiError(cause);
      } finally {
        if (!controller.signal.aborted) loading.value = false;
      }
      if (everyMs > 0 && !controller.signal.aborted) timer = window.setTimeout(tick, everyMs);
    };
    const tick = () => {
      if (document.visibilityState === "visible") void once();
      else timer = window.setTimeout(tick, everyMs);
    };
    void once();
    return () => {
      controller.abort();
      window.clearTimeout(timer);
    };
  }, [key, forTenant, again.value, everyMs]);

  return { value, error, loading, reload: () => (again.value += 1) };
}

export interface Task {
  readonly running: Signal<boolean>;
  readonly error: Signal<ApiError | undefined>;
  /** Runs the work unless it runs already. Returns whether it succeeded. */
  run(work: () => Promise<void>): Promise<boolean>;
}

/** A piece of work that the user starts: a write, a simulation. */
export function useTask(): Task {
  const running = useSignal(false);
  const error = useSignal<ApiError | undefined>(undefined);
  const run = async (work: () => Promise<void>): Promise<boolean> => {
    if (running.value) return false;
    running.value = true;
    error.value = undefined;
    try {
      await work();
      return true;
    } catch (cause) {
      error.value = asApiError(cause);
      return false;
    } finally {
      running.value = false;
    }
  };
  return { running, error, run };
}

/** Returns the error of a call. A fault of the console itself is shown too, not hidden. */
export function asApiError(cause: unknown): ApiError {
  if (cause instanceof ApiError) return cause;
  console.error(cause);
  return new ApiError(0, "CONSOLE_FAULT", cause instanceof Error ? cause.message : String(cause));
}

/** The time now, in milliseconds; it advances every second, for ages and countdowns. */
export const now = signal(Date.now());
window.setInterval(() => {
  if (document.visibilityState === "visible") now.value = Date.now();
}, 1000);
