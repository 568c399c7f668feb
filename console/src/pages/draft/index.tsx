/** The page of the draft: "change with confidence". */
import {
  discardDraft,
  draft,
  draftChanges,
  draftIsStored,
  type Draft,
  touchedPolicies,
} from "../../draft/draft_store";
import { isSection, isSingle, sectionOf } from "../../draft/sections";
import { withoutWebhooks } from "../../draft/webhooks";
import { href, location } from "../../router";
import { may } from "../../session";
import { CopyButton } from "../../ui/copy";
import { ConfirmButton } from "../../ui/dialog";
import { Tabs } from "../../ui/tabs";
import { AppliedList } from "./applied_list";
import { ApplyTab } from "./apply_tab";
import { ChangesTab } from "./changes_tab";
import { CheckTab } from "./check_tab";
import { EffectTab } from "./effect_tab";
import { EntryEditor } from "./entry_editor";
import { EntryList, SectionList } from "./policies_tab";
import { SectionJson } from "./section_json";
import { StartPage } from "./start";
import "./draft.css";

export default function Page() {
  const [, tab = "", ...rest] = location.value.parts;
  const present = draft.value;
  return (
    <div class="draft-page">
      {present === undefined ? (
        <StartPage step={tab} />
      ) : (
        <>
          <Head draft={present} />
          <DraftTabs current={tab} />
          <Content key={present.tenant} tab={tab} rest={rest} draft={present} />
        </>
      )}
    </div>
  );
}

function Head({ draft: present }: { draft: Draft }) {
  const file = () =>
    JSON.stringify(
      { tenant: present.tenant, policies: withoutWebhooks(touchedPolicies(present)) },
      null,
      2,
    );
  return (
    <>
      <div class="page-head">
        <div>
          <h1>{present.name === "" ? "Draft" : present.name}</h1>
          <p class="soft small">
            From revision {present.baseRevision} of {present.tenant}. Kept in this tab until you
            apply or discard it.
          </p>
        </div>
        <div class="row-buttons">
          {may("Simulate") && (
            <a class="button" href={href(["playground"], { draft: "1" })}>
              Try a prompt
            </a>
          )}
          <CopyButton label="Copy as a policy file" text={file} />
          <ConfirmButton
            label="Discard"
            question={<p>All changes of the draft are lost. The policies in force stay.</p>}
            confirm="Discard the draft"
            run={() => discardDraft()}
          />
        </div>
      </div>
      {!draftIsStored.value && (
        <p class="notice caution">
          The draft is too large for the storage of the browser. Reloading the page loses it.
        </p>
      )}
    </>
  );
}

function DraftTabs({ current }: { current: string }) {
  const count = draftChanges.value.length;
  const tabs: readonly (readonly [string, string])[] = [
    ["", count === 0 ? "Changes" : `Changes (${count})`],
    ["policies", "Policies"],
    ["check", "Check"],
    ["effect", "What would change"],
    ["apply", "Apply"],
  ];
  return (
    <Tabs
      label="Parts of the draft"
      tabs={tabs.map(([path, name]) => ({
        name,
        address: href(path === "" ? ["draft"] : ["draft", path]),
        current: path === current,
      }))}
    />
  );
}

function Content({
  tab,
  rest,
  draft: present,
}: {
  tab: string;
  rest: readonly string[];
  draft: Draft;
}) {
  switch (tab) {
    case "policies":
      return <Policies rest={rest} draft={present} />;
    case "check":
      return <CheckTab draft={present} />;
    case "effect":
      return <EffectTab draft={present} />;
    case "apply":
      return <ApplyTab draft={present} />;
    default:
      return (
        <>
          <ChangesTab />
          <AppliedList />
        </>
      );
  }
}

function Policies({ rest, draft: present }: { rest: readonly string[]; draft: Draft }) {
  const [section = "", action = ""] = rest;
  if (!isSection(section)) return <SectionList draft={present} />;
  const back = (
    <p class="small">
      <a href={href(["draft", "policies"])}>Policies</a>
      {action !== "" && (
        <>
          {" › "}
          <a href={href(["draft", "policies", section])}>{sectionOf(section).title}</a>
        </>
      )}
    </p>
  );
  const isForm = action === "edit" || action === "new" || (action === "" && isSingle(section));
  const name = action === "new" ? undefined : (location.value.query.get("name") ?? "");
  return (
    <>
      {back}
      {isForm ? (
        <EntryEditor
          key={`${section}/${name ?? ""}/${action}`}
          draft={present}
          section={section}
          name={name}
        />
      ) : action === "json" ? (
        <SectionJson key={section} draft={present} section={section} />
      ) : (
        <EntryList key={section} draft={present} section={section} />
      )}
    </>
  );
}
