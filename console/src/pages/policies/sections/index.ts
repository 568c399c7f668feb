/** All sections with lists or forms, in the order in which they are shown. */
import type { Section } from "../types";
import { COMPLIANCE } from "./compliance";
import { CUSTOMERS } from "./customers";
import { DLP_RULES } from "./dlp_rules";
import { EXCEPTIONS } from "./exceptions";
import { USER_GROUPS } from "./groups";
import { LIMITS } from "./limits";
import { ORG_POLICY, TENANT_SETTINGS } from "./org";
import { PACKS } from "./packs";
import { STATIC_POLICIES } from "./static_policies";

export const SECTIONS: readonly Section[] = [
  STATIC_POLICIES,
  DLP_RULES,
  COMPLIANCE,
  PACKS,
  CUSTOMERS,
  ORG_POLICY,
  LIMITS,
  USER_GROUPS,
  EXCEPTIONS,
  TENANT_SETTINGS,
];

/** Returns the section of a part of the address. */
export function sectionAt(path: string): Section | undefined {
  return SECTIONS.find((one) => one.path === path);
}

/** Returns the section of a kind of the change log. */
export function sectionOfKind(kind: string): Section | undefined {
  return SECTIONS.find((one) => one.kinds.includes(kind));
}
