/** What the server says about policies of the draft, with links to their entries. */
import type { ComponentChildren } from "preact";
import { findEntry } from "../../draft/document";
import { draft } from "../../draft/draft_store";
import { isSingle } from "../../draft/sections";
import { href } from "../../router";
import { entryAddress, sectionTitle, titleOf } from "./change_view";
import type { Problem, Remark } from "./problems";

export function Remarks({ remarks }: { remarks: readonly Remark[] }) {
  if (remarks.length === 0) return null;
  return (
    <ul class="problems">
      {remarks.map(({ path, message, suggestions, problem }) => (
        <li key={path + message}>
          {problem === undefined ? <code>{path}</code> : <Place problem={problem} />}
          <p>{message}</p>
          {suggestions.length > 0 && <p class="soft">Did you mean {suggestions.join(", ")}?</p>}
        </li>
      ))}
    </ul>
  );
}

export function ProblemList({
  problems,
  children,
}: {
  problems: readonly Problem[];
  children?: ComponentChildren;
}) {
  return (
    <ul class="problems">
      {problems.map((problem) => (
        <li key={`${problem.section}/${problem.name ?? ""}/${problem.field}/${problem.reason}`}>
          <Place problem={problem} />
          <p>{problem.reason}</p>
        </li>
      ))}
      {children}
    </ul>
  );
}

/** Where a problem is; a link to the form if the draft has the entry. */
function Place({ problem: { section, name, field } }: { problem: Problem }) {
  const title = name === undefined ? sectionTitle(section) : titleOf(section, name);
  const address = addressOf(section, name);
  return (
    <p>
      {address === undefined ? <strong>{title}</strong> : <a href={address}>{title}</a>}{" "}
      {title !== sectionTitle(section) && <span class="soft small">{sectionTitle(section)} </span>}
      {field !== "" && <code>{field}</code>}
    </p>
  );
}

function addressOf(section: string, name: string | undefined): string | undefined {
  const present = draft.value;
  if (present === undefined) return undefined;
  if (name === undefined) return href(["draft", "policies", section]);
  const isThere = isSingle(section) || findEntry(present.edited, section, name) !== undefined;
  return isThere ? entryAddress(section, name) : undefined;
}
