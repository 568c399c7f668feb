/** Copies text to the clipboard. */
import { useState } from "preact/hooks";
import { Dialog } from "./dialog";
import { notify } from "./feedback";

export function CopyButton(props: {
  label: string;
  text: () => string;
  /** What is said when it is done. */
  done?: string;
}) {
  const { label, text, done } = props;
  const [refused, setRefused] = useState<string | undefined>(undefined);
  const copy = async () => {
    const value = text();
    try {
      // Browsers have a clipboard only for pages over HTTPS or of the same machine.
      await navigator.clipboard.writeText(value);
      notify(done ?? `Copied: ${label}`);
    } catch {
      setRefused(value);
    }
  };
  return (
    <>
      <button type="button" onClick={() => void copy()}>
        {label}
      </button>
      {refused !== undefined && (
        <Dialog title={label} close={() => setRefused(undefined)} wide>
          <div class="text">
            <p>
              The browser does not let this page write to the clipboard. Copy the text yourself.
            </p>
            <textarea
              readOnly
              rows={12}
              aria-label="Text to copy"
              value={refused}
              onFocus={(event) => event.currentTarget.select()}
            />
          </div>
        </Dialog>
      )}
    </>
  );
}
