/** Switches a model off by any of its names, also if the catalog does not have it. */
import { useId, useState } from "preact/hooks";
import type { Target } from "./models";

export function ByName({ ask }: { ask: (target: Target) => void }) {
  const [name, setName] = useState("");
  const id = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (name.trim() !== "") ask(targetOf(name.trim()));
  };
  return (
    <details class="by-name">
      <summary>Switch off a model by its name</summary>
      <form class="toolbar" onSubmit={submit}>
        <label for={id}>
          Model
          <input
            id={id}
            type="text"
            placeholder="openai/gpt-4o"
            autocomplete="off"
            spellcheck={false}
            maxLength={256}
            value={name}
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="danger" disabled={name.trim() === ""}>
          Switch off…
        </button>
      </form>
      <p class="help">
        The provider and the name, as requests have them. The name of a deployment works, too.
      </p>
    </details>
  );
}

/** Returns the target of a name as it is: the server knows which model a name means. */
export function targetOf(name: string): Target {
  return { provider: "", model: name, sample: name, names: [], off: false };
}
