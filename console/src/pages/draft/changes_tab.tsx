/** What the draft changes, policy by policy. */
import { useState } from "preact/hooks";
import type { EntryChange } from "../../draft/document";
import { draftChanges, undoEntry } from "../../draft/draft_store";
import { sectionOf } from "../../draft/sections";
import { href } from "../../router";
import { Empty, notify } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { FilterField, wordMatcher } from "../../ui/text_filter";
import { ChangeCard, Stepwise, titleOf } from "./change_view";

export function ChangesTab() {
  const [filter, setFilter] = useState("");
  const changes = draftChanges.value;
  const matches = wordMatcher(filter);
  const found = changes.filter(({ section, name }) =>
    matches(`${sectionOf(section).title} ${name}`.toLowerCase()),
  );
  if (changes.length === 0) {
    return (
      <Empty title="The draft changes nothing yet.">
        <p>
          <a class="button" href={href(["draft", "policies"])}>
            Add or edit policies
          </a>
        </p>
      </Empty>
    );
  }
  return (
    <>
      {changes.length > 5 && (
        <div class="toolbar">
          <FilterField value={filter} onChange={setFilter} />
          <p class="soft small" role="status">
            {integer(found.length)} of {integer(changes.length)} changes
          </p>
        </div>
      )}
      <Stepwise items={found}>
        {(change) => <Change key={`${change.section}/${change.name}`} change={change} />}
      </Stepwise>
    </>
  );
}

function Change({ change }: { change: EntryChange }) {
  const { section, name } = change;
  const undo = () => {
    undoEntry(section, name);
    notify(`Undone: ${titleOf(section, name)}`);
  };
  return (
    <ChangeCard change={change}>
      <a class="soft small" href={href(["draft", "policies", section])}>
        {sectionOf(section).title}
      </a>
      <button type="button" onClick={undo}>
        Undo this change
      </button>
    </ChangeCard>
  );
}
