/** Copies of a decision for the command line and for tests. */
import { identity } from "../../session";
import { CopyButton } from "../../ui/copy";
import { asCurl, asPdpDecide, asTestCase } from "./copies";
import { isRedacted, missingParts } from "./request_of";
import type { DecisionRecord } from "./rows";

export function CopyButtons({ record }: { record: DecisionRecord }) {
  const note = noteOn(record);
  const withKey = identity.value?.kind !== "development";
  return (
    <>
      <CopyButton
        label="Copy as curl"
        done="Copied as curl"
        text={() => asCurl(record, window.location.origin, withKey)}
      />
      <CopyButton
        label="Copy as pdp decide"
        done="Copied as pdp decide"
        text={() => asPdpDecide(record)}
      />
      <CopyButton
        label="Copy as test case"
        done="Copied as test case"
        text={() => asTestCase(record)}
      />
      {note !== "" && <span class="soft small">{note}</span>}
    </>
  );
}

function noteOn(record: DecisionRecord): string {
  const missing = missingParts(record);
  if (missing.length > 0) return `The copies lack ${missing.join(" and ")}: not recorded.`;
  return isRedacted(record) ? "The copies are redacted, as the record is." : "";
}
