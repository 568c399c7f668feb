/** All pages, in the order of the menu. */
import { may } from "../session";
import type { PageModule } from "../ui/lazy_page";

export interface PageEntry {
  /** The first part of the address; empty for the page that is shown first. */
  readonly path: string;
  readonly title: string;
  /** Returns whether the caller's role includes what the page needs. */
  readonly needs: () => boolean;
  readonly load: () => Promise<PageModule>;
}

export const PAGES: readonly PageEntry[] = [
  {
    path: "",
    title: "Overview",
    needs: () => may("ListRecords"),
    load: () => import("./overview"),
  },
  {
    path: "decisions",
    title: "Decisions",
    needs: () => may("ListRecords"),
    load: () => import("./decisions"),
  },
  {
    path: "playground",
    title: "Playground",
    needs: () => may("Simulate"),
    load: () => import("./playground"),
  },
  {
    path: "policies",
    title: "Policies",
    needs: () => may("ListStaticPolicies"),
    load: () => import("./policies"),
  },
  {
    path: "draft",
    title: "Draft",
    needs: () => may("ExportPolicyFile"),
    load: () => import("./draft"),
  },
  {
    path: "kill-switch",
    title: "Kill switch",
    needs: () => may("ListModelConfigs"),
    load: () => import("./kill_switch"),
  },
  {
    path: "approvals",
    title: "Approvals",
    needs: () => may("ListApprovals"),
    load: () => import("./approvals"),
  },
  {
    path: "operate",
    title: "Operate",
    needs: () => may("ListApiKeys") || may("GetSiemHealth"),
    load: () => import("./operate"),
  },
];
