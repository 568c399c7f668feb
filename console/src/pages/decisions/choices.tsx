/** A filter with several values: a button that opens a list of boxes. */
import { useEffect, useRef } from "preact/hooks";
import { words } from "../../ui/format";

export function Choices({
  label,
  options,
  chosen,
  onChange,
}: {
  label: string;
  options: readonly string[];
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}) {
  const element = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event) => {
      const details = element.current;
      if (details !== null && !details.contains(event.target as Node)) details.open = false;
    };
    document.addEventListener("pointerdown", close);
    document.addEventListener("focusin", close);
    return () => {
      document.removeEventListener("pointerdown", close);
      document.removeEventListener("focusin", close);
    };
  }, []);
  const closeOnEscape = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || element.current === null) return;
    element.current.open = false;
    element.current.querySelector("summary")?.focus();
  };
  const toggle = (option: string, on: boolean) =>
    onChange(on ? [...chosen, option] : chosen.filter((one) => one !== option));
  return (
    <details class="choices-filter" ref={element} onKeyDown={closeOnEscape}>
      <summary>
        <span class="soft">{label}</span>
        <span class="value">{summaryOf(chosen)}</span>
      </summary>
      <fieldset class="panel">
        <legend>{label}</legend>
        {options.map((option) => (
          <label class="check" key={option}>
            <input
              type="checkbox"
              checked={chosen.includes(option)}
              onChange={(event) => toggle(option, event.currentTarget.checked)}
            />
            {words(option)}
          </label>
        ))}
      </fieldset>
    </details>
  );
}

function summaryOf(chosen: readonly string[]): string {
  const [first] = chosen;
  if (first === undefined) return "Any";
  return chosen.length === 1 ? words(first) : `${chosen.length} chosen`;
}
