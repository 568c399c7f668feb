import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, describe, expect, test } from "vitest";
import { contractOf } from "../src/forms/contract";
import type { Values } from "../src/forms/fields";
import { SchemaForm } from "../src/forms/form";
import type { Schema } from "../src/forms/schema";

const SCHEMA: Schema = {
  properties: {
    note: { type: ["string", "null"], description: "note is free." },
    name: { type: "string", maxLength: 256 },
    count: { type: ["integer", "null"] },
    mode: { type: ["string", "null"], enum: ["", "enforce", "monitor", null] },
    on: { type: ["boolean", "null"] },
    groups: { type: ["array", "null"], items: { type: "string" } },
    rules: {
      type: "array",
      items: { properties: { name: { type: "string" } }, required: ["name"] },
    },
  },
  required: ["name"],
};
const { reader } = contractOf({ paths: {}, components: { schemas: {} } });

let value: Values = {};
const host = document.createElement("div");

function draw(violations: { field: string; reason: string }[] = []): void {
  const onChange = (next: Values) => {
    value = next;
    draw(violations);
  };
  act(() =>
    render(<SchemaForm {...{ reader, schema: SCHEMA, value, onChange, violations }} />, host),
  );
}

function control(label: string): HTMLInputElement {
  const found = [...host.querySelectorAll("label")].find((one) =>
    one.textContent?.startsWith(label),
  );
  const target = host.querySelector<HTMLInputElement>(`[id="${found?.htmlFor ?? ""}"]`);
  if (target === null) throw new Error(`no control ${label}`);
  return target;
}

function type(label: string, text: string, event = "input"): void {
  act(() => {
    const target = control(label);
    target.value = text;
    target.dispatchEvent(new Event(event, { bubbles: true }));
  });
}

function click(text: string): void {
  const button = [...host.querySelectorAll("button")].find((one) => one.textContent === text);
  act(() => button?.click());
}

afterEach(() => {
  act(() => render(null, host));
  value = {};
});

describe("a form", () => {
  test("shows required fields first, and sends only what is set", () => {
    draw();
    expect(host.querySelector("label")?.textContent).toBe("Name required");
    type("Name", "a");
    type("Count", "12");
    type("Mode", "monitor", "change");
    type("On", "false", "change");
    expect(value).toEqual({ name: "a", count: 12, mode: "monitor", on: false });
    type("Count", "");
    type("Mode", "", "change");
    expect(value).toEqual({ name: "a", on: false });
  });

  test("sends what is no number as it is, so that the server says what is wrong", () => {
    draw();
    type("Count", "many");
    expect(value).toEqual({ count: "many" });
  });

  test("has each violation beside its field, and names it for screen readers", () => {
    value = { rules: [{ name: "" }] };
    draw([
      { field: "name", reason: "is missing" },
      { field: "rules[0].name", reason: "is empty" },
    ]);
    expect(control("Name").getAttribute("aria-invalid")).toBe("true");
    const problem = control("Name").closest(".field")?.querySelector(".problem");
    expect(problem?.textContent).toBe("is missing");
    expect(control("Name").getAttribute("aria-describedby")).toContain(problem?.id);
    const nested = host.querySelector(".nested .problem");
    expect(nested?.textContent).toBe("is empty");
  });

  test("adds, moves and removes the objects of a list", () => {
    value = { rules: [{ name: "a" }, { name: "b" }] };
    draw();
    click("Down");
    expect(value).toEqual({ rules: [{ name: "b" }, { name: "a" }] });
    click("Add to rules");
    expect(value["rules"]).toHaveLength(3);
    click("Remove");
    click("Remove");
    click("Remove");
    expect(value).toEqual({});
  });

  test("takes the texts of a list one by one, each once", () => {
    draw();
    for (const text of ["x", "y", "x"]) {
      type("Groups", text);
      act(() => {
        const event = new KeyboardEvent("keydown", { key: "Enter", bubbles: true });
        control("Groups").dispatchEvent(event);
      });
    }
    expect(value).toEqual({ groups: ["x", "y"] });
  });
});
