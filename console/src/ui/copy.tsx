/** Copies text to the clipboard. */
import { notify } from "./feedback";

export function CopyButton({ label, text }: { label: string; text: () => string }) {
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    notify(`Copied: ${label}`);
  };
  return (
    <button type="button" onClick={() => void copy()}>
      {label}
    </button>
  );
}
