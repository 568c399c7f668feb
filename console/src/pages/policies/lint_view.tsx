/** Policies that do nothing, or less than they seem. */
import type { AnswerOf } from "../../api/types";
import { api, may } from "../../session";
import { Empty, Loaded } from "../../ui/feedback";
import { integer, words } from "../../ui/format";
import { Badge } from "../../ui/outcome";
import { useRemote } from "../../ui/remote";
import { entityAddress } from "./change_item";

type Findings = AnswerOf<"LintPolicies">;
type Finding = Findings["findings"][number];

const TITLES: Readonly<Record<string, string>> = {
  shadowed: "Never reached",
  contradictory: "Contradictory",
  duplicate: "Duplicate",
  unmatched: "Without a match",
  warning: "Warnings",
};

/** What was found, and the pack of each rule, which a finding does not name. */
interface Search {
  readonly found: Findings;
  readonly packs: ReadonlyMap<string, string>;
}

async function find(signal: AbortSignal): Promise<Search> {
  const found = await api.call("LintPolicies", { signal, timeout: 0 });
  const rules = found.findings.some(({ kind }) => kind === "policy_rule");
  return { found, packs: rules && may("ListPolicyPacks") ? await packOfRules(signal) : new Map() };
}

async function packOfRules(signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const packs = await api.call("ListPolicyPacks", { signal });
  const lists = await Promise.all(
    packs.map((pack) => api.call("ListPolicyRules", { path: { pack_id: pack.id }, signal })),
  );
  return new Map(lists.flat().map((rule) => [rule.id, rule.pack_id]));
}

export function LintView() {
  const remote = useRemote("lint", find);
  return (
    <>
      <div class="page-head">
        <h1>Find problems</h1>
        <button type="button" disabled={remote.loading.value} onClick={() => remote.reload()}>
          {remote.loading.value ? "Searching…" : "Search again"}
        </button>
      </div>
      <p class="soft">
        Policies that do nothing, or less than they seem: other policies are in their way, they
        repeat or contradict each other, or nothing of the last 30 days matches them.
      </p>
      <Loaded remote={remote}>{(search) => <FindingList {...search} />}</Loaded>
    </>
  );
}

function FindingList({ found, packs }: Search) {
  if (found.findings.length === 0) {
    return (
      <Empty title="No problem was found.">
        <p class="soft">All policies of revision {integer(found.revision)} were searched.</p>
      </Empty>
    );
  }
  const kinds = Object.keys(TITLES).filter((kind) =>
    found.findings.some(({ finding }) => finding === kind),
  );
  return (
    <>
      {!found.records && (
        <p class="notice">
          There are no records of decisions, so policies without a match are not named.
        </p>
      )}
      {kinds.map((kind) => {
        const all = found.findings.filter(({ finding }) => finding === kind);
        return (
          <section key={kind} aria-label={TITLES[kind]}>
            <h2>
              {TITLES[kind]} <span class="soft">{integer(all.length)}</span>
            </h2>
            <ul class="changes">
              {all.map((finding, index) => (
                <FindingItem key={index} finding={finding} packs={packs} />
              ))}
            </ul>
          </section>
        );
      })}
    </>
  );
}

function FindingItem({ finding, packs }: { finding: Finding; packs: Search["packs"] }) {
  const { kind, id, name, message, other_id: otherId, other_name: otherName, field } = finding;
  return (
    <li class="change">
      <p>
        <Badge value={kind} label={words(kind)} />{" "}
        <PolicyLink kind={kind} id={id} name={name} packs={packs} />
        {field !== undefined && field !== "" && <code class="field-path">{field}</code>}
      </p>
      <p class="change-summary">{message}</p>
      {otherId !== undefined && otherId !== "" && (
        <p class="soft small">
          The other policy:{" "}
          <PolicyLink kind={kind} id={otherId} name={otherName ?? otherId} packs={packs} />
        </p>
      )}
    </li>
  );
}

function PolicyLink({
  kind,
  id,
  name,
  packs,
}: {
  kind: string;
  id: string;
  name: string;
  packs: Search["packs"];
}) {
  const address = entityAddress(kind, id, { pack_id: packs.get(id) });
  return address === undefined ? <strong>{name}</strong> : <a href={address}>{name}</a>;
}
