/** A whole section as JSON. */
import { useState } from "preact/hooks";
import { entriesOf, readSection } from "../../draft/document";
import { type Draft, replaceSections } from "../../draft/draft_store";
import { isSingle, sectionOf } from "../../draft/sections";
import { go, href } from "../../router";
import { Editor } from "../../ui/editor";
import { notify } from "../../ui/feedback";

export function SectionJson({ draft, section }: { draft: Draft; section: string }) {
  const [text, setText] = useState(() => JSON.stringify(valueOf(draft, section), null, 2));
  const [problem, setProblem] = useState("");
  const save = () => {
    const reading = readText(section, text);
    setProblem(reading.problem ?? "");
    if (reading.document === undefined) return;
    replaceSections(reading.document);
    notify("Saved in the draft");
    go(["draft"]);
  };
  const { title, about } = sectionOf(section);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <h2>{title} as JSON</h2>
      <p class="soft">{about} The fields are those of a policy file.</p>
      <Editor
        label={`${title} as JSON`}
        language="json"
        lines={16}
        value={text}
        onChange={setText}
      />
      {problem !== "" && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <footer class="form-foot">
        <button type="submit" class="primary">
          Save in the draft
        </button>
        <a
          class="button"
          href={href(["draft", "policies", ...(isSingle(section) ? [] : [section])])}
        >
          Cancel
        </a>
      </footer>
    </form>
  );
}

function valueOf(draft: Draft, section: string): unknown {
  const entries = entriesOf(draft.edited, section);
  return isSingle(section) ? (entries[0] ?? {}) : entries;
}

function readText(section: string, text: string) {
  try {
    return readSection(section, JSON.parse(text));
  } catch (error) {
    const reason = error instanceof Error ? error.message : "";
    return { problem: `This is not JSON: ${reason}`, document: undefined };
  }
}
