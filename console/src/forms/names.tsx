/** Fields that hold names: lists of texts, and references to what the product knows. */
import { useState } from "preact/hooks";
import { attributes, type ControlProps, type Suggestion } from "./fields";

/** A list of short texts: one a line, with suggestions if the product knows the names. */
export function Strings(props: ControlProps) {
  const { value, onChange, name, suggestions, id } = props;
  const items = Array.isArray(value) ? (value as unknown[]).map(String) : [];
  const known = suggestions?.[name] ?? [];
  const [draft, setDraft] = useState("");
  const add = (text: string) => {
    const match = known.find(({ label }) => label === text);
    const item = match?.value ?? text;
    if (item !== "" && !items.includes(item)) onChange([...items, item]);
    setDraft("");
  };
  const labelOf = (item: string) => known.find((one) => one.value === item)?.label ?? item;
  return (
    <div class="tags">
      {items.map((item) => (
        <span class="tag" key={item}>
          {labelOf(item)}
          <button
            type="button"
            class="plain"
            aria-label={`Remove ${labelOf(item)}`}
            onClick={() => {
              const rest = items.filter((one) => one !== item);
              onChange(rest.length === 0 ? undefined : rest);
            }}
          >
            ×
          </button>
        </span>
      ))}
      <input
        {...attributes(props)}
        type="text"
        autocomplete="off"
        placeholder="Add one, then Enter"
        list={known.length > 0 ? `${id}-known` : undefined}
        value={draft}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          add(draft);
        }}
        onBlur={() => add(draft)}
      />
      {known.length > 0 && <KnownNames id={`${id}-known`} known={known} typed={draft} />}
    </div>
  );
}

/** How many names a browser is given to choose from: among more, the user types a part first. */
const MOST_NAMES = 100;

/** The names that contain what has been typed. */
function KnownNames({
  id,
  known,
  typed,
}: {
  id: string;
  known: readonly Suggestion[];
  typed: string;
}) {
  const part = typed.toLowerCase();
  const fitting = known.filter(({ label }) => label.toLowerCase().includes(part));
  return (
    <datalist id={id}>
      {fitting.slice(0, MOST_NAMES).map(({ value, label }) => (
        <option key={value} value={label} />
      ))}
    </datalist>
  );
}

/** A reference to one thing: people choose its name, the value is its id. Other texts stay as they are. */
export function Reference(props: ControlProps & { readonly known: readonly Suggestion[] }) {
  const { value, onChange, known, id } = props;
  const text = value === undefined || value === null ? "" : String(value);
  const shown = known.find((one) => one.value === text)?.label ?? text;
  return (
    <>
      <input
        {...attributes(props)}
        type="text"
        autocomplete="off"
        list={`${id}-known`}
        value={shown}
        onInput={(event) => {
          const typed = event.currentTarget.value;
          const match = known.find(({ label }) => label === typed);
          onChange(typed === "" ? undefined : (match?.value ?? typed));
        }}
      />
      <KnownNames id={`${id}-known`} known={known} typed={shown} />
    </>
  );
}
