/** Copies text to the clipboard. */
import { notify } from "./feedback";

export function CopyButton(props: {
  label: string;
  text: () => string;
  /** What is said when it is done. */
  done?: string;
}) {
  const { label, text, done } = props;
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    notify(done ?? `Copied: ${label}`);
  };
  return (
    <button type="button" onClick={() => void copy()}>
      {label}
    </button>
  );
}
