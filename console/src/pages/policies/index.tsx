/** Policies: a section for each system, what changed, and what does not work as it seems. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Operation } from "../../api/types";
import { href, location } from "../../router";
import { may } from "../../session";
import { Tabs } from "../../ui/tabs";
import { ChainEditor } from "./chain_editor";
import { ChainsView } from "./chains_view";
import { ChangesView } from "./changes_view";
import { EntityView } from "./entity_view";
import { LintView } from "./lint_view";
import { ListView } from "./list_view";
import { MatrixView } from "./matrix_view";
import { NewView } from "./new_view";
import { SECTIONS, sectionAt } from "./sections";
import { rulesOf } from "./sections/packs";
import type { Section } from "./types";
import "./policies.css";

interface Part {
  readonly path: string;
  readonly title: string;
  readonly short: string;
  readonly about: string;
  readonly needs: Operation;
}

const SHORT: Readonly<Record<string, string>> = {
  static: "Static policies",
  compliance: "Compliance",
  packs: "Packs",
  customers: "Customers",
  groups: "Groups",
  settings: "Settings",
};

function partOf({ path, title, about, operations }: Section): Part {
  return { path, title, about, short: SHORT[path] ?? title, needs: operations.list };
}

const MATRIX: Part = {
  path: "matrix",
  title: "Bundles of groups",
  short: "Matrix",
  about: "Which compliance bundles are in force for which user groups.",
  needs: "GetComplianceMatrix",
};
const CHAINS: Part = {
  path: "chains",
  title: "Chains",
  short: "Chains",
  about: "Which packs are evaluated, and in which order: for all users, and for single users.",
  needs: "ListPolicyChains",
};
const CHANGES: Part = {
  path: "changes",
  title: "Who changed what",
  short: "Changes",
  about: "The change log: every change, by whom, and the values before and after.",
  needs: "ListChanges",
};
const PROBLEMS: Part = {
  path: "problems",
  title: "Find problems",
  short: "Problems",
  about: "Policies that do nothing, or less than they seem.",
  needs: "LintPolicies",
};

/** All parts, in order. The matrix follows the bundles, the chains follow the packs. */
const PARTS: readonly Part[] = [
  ...SECTIONS.flatMap((section) => {
    const part = partOf(section);
    if (section.path === "compliance") return [part, MATRIX];
    return section.path === "packs" ? [part, CHAINS] : [part];
  }),
  CHANGES,
  PROBLEMS,
];

export default function Page() {
  const { parts } = location.value;
  const [, path = "", ...rest] = parts;
  const shown = PARTS.filter(({ needs }) => may(needs));
  const tabs = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a narrow screen the tabs are scrolled sideways.
    const current = tabs.current?.querySelector("[aria-current]");
    current?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [path]);
  return (
    <>
      <div ref={tabs}>
        <Tabs
          label="Policy systems"
          tabs={shown.map((part) => ({
            name: part.short,
            address: href(["policies", part.path]),
            current: part.path === path,
          }))}
        />
      </div>
      {path === "" ? <Overview parts={shown} /> : <View path={path} rest={rest} />}
    </>
  );
}

function Overview({ parts }: { parts: readonly Part[] }) {
  return (
    <>
      <h1>Policies</h1>
      <p class="soft">
        To let something pass for one group, make an{" "}
        <a href={href(["policies", "exceptions"])}>exception</a>. To stop something, write a{" "}
        <a href={href(["policies", "static"])}>static policy</a> or a{" "}
        <a href={href(["policies", "dlp"])}>DLP rule</a>.
      </p>
      <ul class="cards systems">
        {parts.map(({ path, title, about }) => (
          <li key={path} class="panel">
            <h2>
              <a href={href(["policies", path])}>{title}</a>
            </h2>
            <p class="soft">{about}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

function View({ path, rest }: { path: string; rest: readonly string[] }): ComponentChildren {
  const [id = "", second = "", third = "", fourth = ""] = rest;
  const part = PARTS.find((one) => one.path === path);
  if (part === undefined) return <NoSuch />;
  if (!may(part.needs)) return <p>Your role does not include {part.title.toLowerCase()}.</p>;
  if (path === "matrix") return <MatrixView />;
  if (path === "changes") return <ChangesView />;
  if (path === "problems") return <LintView />;
  if (path === "chains")
    return id === "" ? <ChainsView /> : <ChainEditor key={id} id={id} tab={second} />;
  if (path === "packs" && second === "rules" && third !== "")
    return <SectionView section={rulesOf(id)} id={third} tab={fourth} />;
  const section = sectionAt(path);
  return section === undefined ? (
    <NoSuch />
  ) : (
    <SectionView section={section} id={id} tab={second} />
  );
}

function SectionView({ section, id, tab }: { section: Section; id: string; tab: string }) {
  // A section with one entity has its tabs in place of ids.
  if (section.single !== undefined)
    return <EntityView key={section.path} section={section} id={section.single} tab={id} />;
  if (id === "") return <ListView key={section.path} section={section} />;
  if (id === "new") return <NewView key={section.path} section={section} />;
  return <EntityView key={`${section.path}/${id}`} section={section} id={id} tab={tab} />;
}

function NoSuch() {
  return (
    <>
      <h1>No such section</h1>
      <p>
        The address names no policy system. <a href={href(["policies"])}>Go to all policies</a>.
      </p>
    </>
  );
}
