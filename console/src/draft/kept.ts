/** What the tab keeps for the user who is signed in: in memory and in the session storage. */
import { effect, signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { identity } from "../session";

export interface Kept<T> {
  readonly value: ReadonlySignal<T>;
  /** False if the value is too large for the session storage: reloading the page loses it. */
  readonly isStored: ReadonlySignal<boolean>;
  set(next: T): void;
}

/**
 * Returns a value that the tab keeps. Another user of the tab does not get it.
 *
 * @param empty the value of a user for whom nothing is kept
 * @param read returns the value that JSON from the storage stands for
 * @param write returns what is stored of a value
 */
export function kept<T>(
  key: string,
  empty: T,
  read: (stored: unknown) => T,
  write: (value: T) => unknown,
): Kept<T> {
  const value = signal(empty);
  const isStored = signal(true);
  let owner: string | undefined;

  const store = (next: T) => {
    try {
      if (next === empty) sessionStorage.removeItem(key);
      else sessionStorage.setItem(key, JSON.stringify({ owner, value: write(next) }));
      isStored.value = true;
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      // What is stored is older than the value, which is worse than nothing.
      sessionStorage.removeItem(key);
      isStored.value = false;
    }
  };

  // A session may end by itself in the middle of an edit, which clears the storage. The value
  // waits in memory until the same user signs in again.
  effect(() => {
    const who = identity.value;
    if (who === undefined) return;
    const name = `${who.kind} ${who.name}`;
    if (owner === name) {
      store(value.peek());
    } else {
      owner = name;
      value.value = load(key, name, empty, read);
    }
  });

  const set = (next: T) => {
    value.value = next;
    store(next);
  };
  return { value, isStored, set };
}

/** Returns a signal that is emptied when the session ends, so that no other user sees its value. */
export function ofSession<T>(): Signal<T | undefined> {
  const value = signal<T | undefined>(undefined);
  effect(() => {
    if (identity.value === undefined) value.value = undefined;
  });
  return value;
}

function load<T>(key: string, owner: string, empty: T, read: (stored: unknown) => T): T {
  const text = sessionStorage.getItem(key);
  if (text === null) return empty;
  try {
    const stored = JSON.parse(text) as { owner?: unknown; value?: unknown } | null;
    return stored?.owner === owner ? read(stored.value) : empty;
  } catch {
    // Nothing of this page has written it.
    return empty;
  }
}
