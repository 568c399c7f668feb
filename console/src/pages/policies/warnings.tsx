/** What the author of a write may not expect. */
import { writeWarnings } from "./entity_store";

export function Warnings({ address }: { address: string }) {
  const warnings = writeWarnings.value[address] ?? [];
  if (warnings.length === 0) return null;
  const dismiss = () => {
    const { [address]: _gone, ...rest } = writeWarnings.value;
    writeWarnings.value = rest;
  };
  return (
    <div class="notice caution" role="status">
      <p>
        <strong>Saved. It may not do what you mean:</strong>
      </p>
      <ul>
        {warnings.map(({ field, code, message, suggestions }) => (
          <li key={`${field} ${code} ${message}`}>
            <code>{field}</code> {message}
            {suggestions.length > 0 && ` Did you mean ${suggestions.join(" or ")}?`}
          </li>
        ))}
      </ul>
      <button type="button" onClick={dismiss}>
        Dismiss
      </button>
    </div>
  );
}
