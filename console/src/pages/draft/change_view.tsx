/** Changes of policies, as people read them. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Change, EntryChange } from "../../draft/document";
import { isSection, sectionOf } from "../../draft/sections";
import { href } from "../../router";
import { Diff, DifferenceList } from "../../ui/diff";
import { Empty } from "../../ui/feedback";
import { integer } from "../../ui/format";
import { Badge, type Tone } from "../../ui/outcome";
import type { ServerChange } from "./applied";

const TONES: Readonly<Record<string, Tone>> = { added: "good", changed: "caution", removed: "bad" };

/** How many changes are shown at once; more of them can be asked for. */
const STEP = 50;

export function ChangeBadge({ change }: { change: Change | string }) {
  return <Badge value={change} tone={TONES[change] ?? "quiet"} />;
}

/** The name of an entry; of a section with one entry, the name of the section. */
export function titleOf(section: string, name: string): string {
  if (name !== "") return name;
  return isSection(section) ? sectionOf(section).title : section;
}

export function sectionTitle(section: string): string {
  return isSection(section) ? sectionOf(section).title : section;
}

/** The address of the form of an entry. */
export function entryAddress(section: string, name: string): string {
  return href(["draft", "policies", section, "edit"], { name });
}

/** A list of which a part is shown at first. */
export function Stepwise<T>({
  items,
  children,
}: {
  items: readonly T[];
  children: (item: T) => ComponentChildren;
}) {
  const [shown, setShown] = useState(STEP);
  return (
    <>
      {items.slice(0, shown).map(children)}
      {items.length > shown && (
        <p>
          <button type="button" onClick={() => setShown(shown + STEP)}>
            Show more ({integer(items.length - shown)} are left)
          </button>
        </p>
      )}
    </>
  );
}

/** One policy that the draft changes, with what can be done about it. */
export function ChangeCard({
  change,
  isLink = true,
  children,
}: {
  change: EntryChange;
  /** Whether the name leads to the form of the entry. */
  isLink?: boolean;
  children?: ComponentChildren;
}) {
  const { section, name } = change;
  const title = titleOf(section, name);
  return (
    <article class="panel change" aria-label={`${title}, ${change.change}`}>
      <header>
        <h3>
          {change.after === undefined || !isLink ? (
            title
          ) : (
            <a href={entryAddress(section, name)}>{title}</a>
          )}
        </h3>
        <ChangeBadge change={change.change} />
        {children}
      </header>
      {change.change === "changed" ? (
        <Diff before={change.before} after={change.after} />
      ) : (
        <details>
          <summary>What it says</summary>
          <Diff before={change.before ?? {}} after={change.after ?? {}} />
        </details>
      )}
    </article>
  );
}

/** What the server says that it changes, or has changed. */
export function ServerChanges({ changes }: { changes: readonly ServerChange[] }) {
  if (changes.length === 0) {
    return <Empty title="Nothing would change: the policies are like this already." />;
  }
  return (
    <Stepwise items={changes}>
      {({ change, section, name, fields }) => (
        <article class="change-row" key={`${section}/${name}`}>
          <header>
            <ChangeBadge change={change} />
            <strong>{titleOf(section, name)}</strong>
            <span class="soft small">{sectionTitle(section)}</span>
          </header>
          {fields.length > 0 && (
            <DifferenceList
              differences={fields.map(({ field, before, after }) => ({
                path: field,
                before,
                after,
              }))}
            />
          )}
        </article>
      )}
    </Stepwise>
  );
}
