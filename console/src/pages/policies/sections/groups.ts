/** User groups: members, compliance bundles, and DLP rules that are stricter for them. */
import { wholeList } from "../calls";
import type { Section } from "../types";

const readGroups = wholeList("ListUserGroups");

export const USER_GROUPS: Section = {
  path: "groups",
  title: "User groups",
  one: "user group",
  about:
    "Users are in a group if they are members, or if their requests name it. Rules, limits and exceptions refer to groups by name.",
  kinds: ["user_group"],
  operations: {
    list: "ListUserGroups",
    get: "GetUserGroup",
    create: "CreateUserGroup",
    update: "UpdateUserGroup",
    remove: "DeleteUserGroup",
  },
  variable: "group_id",
  idField: "id",
  nameField: "name",
  list: async (signal) =>
    (await readGroups(signal)).map((group) => ({
      ...group,
      bundles: (group["bundle_ids"] as readonly string[]).length,
      rules: (group["dlp_rules"] as readonly unknown[]).length,
    })),
  columns: [
    { field: "name", label: "Name", width: "minmax(0, 2fr)" },
    { field: "member_count", label: "Members", width: "5rem", kind: "count" },
    { field: "bundles", label: "Bundles", width: "5rem", kind: "count" },
    { field: "rules", label: "Stricter DLP rules", width: "9rem", kind: "count", wide: true },
    { field: "description", label: "Description", width: "minmax(0, 3fr)", wide: true },
  ],
  facets: [],
  groups: [
    { title: "The group", fields: ["name", "description", "members"] },
    { title: "What is in force for it", fields: ["bundle_ids", "dlp_rules"] },
  ],
  references: { bundle_ids: ["bundles"], rule_id: ["dlp_rules"] },
  draft: (entry) => ({
    section: "user_groups",
    entry,
    references: { bundle_ids: "bundles", dlp_rules: "dlp_rules" },
    renames: true,
  }),
  facts: [
    { field: "id", label: "ID", width: "", kind: "code" },
    { field: "member_count", label: "Members", width: "", kind: "count" },
    { field: "updated_at", label: "Changed", width: "", kind: "time" },
  ],
  empty: "No user group yet.",
};
