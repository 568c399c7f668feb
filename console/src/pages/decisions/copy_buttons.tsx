/** Copies of a decision for the command line and for tests. */
import { identity } from "../../session";
import { CopyButton } from "../../ui/copy";
import { asCurl, asPdpDecide, asTestCase } from "./copies";
import { missingParts } from "./request_of";
import type { DecisionRecord } from "./rows";

export function CopyButtons({ record }: { record: DecisionRecord }) {
  const missing = missingParts(record);
  const withKey = identity.value?.kind !== "development";
  return (
    <>
      <CopyButton
        label="Copy as curl"
        text={() => asCurl(record, window.location.origin, withKey)}
      />
      <CopyButton label="Copy as pdp decide" text={() => asPdpDecide(record)} />
      <CopyButton label="Copy as test case" text={() => asTestCase(record)} />
      {missing.length > 0 && (
        <span class="soft small">The copies lack {missing.join(" and ")}: not recorded.</span>
      )}
    </>
  );
}
