// @vitest-environment node
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { OPERATIONS } from "../src/api/operations";
import type { Operation } from "../src/api/types";
import { contractOf } from "../src/forms/contract";
import { choicesOf, help, type OpenApi, typeOf } from "../src/forms/schema";

const document = JSON.parse(
  readFileSync(new URL("../../pdp/_gen/openapi.json", import.meta.url), "utf8"),
) as OpenApi;
const contract = contractOf(document);

function kinds(operation: Operation): Record<string, string> {
  const schema = contract.reader.resolve(contract.bodyOf(operation));
  return Object.fromEntries(
    Object.entries(schema.properties ?? {}).map(([name, property]) => [
      name,
      contract.reader.kind(name, property),
    ]),
  );
}

describe("the contract of the server", () => {
  test("gives each field of a static policy the control that fits", () => {
    expect(kinds("CreateStaticPolicy")).toMatchObject({
      name: "text",
      pattern: "pattern",
      action: "choice",
      enabled: "boolean",
      expression: "condition",
      message: "long_text",
      scope: "choices",
      scope_actions: "json",
    });
  });

  test("gives each field of an exception the control that fits", () => {
    expect(kinds("CreateException")).toMatchObject({
      valid_until: "time",
      groups: "strings",
      families: "choices",
      org_risk: "boolean",
    });
  });

  test("has nested objects and lists of objects", () => {
    expect(kinds("CreatePolicyRule")).toMatchObject({ conditions: "object", action: "object" });
    expect(kinds("UpdateOrgPolicy")).toMatchObject({ alert_rules: "objects" });
  });

  test("can be read for every body: each reference leads to a schema", () => {
    for (const operation of Object.keys(OPERATIONS) as Operation[]) {
      const [method, path] = OPERATIONS[operation];
      const entry = document.paths[path]?.[method.toLowerCase()] as { requestBody?: unknown };
      if (entry.requestBody !== undefined) expect(Object.values(kinds(operation))).toBeDefined();
    }
  });
});

test("null and the empty word are no choices", () => {
  expect(choicesOf({ enum: ["", "enforce", null] })).toEqual(["enforce"]);
  expect(typeOf({ type: ["string", "null"] })).toBe("string");
  expect(typeOf({ type: ["string", "integer"] })).toBe("");
});

test("help leaves out the name of the field", () => {
  expect(help("name", "name is the display name.")).toBe("The display name.");
  expect(help("groups", "`groups` are the groups.")).toBe("The groups.");
  expect(help("mode", "Sets the mode.")).toBe("Sets the mode.");
  expect(help("scope", "scope are the places; see `Scopes`.")).toBe("The places.");
  expect(help("enabled", "enabled enables blocking.")).toBe("Enables blocking.");
  expect(help("x", undefined)).toBe("");
});
