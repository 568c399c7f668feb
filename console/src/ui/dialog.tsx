/** Questions that must be answered before anything else happens. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

/** A modal dialog. The browser keeps the focus inside, closes it on Escape, and returns the focus. */
export function Dialog({
  title,
  close,
  children,
  wide = false,
}: {
  title: string;
  close: () => void;
  children: ComponentChildren;
  wide?: boolean;
}) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : ""}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
    >
      <header>
        <h2 id={heading}>{title}</h2>
        <button type="button" class="plain" aria-label="Close" onClick={close}>
          ×
        </button>
      </header>
      {children}
    </dialog>
  );
}

/** A button that asks before it acts, for what cannot be taken back. */
export function ConfirmButton({
  label,
  question,
  confirm,
  run,
  disabled = false,
  danger = true,
}: {
  label: string;
  question: ComponentChildren;
  confirm: string;
  run: () => unknown;
  disabled?: boolean;
  danger?: boolean;
}) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        class={danger ? "danger" : ""}
        disabled={disabled}
        onClick={() => setOpen(true)}
      >
        {label}
      </button>
      {open && (
        <Dialog title={confirm} close={() => setOpen(false)}>
          <div class="text">{question}</div>
          <footer>
            <button type="button" onClick={() => setOpen(false)}>
              Keep
            </button>
            <button
              type="button"
              class={danger ? "danger primary" : "primary"}
              onClick={() => {
                setOpen(false);
                void run();
              }}
            >
              {confirm}
            </button>
          </footer>
        </Dialog>
      )}
    </>
  );
}
