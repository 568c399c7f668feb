/** What the user sees of work: errors, progress, empty lists, short notices. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { ApiError } from "../api/errors";
import type { Remote } from "./remote";

/** An error of the server, with what is wrong and the ID of the request. */
export function ErrorBox({ error, retry }: { error: ApiError; retry?: (() => void) | undefined }) {
  return (
    <div class="notice error" role="alert">
      {error.message.includes("\n") ? (
        <pre>{error.message}</pre>
      ) : (
        <p>
          <strong>{error.message}</strong>
        </p>
      )}
      {error.violations.length > 0 && (
        <ul>
          {error.violations.map((violation) => (
            <li key={violation.field}>
              <code>{violation.field}</code> {violation.reason}
            </li>
          ))}
        </ul>
      )}
      <p class="soft small">
        {error.code}
        {error.requestId !== "" && ` · request ${error.requestId}`}
      </p>
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** The value of a remote as soon as there is one; before that its error or its progress. */
export function Loaded<T>({
  remote,
  children,
}: {
  remote: Remote<T>;
  children: (value: T) => ComponentChildren;
}) {
  const value = remote.value.value;
  const error = remote.error.value;
  return (
    <>
      {error !== undefined && <ErrorBox error={error} retry={() => remote.reload()} />}
      {value === undefined && error === undefined && <Progress />}
      {value !== undefined && children(value)}
    </>
  );
}

export function Progress({ label = "Loading" }: { label?: string }) {
  return (
    <p class="progress soft" role="status">
      {label}…
    </p>
  );
}

/** What a list shows if it has no rows: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p>
        <strong>{title}</strong>
      </p>
      {children}
    </div>
  );
}

interface Notice {
  readonly id: number;
  readonly text: string;
}

const notices = signal<readonly Notice[]>([]);
let count = 0;

/** Shows a short notice for some seconds: what has been done. Errors belong beside their cause. */
export function notify(text: string): void {
  count += 1;
  const notice = { id: count, text };
  notices.value = [...notices.value, notice];
  window.setTimeout(() => dismiss(notice.id), 6_000);
}

function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ id, text }) => (
        <p key={id}>
          {text}
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}
